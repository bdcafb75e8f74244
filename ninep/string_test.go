// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"fmt"
	"testing"
)

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		v    fmt.Stringer
		want string
	}{
		{QTDir, "QTDIR"},
		{QTFile, "QTFILE"},
		{QTSymlink | 0x40, "QTSYMLINK|0x40"},
		{AttrMode | AttrDataVersion | 1<<40, "MODE|DATA_VERSION|0x10000000000"},
		{AttrMask(0), "0"},
		{SetSize | SetMTimeSet, "SIZE|MTIME_SET"},
		{LockWrite, "WRLCK"},
		{LockType(9), "LockType(9)"},
		{LockBlocked, "BLOCKED"},
		{LockStatus(9), "LockStatus(9)"},
		{MsgTgetattr, "Tgetattr"},
		{MsgTgetattr + 1, "Rgetattr"},
		{MsgRlerror, "Rlerror"},
		{MsgType(200), "MsgType(200)"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

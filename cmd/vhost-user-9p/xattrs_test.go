// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBadXattrMaps(t *testing.T) {
	for text, say := range map[string]string{
		"":                "there is no rule",
		":ok:all:::bad":   `rule 2 has no "b" after its type`,
		":fine:all:::":    `rule 1 has the type "fine"`,
		":ok:somewhere::": `rule 1 has the scope "somewhere"`,
	} {
		got := runArgs(t, "--socket-path=/nonexistent/s", "--shared-dir=/nonexistent", "--tag=share", "--xattrmap="+text)
		if got.status != exitUsage || !strings.Contains(got.stderr, "--xattrmap ") || !strings.Contains(got.stderr, say) {
			t.Errorf("%q: %+v, want %s", text, got, say)
		}
	}
}

// TestXattrMap sets an attribute through the ring, which the host has under another name.
func TestXattrMap(t *testing.T) {
	p := startDaemon(t, "--xattrmap=:map::user.guest.:")
	g := connect(t, p.socket)
	g.mount()
	if err := g.SetXattr(rootFID, "trusted.a", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := unix.Getxattr(p.share, "user.guest.trusted.a", buf); err != nil || string(buf[:n]) != "value" {
		t.Errorf("on the host: %q, %v", buf[:n], err)
	}
	if list, err := g.GetXattr(rootFID, ""); err != nil || string(list) != "trusted.a\x00" {
		t.Errorf("the guest's list: %q, %v", list, err)
	}
	if v, err := g.GetXattr(rootFID, "trusted.a"); err != nil || string(v) != "value" {
		t.Errorf("in the guest: %q, %v", v, err)
	}
	if _, err := g.GetXattr(rootFID, qidTable); !errors.Is(err, unix.ENODATA) {
		t.Errorf("the table of file IDs: %v", err)
	}
}

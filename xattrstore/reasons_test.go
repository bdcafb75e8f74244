// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"testing"

	"github.com/pkg/xattr"

	"vhost-user-9p/qidpath"
)

// What Inspect reports as wrong has a reason.
func TestInspectReasons(t *testing.T) {
	for name, c := range map[string]struct {
		value []byte
		want  qidpath.Reason
	}{
		"short header": {[]byte{1, 0, 0}, qidpath.ReasonRejected},
		"later":        {[]byte{2, 0, 0, 0, 0, 0, 0, 0}, qidpath.ReasonVersion},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tmpfsDir(t)
			if err := xattr.Set(dir, elementSeries.chunk(0), c.value); err != nil {
				t.Fatal(err)
			}
			r, err := Inspect(openDir(t, dir), testConfig(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{r.Err, r.Places[0].Err, r.Places[0].Elements.Err} {
				wantReason(t, err, c.want)
			}
			if r.Places[0].Identities.Err != nil {
				t.Error(r.Places[0].Identities.Err)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"testing"

	"vhost-user-9p/test/bench/drive"
)

// put is drive.Place for the rest of the test.
func put(t *testing.T, place drive.Placement) {
	t.Helper()
	t.Cleanup(func() {
		if err := drive.Place(drive.Free); err != nil {
			t.Error(err)
		}
	})
	switch err := drive.Place(place); {
	case errors.Is(err, drive.ErrOneProcessor):
		t.Skip("missing capability: two processors")
	case err != nil:
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"os"
	"testing"

	"vhost-user-9p/qidpath"
)

func TestRepair(t *testing.T) {
	dir := t.TempDir()
	content := fileOf(inodes(1, 4, 1)...)
	content[headerSize+recordSize] ^= 1
	write(t, mapPath(dir), content)
	withDir(t, dir, func(d *os.File) {
		cfg := Config{Dir: d, Name: "test", Root: d, Logger: testLogger(t)}

		// It fails if the file cannot be written anew.
		if err := os.Mkdir(mapPath(dir)+".new", 0o700); err != nil {
			t.Fatal(err)
		}
		wantReason(t, Repair(cfg), qidpath.ReasonIO)
		if s, err := Inspect(d, "test"); err != nil || s.Damaged != 1 {
			t.Errorf("%+v, %v", s, err)
		}

		if err := os.Remove(mapPath(dir) + ".new"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := Repair(cfg); err != nil {
				t.Error(err)
			}
			if s, err := Inspect(d, "test"); err != nil || s.Damaged != 0 || s.Records != 3 {
				t.Errorf("%+v, %v", s, err)
			}
		}
		write(t, mapPath(dir), []byte{version + 1, 0, 0, 0, 0, 0, 0, 0})
		wantReason(t, Repair(cfg), qidpath.ReasonVersion)
	})
}

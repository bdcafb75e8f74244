// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// A damaged file is kept, and what the attributes have is used.
func TestDamagedFile(t *testing.T) {
	k := newElements(1, 9)
	good := encodeFile(map[string][]byte{elementSeries.chunk(0): table1(k[:5]...)})
	for name, data := range map[string][]byte{
		"empty":       {},
		"cut":         good[:len(good)-1],
		"flipped":     flip(slices.Clone(good), 40),
		"other magic": flip(slices.Clone(good), 0),
		"bad table":   encodeFile(map[string][]byte{elementSeries.chunk(0): flip(table1(k[:5]...), 20)}),
	} {
		for _, xattrs := range []int{0, 3} {
			t.Run(name, func(t *testing.T) {
				d, dir := newDisk(), t.TempDir()
				if xattrs > 0 {
					d.put(elementSeries, table1(k[:xattrs]...)).put(identitySeries, identities1(0, k[:xattrs]...))
				}
				path := filepath.Join(dir, testFile)
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				s := bothOn(t, d.open(), dir, testConfig(t))
				_, err := s.Load()
				wantReason(t, err, qidpath.ReasonRejected)
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("a load changed the file: %v", err)
				}
				if tail := mustAppend(t, s, 0, k[6]); !slices.Equal(tail, append(k[:xattrs:xattrs], k[6])) {
					t.Errorf("tail %v", tail)
				}
				again := bothOn(t, d.open(), dir, testConfig(t))
				if got := mustLoad(t, again); !slices.Equal(got, append(k[:xattrs:xattrs], k[6])) {
					t.Errorf("loaded %v", got)
				}
				wantPlace(t, again, PlaceXattr)
				aside, err := again.file.medium.aside()
				if err != nil || len(aside) != 1 {
					t.Fatalf("set aside %v, %v", aside, err)
				}
				if name != "bad table" {
					if got, err := os.ReadFile(filepath.Join(dir, aside[0].Name)); err != nil || !bytes.Equal(got, data) {
						t.Errorf("set aside %x, %v", got, err)
					}
				}
			})
		}
	}
}

// Attributes may be damaged when the table is in the file.
func TestDamagedAttributesBesideTheFile(t *testing.T) {
	k, dir := newElements(1, 9), t.TempDir()
	putFile(t, dir, table1(k[:5]...), identities1(0, k[:5]...))
	d := newDisk().put(elementSeries, []byte{1, 0, 0})
	s := bothOn(t, &cutMedium{d.open(), 0}, dir, testConfig(t))
	if got := mustLoad(t, s); !slices.Equal(got, k[:5]) {
		t.Errorf("loaded %v", got)
	}
	mustAppend(t, s, 5, k[5])
}

// What this version cannot read it leaves alone, and everything else with it.
func TestFileLeftAlone(t *testing.T) {
	k := newElements(1, 3)
	good := encodeFile(map[string][]byte{elementSeries.chunk(0): table1(k...)})
	newer := slices.Clone(good)
	newer[8]++
	for name, tc := range map[string]struct {
		data   []byte
		reason qidpath.Reason
	}{
		"later version":          {newer, qidpath.ReasonVersion},
		"later version of table": {encodeFile(map[string][]byte{elementSeries.chunk(0): append([]byte{9}, table1(k...)[1:]...)}), qidpath.ReasonVersion},
		"too long":               {make([]byte, maxFile+1), qidpath.ReasonRejected},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, testFile)
			if err := os.WriteFile(path, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := bothOn(t, &cutMedium{newDisk().open(), 0}, dir, testConfig(t))
			_, err := s.Load()
			wantReason(t, err, tc.reason)
			_, err = s.Append(0, k)
			wantReason(t, err, tc.reason)
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, tc.data) {
				t.Errorf("the file was changed, %v", err)
			}
			wantFiles(t, dir, testFile)
		})
	}
	t.Run("no regular file", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, testFile)); err != nil {
			t.Fatal(err)
		}
		s := bothOn(t, &cutMedium{newDisk().open(), 0}, dir, testConfig(t))
		_, err := s.Load()
		wantReason(t, err, qidpath.ReasonIO)
	})
}

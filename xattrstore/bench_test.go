// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/xattr"
)

// BenchmarkAppend appends one element to tables of different lengths.
func BenchmarkAppend(b *testing.B) {
	const window = 50 // so many longer may a table become before it begins anew
	for _, place := range []struct {
		name string
		dir  func(testing.TB) string
		mode Mode
	}{
		{"tmpfs", tmpfsDir, ModeXattr},
		{"ext4", func(b testing.TB) string {
			return loopMount(b, 64, "mkfs.ext4", "-q", "-b", "4096", "-O", "ea_inode")
		}, ModeXattr},
		{"xfs", func(b testing.TB) string { return loopMount(b, 320, "mkfs.xfs", "-q") }, ModeXattr},
		{"file on tmpfs", tmpfsDir, ModeFile},
		{"file on ext4", func(b testing.TB) string { return loopMount(b, 64, "mkfs.ext4", "-q") }, ModeFile},
	} {
		for _, n := range []int{10, 1000, 30000} {
			b.Run(fmt.Sprintf("place=%s/elements=%d", place.name, n), func(b *testing.B) {
				path := place.dir(b)
				cfg := testConfig(b)
				cfg.Mode, cfg.StateDir = place.mode, openDir(b, path)
				all := newElements(1, n+window)
				var s *Store
				known := len(all)
				var bytes uint64
				b.ReportAllocs()
				for b.Loop() {
					if known == len(all) {
						b.StopTimer()
						if s != nil {
							bytes += s.BytesWritten()
							s.Close()
						}
						removeAll(b, path)
						s = openStore(b, path, cfg)
						mustAppend(b, s, 0, all[:n]...)
						known = n
						bytes -= s.BytesWritten()
						b.StartTimer()
					}
					mustAppend(b, s, known, all[known])
					known++
				}
				bytes += s.BytesWritten()
				b.ReportMetric(float64(bytes)/float64(b.N), "written/op")
			})
		}
	}
}

// removeAll removes a table and its file.
func removeAll(t testing.TB, dir string) {
	t.Helper()
	names, err := xattr.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, Prefix) {
			if err := xattr.Remove(dir, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(dir + "/*" + fileSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkLoad reads all of a table.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10, 1000, 30000} {
		b.Run(fmt.Sprintf("elements=%d", n), func(b *testing.B) {
			path := tmpfsDir(b)
			s := openStore(b, path, testConfig(b))
			mustAppend(b, s, 0, newElements(1, n)...)
			b.ReportAllocs()
			for b.Loop() {
				mustLoad(b, s)
			}
		})
	}
}

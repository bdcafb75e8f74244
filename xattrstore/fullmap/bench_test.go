// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"vhost-user-9p/qidpath"
)

// entriesEnv is how many entries the benchmarks' large map has, if it is set. For
// the numbers of ten million on the file system that /var/tmp is on:
//
//	TMPDIR=/var/tmp FULLMAP_ENTRIES=10000000 \
//		go test -run '^$' -bench . -count 5 ./xattrstore/fullmap
//
// It takes half a gigabyte there, and one of memory.
const entriesEnv = "FULLMAP_ENTRIES"

func sizes(b *testing.B) []uint64 {
	large := uint64(100_000)
	if s := os.Getenv(entriesEnv); s != "" {
		var err error
		if large, err = strconv.ParseUint(s, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	return []uint64{1000, large}
}

// hashed is an inode number with any prefix, as NFS and FUSE have them.
func hashed(i uint64) uint64 {
	i = (i ^ i>>31) * 0xd6e8feb86659fd93
	i = (i ^ i>>32) * 0xd6e8feb86659fd93
	return i ^ i>>32
}

// benchDir returns a directory with a map of so many entries.
func benchDir(b *testing.B, entries uint64) string {
	b.Helper()
	dir := b.TempDir()
	f, err := os.Create(mapPath(dir))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	buf := appendHeader(nil)
	for i := range entries {
		buf = appendRecord(buf, inode(hashed(i)), i+1)
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
		buf = buf[:0]
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkLoad is the start of a daemon: a Table takes over all numbers.
func BenchmarkLoad(b *testing.B) {
	for _, entries := range sizes(b) {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			dir := benchDir(b, entries)
			b.SetBytes(int64(headerSize + entries*recordSize))
			heap := func() float64 {
				runtime.GC()
				var ms runtime.MemStats
				runtime.ReadMemStats(&ms)
				return float64(ms.HeapAlloc) / (1 << 20)
			}
			before := heap()
			var table *qidpath.Table
			for b.Loop() {
				if table != nil {
					table.Close()
				}
				table = qidpath.New(qidpath.Config{Store: new(elements), FullMap: openMap(b, dir), Logger: quiet})
				if err := table.Load(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(heap()-before, "MiB-heap")
			b.ReportMetric(float64(headerSize+entries*recordSize)/(1<<20), "MiB-file")
			if got := table.Stats().Numbers; got != int(entries) {
				b.Errorf("%d numbers, want %d", got, entries)
			}
			table.Close()
		})
	}
}

// BenchmarkScan is a load without a Table.
func BenchmarkScan(b *testing.B) {
	for _, entries := range sizes(b) {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			m := openMap(b, benchDir(b, entries))
			b.SetBytes(int64(headerSize + entries*recordSize))
			for b.Loop() {
				if err := m.Load(ignore); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppend is a new file, with one sync for so many.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []int{0, 1, 50} {
		for _, entries := range sizes(b) {
			b.Run(fmt.Sprintf("sync=%d/entries=%d", sync, entries), func(b *testing.B) {
				m := openMap(b, benchDir(b, entries))
				if err := m.Load(ignore); err != nil {
					b.Fatal(err)
				}
				mustAppend(b, m, inode(1))
				b.ReportAllocs()
				done := 0
				for ino := uint64(2); b.Loop(); ino++ {
					if _, err := m.Append(inode(ino), ignore); err != nil {
						b.Fatal(err)
					}
					if done++; sync > 0 && done%sync == 0 {
						mustSync(b, m)
					}
				}
			})
		}
	}
}

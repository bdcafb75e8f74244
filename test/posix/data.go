// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

// data tries what moves file contents, and where they end.
func data(t *T) {
	t.group("offsets", dataOffsets)
	t.group("holes", dataHoles)
	t.group("transfers", dataTransfers)
	t.group("fallocate", dataFallocate)
	t.group("sizes", dataSizes)
	t.group("signals", dataSignals)
	t.group("statfs", dataStatfs)
	t.group("sync", dataSync)
	t.group("limits", dataLimits) // at last: a cache tells of its errors later
}

func dataOffsets(t *T) {
	t.file("f", "0123456789", 0o644)
	fd := t.open("f", unix.O_RDWR)
	defer t.root.close(fd)
	seek := func(off int64, whence int) string {
		r := t.root.do(call{Op: "lseek", FD: fd, Off: off, Flags: whence})
		return fmt.Sprint(text(r.Errno), " ", max(r.N, 0))
	}
	t.is("set", seek(3, unix.SEEK_SET), "OK 3")
	t.is("current", seek(2, unix.SEEK_CUR), "OK 5")
	t.is("end", seek(-1, unix.SEEK_END), "OK 9")
	t.is("beyond the end", seek(100, unix.SEEK_SET), "OK 100")
	t.is("negative", seek(-1, unix.SEEK_SET), "EINVAL 0")
	t.is("before the start", seek(-11, unix.SEEK_END), "EINVAL 0")
	t.is("stays", seek(0, unix.SEEK_CUR), "OK 100")
	t.is("unknown", seek(0, 99), "EINVAL 0")
	t.is("read beyond the end", func() string {
		r := t.root.do(call{Op: "read", FD: fd, Len: 10})
		return fmt.Sprint(text(r.Errno), len(r.Data))
	}(), "OK0")
	t.must("lseek", t.root.do(call{Op: "lseek", FD: fd, Off: 8}).Errno)
	r := t.root.do(call{Op: "read", FD: fd, Len: 10})
	t.is("read over the end", string(r.Data), "89")
	t.is("offset then", seek(0, unix.SEEK_CUR), "OK 10")
	r = t.root.do(call{Op: "pread", FD: fd, Len: 4, Off: 2})
	t.is("pread", string(r.Data), "2345")
	t.is("pread leaves the offset", seek(0, unix.SEEK_CUR), "OK 10")
	t.is("pread at a negative offset", t.root.do(call{Op: "pread", FD: fd, Len: 4, Off: -1}).Errno, unix.EINVAL)
	t.is("pwrite at a negative offset", t.root.pwrite(fd, "x", -1), unix.EINVAL)
	dup := int(t.root.do(call{Op: "dup", FD: fd}).N)
	t.root.do(call{Op: "lseek", FD: dup, Off: 4})
	t.is("a duplicate shares the offset", seek(0, unix.SEEK_CUR), "OK 4")
	t.root.close(dup)
	t.is("write at the offset", func() string {
		t.root.write(fd, "XY")
		return t.content("f")
	}(), "0123XY6789")
}

func dataHoles(t *T) {
	t.file("f", "start", 0o644)
	fd := t.open("f", unix.O_RDWR)
	defer t.root.close(fd)
	t.is("write far away", t.root.pwrite(fd, "end", 1<<20), unix.Errno(0))
	st := t.fstat(fd)
	t.is("size", st.Size, 1<<20+3)
	t.is("takes little space", st.Blocks*512 < 1<<17, true)
	s, e := t.root.pread(fd, 1<<20+10, 0)
	t.is("content", fmt.Sprint(text(e), s == "start"+strings.Repeat("\x00", 1<<20-5)+"end"), "OKtrue")
	seek := func(off int64, whence int) string {
		r := t.root.do(call{Op: "lseek", FD: fd, Off: off, Flags: whence})
		return fmt.Sprint(text(r.Errno), " ", max(r.N, 0))
	}
	const data, hole = 3, 4 // SEEK_DATA, SEEK_HOLE
	t.is("data at the start", seek(0, data), "OK 0")
	t.is("hole after the start", seek(0, hole), "OK 4096")
	t.is("data in the hole", seek(8192, data), "OK 1048576")
	t.is("hole in the hole", seek(8192, hole), "OK 8192")
	t.is("hole at the end", seek(1<<20, hole), fmt.Sprint("OK ", 1<<20+3))
	t.is("data behind the end", seek(1<<20+3, data), "ENXIO 0")
	t.is("hole behind the end", seek(1<<20+3, hole), "ENXIO 0")
	t.is("all a hole, data", func() string {
		t.must("ftruncate", t.root.do(call{Op: "ftruncate", FD: fd, Len: 0}).Errno)
		t.must("ftruncate", t.root.do(call{Op: "ftruncate", FD: fd, Len: 1 << 20}).Errno)
		return seek(0, data)
	}(), "ENXIO 0")
	t.is("all a hole, hole", seek(0, hole), "OK 0")
}

func dataLimits(t *T) {
	t.file("f", "", 0o666)
	fd := t.open("f", unix.O_RDWR)
	defer t.root.close(fd)
	// ext4 with blocks of 4 KiB ends 4 KiB before 16 TiB.
	const end = 16<<40 - 4096
	for _, off := range []int64{1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 40, end - 1} {
		t.is(fmt.Sprint("write at ", off), t.root.pwrite(fd, "x", off), unix.Errno(0))
		t.is(fmt.Sprint("size after ", off), t.fstat(fd).Size, off+1)
		s, e := t.root.pread(fd, 3, off)
		t.is(fmt.Sprint("read at ", off), text(e)+" "+s, "OK x")
	}
	t.is("write at the end", t.root.pwrite(fd, "x", end), unix.EFBIG)
	t.is("write over the end", func() string {
		r := t.root.do(call{Op: "pwrite", FD: fd, Data: []byte("xyz"), Off: end - 1})
		return fmt.Sprint(text(r.Errno), r.N)
	}(), "OK1")
	t.is("write far beyond", t.root.pwrite(fd, "x", 1<<62), unix.EFBIG)
	t.is("truncate to the end", t.root.truncate("f", end), unix.Errno(0))
	t.is("truncate beyond", t.root.truncate("f", end+1), unix.EFBIG)
	t.is("read at the largest offset", func() string {
		s, e := t.root.pread(fd, 10, 1<<63-11)
		return text(e) + s
	}(), "OK")
	t.must("truncate", t.root.truncate("f", 0))
	// The signal that comes with the limit is for Go to ignore.
	own, e := t.bob.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	t.must("setrlimit", t.bob.do(call{Op: "fsize", Len: 1000}).Errno)
	t.is("RLIMIT_FSIZE, write below", t.bob.pwrite(own, "x", 999), unix.Errno(0))
	t.is("RLIMIT_FSIZE, write at", t.bob.pwrite(own, "x", 1000), unix.EFBIG)
	t.is("RLIMIT_FSIZE, write over", func() string {
		r := t.bob.do(call{Op: "pwrite", FD: own, Data: []byte("xyz"), Off: 999})
		return fmt.Sprint(text(r.Errno), r.N)
	}(), "OK1")
	t.is("RLIMIT_FSIZE, truncate", t.bob.truncate("f", 1001), unix.EFBIG)
	t.must("setrlimit", t.bob.do(call{Op: "fsize", Len: -1}).Errno)
	t.bob.close(own)
}

func dataTransfers(t *T) {
	content := strings.Repeat("0123456789abcdef", 5000)
	t.file("from", content, 0o644)
	for _, how := range []string{"copy_file_range", "sendfile"} {
		t.file(how, "", 0o644)
		from, to := t.open("from", unix.O_RDONLY), t.open(how, unix.O_RDWR)
		left := len(content) - 7
		e := unix.Errno(0)
		for off := 7; left > 0 && e == 0; {
			r := t.root.do(call{Op: how, FD: from, FD2: to, Off: int64(off), Off2: int64(off - 7), Len: int64(left)})
			if e = r.Errno; r.N <= 0 {
				break
			}
			off, left = off+int(r.N), left-int(r.N)
		}
		t.is(how, fmt.Sprint(text(e), left), "OK0")
		t.is(how+" content", t.content(how) == content[7:], true)
		r := t.root.do(call{Op: how, FD: from, FD2: to, Off: int64(len(content)), Len: 100})
		t.is(how+" at the end", fmt.Sprint(text(r.Errno), r.N), "OK0")
		t.root.close(to)
		to = t.open(how, unix.O_RDONLY)
		t.is(how+" to one for reading", t.root.do(call{Op: how, FD: from, FD2: to, Len: 10}).Errno, unix.EBADF)
		t.root.close(from)
		t.root.close(to)
	}
	same := t.open("from", unix.O_RDWR)
	r := t.root.do(call{Op: "copy_file_range", FD: same, FD2: same, Off: 0, Off2: 10, Len: 100})
	t.is("copy_file_range over itself", r.Errno, unix.EINVAL)
	r = t.root.do(call{Op: "copy_file_range", FD: same, FD2: same, Off: 0, Off2: 1 << 17, Len: 100})
	t.is("copy_file_range in one file", fmt.Sprint(text(r.Errno), r.N), "OK100")
	t.root.close(same)
}

func dataFallocate(t *T) {
	t.file("f", "0123456789", 0o644)
	fd := t.open("f", unix.O_RDWR)
	defer t.root.close(fd)
	fallocate := func(flags int, off, length int64) unix.Errno {
		return t.root.do(call{Op: "fallocate", FD: fd, Flags: flags, Off: off, Len: length}).Errno
	}
	t.is("extend", fallocate(0, 0, 20000), unix.Errno(0))
	t.is("extend gives", t.fstat(fd).Size, 20000)
	t.is("keep the size", fallocate(unix.FALLOC_FL_KEEP_SIZE, 0, 40000), unix.Errno(0))
	t.is("punch a hole", fallocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 2, 4), unix.Errno(0))
	t.is("punch a hole gives", t.content("f")[:10], "01\x00\x00\x00\x006789")
	t.is("zeroes", fallocate(unix.FALLOC_FL_ZERO_RANGE, 7, 2), unix.Errno(0))
	t.is("zeroes give", t.content("f")[:10], "01\x00\x00\x00\x006\x00\x009")
	t.is("negative", fallocate(0, -1, 10), unix.EINVAL)
	t.is("nothing", fallocate(0, 0, 0), unix.EINVAL)
	reader := t.open("f", unix.O_RDONLY)
	t.is("of one for reading", t.root.do(call{Op: "fallocate", FD: reader, Len: 10}).Errno, unix.EBADF)
	t.root.close(reader)
}

// dataSizes reads and writes lengths around those that messages and pages have.
func dataSizes(t *T) {
	for _, size := range []int{1, 4095, 4096, 4097, 8191, 65535, 65536, 65537, 131072, 511976, 512000, 512001, 1 << 20} {
		name := fmt.Sprint(size)
		content := make([]byte, size)
		for i := range content {
			content[i] = byte(i*7 + i/251)
		}
		t.file(name, "", 0o644)
		fd := t.open(name, unix.O_RDWR)
		t.is(name+" write", t.root.pwrite(fd, string(content), 0), unix.Errno(0))
		s, e := t.root.pread(fd, size+100, 0)
		t.is(name+" read", fmt.Sprint(text(e), s == string(content)), "OKtrue")
		t.is(name+" write at 1", t.root.pwrite(fd, string(content), 1), unix.Errno(0))
		s, e = t.root.pread(fd, size, 1)
		t.is(name+" read at 1", fmt.Sprint(text(e), s == string(content)), "OKtrue")
		t.is(name+" size", t.fstat(fd).Size, size+1)
		t.root.close(fd)
		t.must("unlink", t.root.unlink(name))
	}
}

// dataSignals: a signal that is handled does not cut the writing of a file short.
func dataSignals(t *T) {
	t.file("f", "", 0o644)
	fd := t.open("f", unix.O_RDWR)
	defer t.root.close(fd)
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, unix.SIGALRM)
	defer signal.Stop(handled)
	const often = 200e-6 // seconds
	period := unix.NsecToTimeval(often * 1e9)
	_, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{Interval: period, Value: period})
	defer func() { _, _ = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{}) }()
	t.is("setitimer", err == nil, true)
	data, short := strings.Repeat("signals.", 1<<17), 0
	for range 30 {
		if t.root.pwrite(fd, data, 0) != 0 {
			short++
		}
	}
	t.is("writes of 1 MiB are whole", short == 0, true)
}

func dataStatfs(t *T) {
	t.file("f", "f", 0o644)
	r := t.root.do(call{Op: "statfs", Path: "f"})
	s := &r.Statfs
	t.is("file", r.Errno, unix.Errno(0))
	t.is("has sizes", s.Bsize > 0 && s.Blocks > 0 && s.Bfree <= s.Blocks && s.Bavail <= s.Bfree && s.Files > 0 && s.Ffree <= s.Files, true)
	t.is("length of names", s.Namelen, 255)
	fd := t.open("f", unix.O_RDONLY)
	r2 := t.root.do(call{Op: "fstatfs", FD: fd})
	t.is("descriptor", fmt.Sprint(text(r2.Errno), r2.Statfs.Blocks == s.Blocks, r2.Statfs.Bsize == s.Bsize), "OKtrue true")
	t.root.close(fd)
	for _, k := range plain {
		t.a(k, k.name, t.root, 0)
		r := t.root.do(call{Op: "statfs", Path: k.name})
		t.is(k.name, fmt.Sprint(text(r.Errno), r.Statfs.Blocks == s.Blocks), "OKtrue")
	}
	t.is("by a user, of a file that cannot be read", t.alice.do(call{Op: "statfs", Path: "regular"}).Errno, unix.Errno(0))
}

func dataSync(t *T) {
	t.file("f", "f", 0o644)
	for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR} {
		fd := t.open("f", flags)
		for _, op := range []string{"fsync", "fdatasync", "syncfs"} {
			t.is(fmt.Sprint(op, " ", flags), t.root.do(call{Op: op, FD: fd}).Errno, unix.Errno(0))
		}
		t.root.close(fd)
	}
	fd := t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	t.is("folder", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.Errno(0))
	t.root.close(fd)
	fd = t.open("f", unix.O_PATH)
	t.is("O_PATH", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.EBADF)
	t.root.close(fd)
	t.must("mkfifo", t.root.mknod("p", unix.S_IFIFO|0o644, 0))
	fd = t.open("p", unix.O_RDWR)
	t.is("fifo", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.EINVAL)
	t.root.close(fd)
}

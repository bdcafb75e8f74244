// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/qidpath"
)

// What the environment says to a test that a test has started. scaleFiles is also for
// those who want another size: the soak takes a million.
const (
	scaleFiles = "HOSTFS_FILES"
	scaleShare = "HOSTFS_SHARE"
	scaleLimit = "HOSTFS_NOFILE"
	scaleAs    = "HOSTFS_AS" // what the process goes on as: noHandles or nobody
)

// Without what a process can be.
const (
	noHandles = "without CAP_DAC_READ_SEARCH"
	nobody    = "without any capability"
)

// scaleDir is how many files a directory of the share has.
const scaleDir = 5000

func scaleName(i int) (dir, name string) {
	return fmt.Sprintf("d%04d", i/scaleDir), fmt.Sprintf("file-%08d", i)
}

// Many times more fids of distinct files than descriptors: they are made, take little
// memory, stay the files that they are, and the last does not take longer than the first.
// Each case is a process of its own, for the sake of its limit.
func TestManyFIDs(t *testing.T) {
	if os.Getenv(scaleShare) != "" {
		t.Skip("is what this starts")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be without what root has as well")
	}
	share, err := os.MkdirTemp("/dev/shm", "hostfs-test-*")
	if err != nil {
		t.Skip("needs a tmpfs on /dev/shm:", err)
	}
	defer os.RemoveAll(share)
	count := scaleCount(t)
	makeShare(t, share, count)
	some := count
	if os.Getenv(scaleFiles) == "" && !raceDetector {
		some /= 5 // of cases that are much like another
	}
	for _, c := range []struct {
		name  string
		limit int
		as    string
		count int
	}{
		{"handles/1024", 1024, "", count},
		{"handles/4096", 4096, "", some},
		{"names/1024", 1024, noHandles, count},
		{"unprivileged/1024", 1024, nobody, some},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestManyFIDsHere$", "-test.v")
			cmd.Env = append(os.Environ(), scaleShare+"="+share, scaleFiles+"="+strconv.Itoa(c.count), scaleLimit+"="+strconv.Itoa(c.limit))
			if c.as != "" {
				cmd.Env = append(cmd.Env, scaleAs+"="+c.as)
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "PASS: TestManyFIDsHere") {
				t.Fatalf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "_test.go:") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

func scaleCount(t *testing.T) int {
	s := os.Getenv(scaleFiles)
	switch {
	case s == "" && raceDetector:
		return 10_000
	case s == "":
		return 100_000
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 20 {
		t.Fatalf("%s=%q is no number of files", scaleFiles, s)
	}
	return n
}

// makeShare makes files, each with its name as its content where the number ends in 00.
func makeShare(t *testing.T, share string, count int) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(share, 0o755))
	for i := range count {
		dir, name := scaleName(i)
		if i%scaleDir == 0 {
			must(os.Mkdir(filepath.Join(share, dir), 0o755))
		}
		path := filepath.Join(share, dir, name)
		if i%100 == 0 {
			must(os.WriteFile(path, []byte(name), 0o644))
		} else {
			must(unix.Mknod(path, unix.S_IFREG|0o644, 0))
		}
	}
}

// TestManyFIDsHere is a case of TestManyFIDs, in its process.
func TestManyFIDsHere(t *testing.T) {
	share := os.Getenv(scaleShare)
	if share == "" {
		t.Skip("is started by TestManyFIDs")
	}
	if as := os.Getenv(scaleAs); as != "" {
		goOnAs(t, as)
	}
	limit, _ := strconv.Atoi(os.Getenv(scaleLimit))
	rlimit := unix.Rlimit{Cur: uint64(limit), Max: uint64(limit)}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &rlimit); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(share)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	fs, err := New(Config{Root: root, QIDPaths: qidpath.New(qidpath.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	sess := ninep.NewSession(ninep.Config{Backend: fs})
	l := ninetest.NewLocal(sess, 0)
	s := &scale{T: t, fs: fs, c: ninetest.NewClient(l), share: share, count: scaleCount(t), limit: limit}
	defer func() {
		l.Close()
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.run()
	sess.Reset()
	if n := fs.Stats(); n.Nodes != 1 || n.Descriptors.Cold != 0 {
		t.Errorf("left over: %+v", n)
	}
}

// goOnAs starts the program again, from a thread that lacks something.
func goOnAs(t *testing.T, as string) {
	runtime.LockOSThread()
	const uid = 65534
	var e unix.Errno
	switch as {
	case noHandles:
		_, _, e = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_DAC_READ_SEARCH, 0)
	case nobody:
		if _, _, e = unix.RawSyscall(unix.SYS_SETRESGID, uid, uid, uid); e == 0 {
			_, _, e = unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
		}
	}
	if e != 0 {
		t.Fatal(e)
	}
	if err := os.Unsetenv(scaleAs); err != nil {
		t.Fatal(err)
	}
	t.Fatal(unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

type scale struct {
	*testing.T
	fs    *FS
	c     *ninetest.Client
	share string
	count int
	limit int
	base  uint32 // fid of the first file
}

func (s *scale) must(err error) {
	if err != nil {
		s.Helper()
		s.Fatal(err)
	}
}

func (s *scale) run() {
	_, _, err := s.c.Version(64<<10, "9P2000.L")
	s.must(err)
	root := s.c.NewFID()
	_, err = s.c.Attach(root, 0, "")
	s.must(err)
	s.base = root + 1

	before := heapBytes()
	const batches = 20
	var times []time.Duration // of CPU, for a walk
	for b := range batches {
		first, end := s.count*b/batches, s.count*(b+1)/batches
		began := cpuTime()
		s.parallel(first, end, func(i int) error {
			dir, name := scaleName(i)
			_, err := s.c.Walk(root, s.fid(i), dir, name)
			return err
		})
		times = append(times, (cpuTime()-began)/time.Duration(end-first))
		if n := s.fs.Stats().Descriptors.Used; n > s.limit {
			s.Fatalf("%d descriptors of %d", n, s.limit)
		}
	}
	per := (heapBytes() - before) / int64(s.count)
	s.Logf("%d bytes of heap for a file; CPU time of a walk from %v to %v", per, times[1], times[batches-1])
	// With fewer, the buffers of threads weigh too much; the race detector makes objects
	// larger.
	if per > 256 && s.count >= 100_000 && !raceDetector {
		s.Errorf("%d bytes for a file", per)
	}
	early, late := fastest(times[1:batches/2]), fastest(times[batches/2:])
	if late > 2*early && !raceDetector {
		s.Errorf("a walk takes %v at first, and %v at last", early, late)
	}
	s.verify(root)
	if n := s.fs.Stats(); n.Descriptors.Stale != 0 || n.Descriptors.Reopened == 0 {
		s.Errorf("%+v", n)
	}
}

// verify looks at a sample of the files: by number, by content, and by walking there again.
func (s *scale) verify(root uint32) {
	s.parallel(0, 5000, func(j int) error {
		i := int(rand.N(uint64(s.count)))
		if j%2 == 0 {
			i -= i % 100
		}
		dir, name := scaleName(i)
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(s.share, dir, name), &st); err != nil {
			return err
		}
		a, err := s.c.Getattr(s.fid(i), ninep.AttrBasic)
		if err != nil {
			return fmt.Errorf("%s: getattr: %w", name, err)
		}
		if got := a.QID.Path & (1<<48 - 1); got != st.Ino {
			return fmt.Errorf("%s: is inode %d, should be %d", name, got, st.Ino)
		}
		fid := s.fid(s.count + j)
		qids, err := s.c.Walk(root, fid, dir, name)
		if err != nil {
			return fmt.Errorf("%s: walk: %w", name, err)
		}
		if qids[1].Path != a.QID.Path {
			return fmt.Errorf("%s: walk: %v", name, qids)
		}
		if i%100 == 0 {
			if _, _, err := s.c.Lopen(fid, unix.O_RDONLY); err != nil {
				return fmt.Errorf("%s: open: %w", name, err)
			}
			data, err := s.c.Read(fid, 0, 100)
			if err != nil {
				return fmt.Errorf("%s: read: %w", name, err)
			}
			if string(data) != name {
				return fmt.Errorf("%s: read %q", name, data)
			}
		}
		return s.c.Clunk(fid)
	})
}

func (s *scale) fid(i int) uint32 { return s.base + uint32(i) }

// parallel calls f for the numbers from first to end.
func (s *scale) parallel(first, end int, f func(i int) error) {
	const parts = 4
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() {
			for i := first + p; i < end && !s.Failed(); i += parts {
				if err := f(i); err != nil {
					s.Errorf("file %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if s.Failed() {
		s.FailNow()
	}
}

// fastest is what is left of measurements that other processes disturb.
func fastest(times []time.Duration) time.Duration {
	least := times[0]
	for _, t := range times {
		least = min(least, t)
	}
	return least
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(unix.TimevalToNsec(u.Utime) + unix.TimevalToNsec(u.Stime))
}

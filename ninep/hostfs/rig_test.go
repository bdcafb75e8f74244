// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/qidpath"
)

// rig is an FS on a temporary directory, and a worker to call it from.
type rig struct {
	testing.TB
	fs   *FS
	c    *ninep.Call
	dir  string
	root *file
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	return newRigAt(t, dir, Config{})
}

// newRigAt serves dir. The goroutine is a worker from then on.
func newRigAt(t testing.TB, dir string, cfg Config) *rig {
	t.Helper()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	cfg.Root = root
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.QIDPaths == nil {
		cfg.QIDPaths = qidpath.New(qidpath.Config{Logger: cfg.Logger})
	}
	fs, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, fs: fs, c: newCall(), dir: dir}
	top, _, err := fs.Attach(r.c, nil)
	r.must(err)
	r.root, _ = fileOf(top)
	t.Cleanup(func() {
		top.Close(nil)
		fs.Reset()
		// The root's, and the one by which handles are opened.
		s := fs.Stats()
		if ds := s.Descriptors; ds.Cold != 0 || ds.Used < 1 || ds.Used > 2 {
			t.Errorf("left over: %+v", ds)
		}
		s.Descriptors = DescriptorStats{}
		if s != (Stats{Nodes: 1}) {
			t.Errorf("left over: %+v", s)
		}
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
		if n := fs.Stats().Descriptors.Used; n != 0 {
			t.Errorf("%d descriptors miscounted", n)
		}
	})
	return r
}

// newCall returns the Call of a worker, which the goroutine becomes: its thread has what
// credentials a worker's has, and ends with it.
func newCall() *ninep.Call {
	runtime.LockOSThread()
	return &ninep.Call{Thread: &ninep.Thread{}}
}

// onHost runs f as the process's user, with all its capabilities.
func onHost(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *rig) attach(aname string) *file {
	r.Helper()
	f, _, err := r.fs.Attach(r.c, ninep.Name(aname))
	r.must(err)
	return f.(*file)
}

func (r *rig) must(err error) {
	if err != nil {
		r.Helper()
		r.Fatal(err)
	}
}

func (r *rig) want(err error, want unix.Errno) {
	if err != want {
		r.Helper()
		r.Fatalf("error is %v, want %v", err, want)
	}
}

// path returns the host's name of a file.
func (r *rig) path(elem ...string) string {
	return filepath.Join(append([]string{r.dir}, elem...)...)
}

// put makes a file on the host.
func (r *rig) put(name, data string) {
	r.Helper()
	r.must(os.WriteFile(r.path(name), []byte(data), 0o644))
}

func (r *rig) mkdir(name string) {
	r.Helper()
	r.must(os.MkdirAll(r.path(name), 0o755))
}

func names(elem ...string) []ninep.Name {
	var out []ninep.Name
	for _, e := range elem {
		out = append(out, ninep.Name(e))
	}
	return out
}

func (r *rig) walkFrom(from *file, elem ...string) (*file, ninep.QID, error) {
	qids := make([]ninep.QID, len(elem)+1)
	f, n, err := from.Walk(r.c, names(elem...), qids)
	if err != nil {
		return nil, ninep.QID{}, err
	}
	if n != len(elem) {
		r.Helper()
		r.Fatalf("walked %d of %d", n, len(elem))
	}
	q := ninep.QID{}
	if n > 0 {
		q = qids[n-1]
	}
	return f.(*file), q, nil
}

// walk goes from the root, and closes the file at the end of the test.
func (r *rig) walk(elem ...string) *file {
	r.Helper()
	f, _, err := r.walkFrom(r.root, elem...)
	r.must(err)
	r.Cleanup(func() { f.Close(nil) })
	return f
}

func (r *rig) open(flags uint32, elem ...string) *file {
	r.Helper()
	f := r.walk(elem...)
	_, err := f.Open(r.c, flags)
	r.must(err)
	return f
}

func (r *rig) attr(f *file) ninep.Attr {
	r.Helper()
	var a ninep.Attr
	r.must(f.GetAttr(r.c, ninep.AttrBasic|ninep.AttrBTime, &a))
	return a
}

// vec returns iovecs of p cut in pieces of size.
func vec(p []byte, size int) []unix.Iovec {
	var out []unix.Iovec
	for len(p) > 0 {
		n := min(size, len(p))
		v := unix.Iovec{Base: &p[0]}
		v.SetLen(n)
		out = append(out, v)
		p = p[n:]
	}
	return out
}

func (r *rig) read(f *file, off uint64, size int) string {
	r.Helper()
	p := make([]byte, size)
	n, err := f.Read(r.c, vec(p, 7), off)
	r.must(err)
	return string(p[:n])
}

func (r *rig) write(f *file, off uint64, data string) {
	r.Helper()
	n, err := f.Write(r.c, vec([]byte(data), 7), off)
	r.must(err)
	if n != len(data) {
		r.Fatalf("wrote %d of %d bytes", n, len(data))
	}
}

type entry = ninep.DirEntry

// list reads a directory with buffers of size.
func (r *rig) list(f *file, size int) []entry {
	r.Helper()
	var out []entry
	buf := make([]byte, size)
	for off := uint64(0); ; {
		w := ninep.NewDirWriter(buf)
		r.must(f.ReadDir(r.c, off, w))
		data := w.Bytes()
		if len(data) == 0 {
			return out
		}
		for len(data) > 0 {
			var e entry
			var ok bool
			if data, ok = ninep.ParseDirEntry(data, &e); !ok {
				r.Fatal("bad entry")
			}
			e.Name = append(ninep.Name(nil), e.Name...)
			out = append(out, e)
			off = e.Offset
		}
	}
}

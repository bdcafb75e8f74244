// SPDX-License-Identifier: Apache-2.0

package p9client

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// share is a daemon, a client of it, and what the client is attached to.
type share struct {
	daemon *rig.Daemon
	export string
	client *p9.Client
	root   p9.File
}

func start(t *testing.T, args ...string) *share {
	t.Helper()
	s := &share{export: rig.Export(t)}
	s.daemon = rig.StartDaemon(t, s.export, args...)
	s.client, s.root = connect(t, s.daemon)
	return s
}

func connect(t *testing.T, d *rig.Daemon, opts ...p9.ClientOpt) (*p9.Client, p9.File) {
	t.Helper()
	client, err := p9.NewClient(rig.DialRing(t, d.Socket, 1), opts...)
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	return client, root
}

func walk(t *testing.T, from p9.File, names ...string) p9.File {
	t.Helper()
	_, f, err := from.Walk(names)
	if err != nil {
		t.Fatalf("walk %q: %v", names, err)
	}
	return f
}

func create(t *testing.T, dir p9.File, name string, mode p9.FileMode) p9.File {
	t.Helper()
	f, _, _, err := walk(t, dir).Create(name, p9.ReadWrite, mode, p9.NoUID, p9.GID(os.Getgid()))
	if err != nil {
		t.Fatalf("create %q: %v", name, err)
	}
	return f
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func fails(t *testing.T, what string, err error, want ...linux.Errno) {
	t.Helper()
	var errno linux.Errno
	if !errors.As(err, &errno) || !slices.Contains(want, errno) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func hostStat(t *testing.T, elem ...string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, "lstat on the host", unix.Lstat(filepath.Join(elem...), &st))
	return st
}

func TestFiles(t *testing.T) {
	s := start(t)
	f := create(t, s.root, "file", 0o640)
	content := make([]byte, 1_000_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	n, err := f.WriteAt(content, 0)
	if err != nil || n != len(content) {
		t.Fatalf("write: %d bytes, %v", n, err)
	}
	if _, err := f.WriteAt([]byte("far"), 3_000_000); err != nil {
		t.Fatal(err)
	}
	content = append(append(content, make([]byte, 2_000_000)...), "far"...)
	got, err := os.ReadFile(filepath.Join(s.export, "file"))
	must(t, "reading on the host", err)
	if !bytes.Equal(got, content) {
		t.Error("on the host the file has other content")
	}
	clear(got)
	if n, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got[:n], content) {
		t.Errorf("read: %d bytes, %v", n, err)
	}
	if n, _ := f.ReadAt(got, int64(len(content))); n != 0 {
		t.Errorf("read at the end: %d bytes", n)
	}

	qid, _, attr, err := f.GetAttr(p9.AttrMaskAll)
	must(t, "getattr", err)
	st := hostStat(t, s.export, "file")
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"size", attr.Size, uint64(st.Size)},
		{"mode", uint64(attr.Mode), uint64(st.Mode)},
		{"nlink", uint64(attr.NLink), uint64(st.Nlink)},
		{"uid", uint64(attr.UID), uint64(st.Uid)},
		{"gid", uint64(attr.GID), uint64(st.Gid)},
		{"blocks", attr.Blocks, uint64(st.Blocks)},
		{"mtime", attr.MTimeSeconds, uint64(st.Mtim.Sec)},
		{"mtime nanoseconds", attr.MTimeNanoSeconds, uint64(st.Mtim.Nsec)},
		{"ctime nanoseconds", attr.CTimeNanoSeconds, uint64(st.Ctim.Nsec)},
		{"QID type", uint64(qid.Type), uint64(p9.TypeRegular)},
	} {
		if c.got != c.want {
			t.Errorf("getattr: %s is %d, the host's %d", c.name, c.got, c.want)
		}
	}

	must(t, "setattr", f.SetAttr(p9.SetAttrMask{Permissions: true, Size: true, ATime: true, ATimeNotSystemTime: true, MTime: true, MTimeNotSystemTime: true}, p9.SetAttr{
		Permissions: 0o1711, Size: 5, ATimeSeconds: 1234567890, ATimeNanoSeconds: 987654321, MTimeSeconds: 1, MTimeNanoSeconds: 2,
	}))
	st = hostStat(t, s.export, "file")
	if st.Mode&0o7777 != 0o1711 || st.Size != 5 ||
		st.Atim != (unix.Timespec{Sec: 1234567890, Nsec: 987654321}) || st.Mtim != (unix.Timespec{Sec: 1, Nsec: 2}) {
		t.Errorf("setattr: the host has mode %o, size %d, times %v %v", st.Mode, st.Size, st.Atim, st.Mtim)
	}
	must(t, "close", f.Close())

	reader := walk(t, s.root, "file")
	if _, _, err := reader.Open(p9.ReadOnly); err != nil {
		t.Fatal(err)
	}
	_, err = reader.WriteAt([]byte("x"), 0)
	fails(t, "write to a file opened for reading", err, linux.EBADF)
	_, _, err = reader.Open(p9.ReadOnly)
	if err == nil {
		t.Error("a fid was opened twice")
	}
}

func TestNames(t *testing.T) {
	s := start(t)
	_, err := s.root.Mkdir("dir", 0o755, p9.NoUID, p9.GID(os.Getgid()))
	must(t, "mkdir", err)
	dir := walk(t, s.root, "dir")
	names := []string{"plain", strings.Repeat("n", 255), "\xff\xfe not UTF-8", " ", "...", "new\nline", "名前", "back\\slash", "-rf"}
	for i := range 300 {
		names = append(names, fmt.Sprintf("file-%03d", i))
	}
	for _, name := range names {
		must(t, "close", create(t, dir, name, 0o644).Close())
	}
	for _, bad := range []string{strings.Repeat("n", 256), "", ".", "..", "a/b", "nul\x00"} {
		_, err := dir.Mkdir(bad, 0o755, p9.NoUID, 0)
		if err == nil {
			t.Errorf("the name %q was taken", bad)
		}
	}
	slices.Sort(names)
	if got := list(t, dir, 1<<20); !slices.Equal(got, names) {
		t.Errorf("in one go the folder has %d names, want %d", len(got), len(names))
	}
	if got := list(t, dir, 600); !slices.Equal(got, names) {
		t.Errorf("in small parts the folder has %d names, want %d", len(got), len(names))
	}
	if got := hostList(t, s.export, "dir"); !slices.Equal(got, names) {
		t.Errorf("on the host the folder has %d names, want %d", len(got), len(names))
	}

	must(t, "rename", dir.RenameAt("plain", s.root, "moved"))
	hostStat(t, s.export, "moved")
	must(t, "link", s.root.Link(walk(t, s.root, "moved"), "linked"))
	if st := hostStat(t, s.export, "linked"); st.Nlink != 2 {
		t.Errorf("link: %d links on the host", st.Nlink)
	}
	_, err = s.root.Symlink("../target\xff", "symlink", p9.NoUID, 0)
	must(t, "symlink", err)
	target, err := walk(t, s.root, "symlink").Readlink()
	if err != nil || target != "../target\xff" {
		t.Errorf("readlink: %q, %v", target, err)
	}
	if os.Getuid() == 0 {
		_, err = s.root.Mknod("null", 0o600|unix.S_IFCHR, 1, 3, p9.NoUID, 0)
		must(t, "mknod", err)
		if st := hostStat(t, s.export, "null"); st.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("mknod: device %#x", st.Rdev)
		}
		_, _, err = walk(t, s.root, "null").Open(p9.ReadOnly)
		if err == nil {
			t.Error("a device of the host was opened")
		}
	}
	fails(t, "unlink of a folder", s.root.UnlinkAt("dir", 0), linux.EISDIR, linux.EPERM)
	fails(t, "removal of a full folder", s.root.UnlinkAt("dir", unix.AT_REMOVEDIR), linux.ENOTEMPTY)
	fails(t, "removal of what is missing", s.root.UnlinkAt("missing", 0), linux.ENOENT)
	for _, name := range names {
		if name != "plain" {
			must(t, "unlink", dir.UnlinkAt(name, 0))
		}
	}
	must(t, "rmdir", s.root.UnlinkAt("dir", unix.AT_REMOVEDIR))
	if got, want := hostList(t, s.export), list(t, s.root, 1<<20); !slices.Equal(got, want) {
		t.Errorf("at the end the host has %q, the client sees %q", got, want)
	}
}

// list reads a folder, in parts of count bytes, and returns the names in it, sorted.
func list(t *testing.T, dir p9.File, count uint32) []string {
	t.Helper()
	dir = walk(t, dir)
	defer dir.Close()
	if _, _, err := dir.Open(p9.ReadOnly); err != nil {
		t.Fatal(err)
	}
	var names []string
	for offset := uint64(0); ; {
		entries, err := dir.Readdir(offset, count)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.Name != "." && e.Name != ".." {
				names = append(names, e.Name)
			}
			offset = e.Offset
		}
	}
	slices.Sort(names)
	return names
}

func hostList(t *testing.T, elem ...string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(elem...))
	must(t, "listing on the host", err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

func TestWalk(t *testing.T) {
	s := start(t)
	deep := "/"
	var names []string
	for i := range 16 {
		names = append(names, fmt.Sprint("d", i))
		deep = filepath.Join(deep, names[i])
	}
	must(t, "mkdir on the host", os.MkdirAll(filepath.Join(s.export, deep), 0o755))
	must(t, "writing outside", os.WriteFile(filepath.Join(filepath.Dir(s.export), "outside"), nil, 0o600))
	must(t, "symlink on the host", os.Symlink("..", filepath.Join(s.export, "up")))
	qids, f, err := s.root.Walk(names)
	must(t, "walk of 16 names", err)
	if len(qids) != 16 {
		t.Errorf("%d QIDs for 16 names", len(qids))
	}
	rootQID, _, _, err := s.root.GetAttr(p9.AttrMask{INo: true})
	must(t, "getattr", err)
	up := make([]string, 16)
	for i := range up {
		up[i] = ".."
	}
	back, _, err := f.Walk(up)
	must(t, "walk back", err)
	if back[15].Path != rootQID.Path {
		t.Errorf("16 times up from 16 times down is %v, not the root %v", back[15], rootQID)
	}
	above, _, err := s.root.Walk(up)
	must(t, "walk above the root", err)
	for _, qid := range above {
		if qid.Path != rootQID.Path {
			t.Errorf("above the root is %v, not the root %v", qid, rootQID)
		}
	}
	for _, path := range [][]string{{"..", "outside"}, {"up", "outside"}, {"missing"}, {"d0", "missing", "d2"}, {"d0/d1"}} {
		// A walk that ends early has fewer QIDs, and makes no fid.
		if qids, _, err := s.root.Walk(path); err == nil && len(qids) == len(path) {
			t.Errorf("the walk %q succeeded", path)
		}
	}
	// The number that a guest shows is the QID's path and 2.
	st := hostStat(t, s.export, "d0")
	qids, _, err = s.root.Walk([]string{"d0"})
	must(t, "walk", err)
	if qids[0].Path&(1<<48-1) != st.Ino&(1<<48-1) {
		t.Errorf("QID path %#x for inode %#x", qids[0].Path, st.Ino)
	}
}

// TestUnlinked uses a file whose name is gone, on the guest's side or on the host's.
func TestUnlinked(t *testing.T) {
	for _, side := range []string{"guest", "host"} {
		t.Run(side, func(t *testing.T) {
			s := start(t)
			f := create(t, s.root, "file", 0o644)
			closed := walk(t, s.root, "file")
			if side == "host" {
				must(t, "unlink on the host", os.Remove(filepath.Join(s.export, "file")))
			} else {
				must(t, "unlink", s.root.UnlinkAt("file", 0))
			}
			_, err := f.WriteAt([]byte("content"), 0)
			must(t, "write", err)
			buf := make([]byte, 100)
			n, _ := f.ReadAt(buf, 0)
			if string(buf[:n]) != "content" {
				t.Errorf("read %q", buf[:n])
			}
			must(t, "truncate", f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: 3}))
			_, _, attr, err := f.GetAttr(p9.AttrMaskAll)
			must(t, "getattr", err)
			if attr.Size != 3 || attr.NLink != 0 {
				t.Errorf("getattr: size %d, %d links", attr.Size, attr.NLink)
			}
			must(t, "getattr through a fid that is not open", func() error {
				_, _, attr, err := closed.GetAttr(p9.AttrMaskAll)
				if err == nil && attr.Size != 3 {
					t.Errorf("it has size %d", attr.Size)
				}
				return err
			}())
			must(t, "chmod through a fid that is not open", closed.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{Permissions: 0o600}))
			_, _, err = closed.Open(p9.ReadOnly)
			must(t, "open of a fid whose name is gone", err)
		})
	}
}

// TestParallel has many files written and read at once through one ring.
func TestParallel(t *testing.T) {
	s := start(t)
	var wg sync.WaitGroup
	for worker := range 24 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 0))
			name := fmt.Sprint("file-", worker)
			f, _, _, err := func() (p9.File, p9.QID, uint32, error) {
				_, dir, err := s.root.Walk(nil)
				if err != nil {
					return nil, p9.QID{}, 0, err
				}
				return dir.Create(name, p9.ReadWrite, 0o644, p9.NoUID, 0)
			}()
			if err != nil {
				t.Errorf("worker %d: %v", worker, err)
				return
			}
			defer f.Close()
			model := make([]byte, 200_000)
			for range 60 {
				off := r.IntN(len(model))
				n := r.IntN(min(len(model)-off, 100_000)) + 1
				if r.IntN(2) == 0 {
					for i := range n {
						model[off+i] = byte(r.Uint32())
					}
					if _, err := f.WriteAt(model[off:off+n], int64(off)); err != nil {
						t.Errorf("worker %d: write: %v", worker, err)
						return
					}
				} else {
					got := make([]byte, n)
					read, _ := f.ReadAt(got, int64(off))
					if !bytes.Equal(got[:read], model[off:off+read]) {
						t.Errorf("worker %d: other content at %d", worker, off)
						return
					}
				}
			}
			host, err := os.ReadFile(filepath.Join(s.export, name))
			if err != nil || !bytes.Equal(host, model[:len(host)]) {
				t.Errorf("worker %d: on the host: %v", worker, err)
			}
		})
	}
	wg.Wait()
}

func TestStatFS(t *testing.T) {
	s := start(t)
	got, err := s.root.StatFS()
	must(t, "statfs", err)
	var want unix.Statfs_t
	must(t, "statfs on the host", unix.Statfs(s.export, &want))
	if got.BlockSize != uint32(want.Bsize) || got.Blocks != want.Blocks || got.Files != want.Files || got.NameLength != uint32(want.Namelen) {
		t.Errorf("%+v, the host's is %+v", got, want)
	}
}

func TestReadOnly(t *testing.T) {
	export := rig.Export(t)
	must(t, "writing on the host", os.WriteFile(filepath.Join(export, "file"), []byte("content"), 0o644))
	d := rig.StartDaemon(t, export, "--readonly")
	_, root := connect(t, d)
	f := walk(t, root, "file")
	if _, _, err := walk(t, root, "file").Open(p9.ReadWrite); err == nil {
		t.Error("a file was opened for writing")
	}
	_, _, err := f.Open(p9.ReadOnly)
	must(t, "open", err)
	buf := make([]byte, 100)
	if n, _ := f.ReadAt(buf, 0); string(buf[:n]) != "content" {
		t.Errorf("read %q", buf[:n])
	}
	_, err = root.Mkdir("dir", 0o755, p9.NoUID, 0)
	fails(t, "mkdir", err, linux.EROFS)
	fails(t, "chmod", f.SetAttr(p9.SetAttrMask{Permissions: true}, p9.SetAttr{}), linux.EROFS)
	fails(t, "unlink", root.UnlinkAt("file", 0), linux.EROFS)
	fails(t, "rename", root.RenameAt("file", root, "other"), linux.EROFS)
	_, _, _, err = walk(t, root).Create("new", p9.ReadWrite, 0o644, p9.NoUID, 0)
	fails(t, "create", err, linux.EROFS)
	if got := hostList(t, export); !slices.Equal(got, []string{"file"}) {
		t.Errorf("the export has %q", got)
	}
}

// TestFrontEnds has one daemon serve several front ends, one after the other: each
// finds nothing of the one before.
func TestFrontEnds(t *testing.T) {
	s := start(t)
	before := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.daemon.Pid()))
		must(t, "counting the daemon's files", err)
		return len(entries)
	}
	base := 0
	for n := range 5 {
		var conn *rig.Ring
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if n == 0 {
				return // the one that start connected
			}
			conn = rig.DialRing(t, s.daemon.Socket, uint64(n))
			client, err := p9.NewClient(conn)
			must(t, "version", err)
			root, err := client.Attach("")
			must(t, "attach", err)
			f := create(t, root, fmt.Sprint("file-", n), 0o644)
			if _, err := f.WriteAt([]byte("content"), 0); err != nil {
				t.Errorf("write: %v", err)
			}
			for i := range 50 {
				_, dir, err := root.Walk(nil)
				must(t, "walk", err)
				_, _, _, err = dir.Create(fmt.Sprintf("%d-%d", n, i), p9.ReadWrite, 0o644, p9.NoUID, 0)
				must(t, "create", err)
			}
		})
		if n == 0 {
			_ = s.client.Close()
		}
		rig.Eventually(t, rig.Moment, func() error {
			now := before()
			if base == 0 {
				base = now
			}
			if now > base+5 {
				return fmt.Errorf("after front end %d the daemon has %d files open, before %d", n, now, base)
			}
			return nil
		})
	}
}

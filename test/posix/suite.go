// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// suite is one run: who makes the calls, and what came of them.
type suite struct {
	root       *caller // this process
	second     *caller // another process of root's
	alice, bob *caller
	out        *bufio.Writer
	only       string // prefix of the names of the checks that are shown

	done, failed int
}

// T is a group of checks with a folder of its own, which is root's, with mode 0755. It is
// everybody's working directory, so that the paths of the checks are short: without a
// cache the guest asks the server for each step of a path, each time.
type T struct {
	*suite
	name string
	home string // the folder's absolute path
	dir  string // what it is to the checks
}

// unprepared ends a group whose files could not be made.
type unprepared struct{}

// group runs f with a fresh folder and a longer name.
func (t *T) group(name string, f func(*T)) {
	t.again(name, f, func(sub *T) { sub.must("mkdir "+name, t.root.mkdir(sub.home, 0o755)) })
}

// again runs f with the folder of a group that was there before, after the preparations.
func (t *T) again(name string, f func(*T), prepare ...func(*T)) {
	sub := &T{suite: t.suite, name: strings.TrimPrefix(t.name+"/"+name, "/"), home: filepath.Join(t.home, name), dir: "."}
	defer func() {
		t.enter()
		if p := recover(); p != nil {
			if _, ok := p.(unprepared); !ok {
				panic(p)
			}
		}
	}()
	for _, p := range prepare {
		p(sub)
	}
	sub.enter()
	f(sub)
}

// enter makes the group's folder everybody's working directory.
func (t *T) enter() {
	for _, c := range []*caller{t.root, t.second, t.alice, t.bob} {
		c.do(call{Op: "chdir", Path: t.home})
	}
}

// path returns a path in the group's folder.
func (t *T) path(elem ...string) string {
	return filepath.Join(append([]string{t.dir}, elem...)...)
}

// text is how a value is shown: OK for no error, and an error by its name.
func text(v any) string {
	switch v := v.(type) {
	case unix.Errno:
		if v == 0 {
			return "OK"
		}
		return unix.ErrnoName(v)
	case string:
		if v == "" {
			return `""`
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) || len(v) > 200 {
			return fmt.Sprintf("%.100q (%d bytes)", v, len(v))
		}
		return v
	}
	return fmt.Sprint(v)
}

// is checks a value.
func (t *T) is(what string, got, want any) bool {
	name := t.name + "/" + what
	ok := text(got) == text(want)
	t.done++
	verdict, values := "ok", text(got)
	if !ok {
		t.failed++
		verdict, values = "FAIL", text(got)+", want "+text(want)
	}
	if strings.HasPrefix(name, t.only) {
		fmt.Fprintf(t.out, "%s\t%s\t%s\n", name, verdict, values)
		if !ok {
			t.out.Flush()
		}
	}
	return ok
}

// must prepares: if that fails, the group ends.
func (t *T) must(what string, e unix.Errno) {
	if e != 0 {
		t.is("prepare: "+what, e, unix.Errno(0))
		panic(unprepared{})
	}
}

// file makes a file of root's with content.
func (t *T) file(path, content string, mode uint32) {
	fd, e := t.root.open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, mode)
	t.must("open "+path, e)
	t.must("write "+path, t.root.write(fd, content))
	t.root.close(fd)
}

// give changes the owner of a file, and then the mode, as that takes set-id bits off.
func (t *T) give(path string, to *caller, mode uint32) {
	t.must("chown "+path, t.root.lchown(path, int(to.uid), int(to.gid)))
	st := t.lstat(path)
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.must("chmod "+path, t.root.chmod(path, mode))
	}
}

// folder makes a folder of somebody's.
func (t *T) folder(path string, of *caller, mode uint32) {
	t.must("mkdir "+path, t.root.mkdir(path, 0o755))
	t.give(path, of, mode)
}

// open opens a file as root that must be opened to go on.
func (t *T) open(path string, flags int) int {
	fd, e := t.root.open(path, flags, 0o644)
	t.must("open "+path, e)
	return fd
}

// lstat returns what must be there to go on.
func (t *T) lstat(path string) unix.Stat_t {
	st, e := t.root.lstat(path)
	t.must("lstat "+path, e)
	return st
}

func (t *T) fstat(fd int) unix.Stat_t {
	st, e := t.root.fstat(fd)
	t.must("fstat", e)
	return st
}

// exists reports whether there is something of that name.
func (t *T) exists(path string) bool {
	_, e := t.root.lstat(path)
	return e == 0
}

// mode returns a file's permissions, in octal.
func (t *T) mode(path string) string { return octal(t.lstat(path).Mode & 0o7777) }

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

// owner returns a file's owner and group.
func (t *T) owner(path string) string {
	st := t.lstat(path)
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// content returns what is in a file.
func (t *T) content(path string) string {
	fd, e := t.root.open(path, unix.O_RDONLY, 0)
	if e != 0 {
		return text(e)
	}
	defer t.root.close(fd)
	s, e := t.root.pread(fd, 1<<20, 0)
	if e != 0 {
		return text(e)
	}
	return s
}

// kind is a type of file.
type kind struct {
	name string
	bits uint32
}

const (
	nullDevice = 1<<8 | 3   // a character device that every guest has
	noDevice   = 240<<8 | 7 // a number for local use
)

var (
	regular   = kind{"regular", unix.S_IFREG}
	directory = kind{"directory", unix.S_IFDIR}
	fifo      = kind{"fifo", unix.S_IFIFO}
	char      = kind{"char", unix.S_IFCHR}
	block     = kind{"block", unix.S_IFBLK}
	socket    = kind{"socket", unix.S_IFSOCK}
	symlink   = kind{"symlink", unix.S_IFLNK}

	kinds       = []kind{regular, directory, fifo, char, block, socket, symlink}
	plain       = []kind{regular, directory, fifo, char, block, socket} // that have a mode
	nonFolders  = []kind{regular, fifo, char, block, socket, symlink}
	nonTraverse = []kind{regular, fifo, char, block, socket}
)

// create makes a file of the kind as a caller.
func (k kind) create(c *caller, path string, mode uint32) unix.Errno {
	switch k {
	case regular:
		fd, e := c.open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, mode)
		if e == 0 {
			c.close(fd)
		}
		return e
	case directory:
		return c.mkdir(path, mode)
	case symlink:
		return c.symlink("nowhere", path)
	case char:
		return c.mknod(path, k.bits|mode, nullDevice)
	case block:
		return c.mknod(path, k.bits|mode, noDevice)
	}
	return c.mknod(path, k.bits|mode, 0)
}

// remove removes a file of the kind as a caller.
func (k kind) remove(c *caller, path string) unix.Errno {
	if k == directory {
		return c.rmdir(path)
	}
	return c.unlink(path)
}

// a makes a file of a kind for somebody.
func (t *T) a(k kind, path string, of *caller, mode uint32) {
	t.must("make "+path, k.create(t.root, path, mode))
	t.give(path, of, mode)
}

// tick is longer than a file system's clock takes to the next time: then a change shows.
const tick = 11 * time.Millisecond

// withinSecond sees to it that what follows, if it does not take long, is all done in one second:
// times that Linux' 9p driver sets by itself, while it caches, have no parts of a second, and show
// a change after a change only in the next one.
func withinSecond() {
	const enough = 500 * time.Millisecond
	if left := time.Second - time.Duration(time.Now().Nanosecond()); left < enough {
		time.Sleep(left + 2*tick) // the clock of file systems lags behind by a tick
	}
}

// track is a file whose times are watched: changes are the letters of those that must
// change (a, m and c for access, modification and status change), or "gone".
type track struct{ path, changes string }

// moves makes a call and checks its error and which times it has changed of which files.
func (t *T) moves(what string, f func() unix.Errno, want unix.Errno, tracks ...track) {
	before := make([]unix.Stat_t, len(tracks))
	for i, tr := range tracks {
		before[i] = t.lstat(tr.path)
	}
	if want == 0 {
		time.Sleep(tick)
	}
	t.is(what, f(), want)
	for i, tr := range tracks {
		changes := "gone"
		if after, e := t.root.lstat(tr.path); e == 0 {
			changes = changed(&before[i], &after)
		}
		name := strings.TrimPrefix(tr.path, "./")
		if len(name) > 40 {
			name = "long name"
		}
		t.is(what+"/times of "+name, changes, tr.changes)
	}
}

// changed returns the letters of the times that are not the same.
func changed(a, b *unix.Stat_t) string {
	s := ""
	if a.Atim != b.Atim {
		s += "a"
	}
	if a.Mtim != b.Mtim {
		s += "m"
	}
	if a.Ctim != b.Ctim {
		s += "c"
	}
	return s
}

// refuses makes a call that must fail, and change no times.
func (t *T) refuses(what string, want unix.Errno, f func() unix.Errno, paths ...string) {
	tracks := make([]track, len(paths))
	for i, path := range paths {
		tracks[i] = track{path, ""}
	}
	t.moves(what, f, want, tracks...)
}

// newSuite starts the callers.
func newSuite(only string) (*suite, error) {
	prepareProcess()
	s := &suite{out: bufio.NewWriter(os.Stdout), only: only, root: &caller{name: "root", pid: os.Getpid()}}
	for _, c := range []struct {
		to   **caller
		name string
		id   uint32
		sup  []uint32
	}{
		{&s.second, "second", 0, nil},
		{&s.alice, "alice", aliceID, []uint32{own, shared}},
		{&s.bob, "bob", bobID, []uint32{shared}},
	} {
		var err error
		if *c.to, err = startCaller(c.name, c.id, c.id, c.sup...); err != nil {
			s.end()
			return nil, fmt.Errorf("starting %s: %w", c.name, err)
		}
	}
	return s, nil
}

func (s *suite) end() {
	for _, c := range []*caller{s.second, s.alice, s.bob} {
		if c != nil {
			c.end()
		}
	}
	s.out.Flush()
}

// all runs the groups that the prefix allows.
func (t *T) all() error {
	for _, g := range groups {
		if !strings.HasPrefix(g.name, t.only) && !strings.HasPrefix(t.only, g.name+"/") {
			continue
		}
		began := time.Now()
		t.group(g.name, g.run)
		if err := os.RemoveAll(filepath.Join(t.home, g.name)); err != nil {
			return fmt.Errorf("removing the files of %s: %w", g.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.1f s\n", g.name, time.Since(began).Seconds())
	}
	return nil
}

func (s *suite) outcome() error {
	fmt.Fprintf(s.out, "%d checks, %d failed\n", s.done, s.failed)
	if s.failed > 0 {
		return fmt.Errorf("%d of %d checks failed", s.failed, s.done)
	}
	return nil
}

// protected reports whether the kernel adds restrictions of its own (fs.protected_*).
func protected(what string) bool {
	b, err := os.ReadFile("/proc/sys/fs/protected_" + what)
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

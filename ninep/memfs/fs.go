// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Config bounds an FS. The zero value is a working default.
type Config struct {
	// MaxFileSize is the size beyond which a file cannot grow, in bytes: writes
	// fail with EFBIG. If not set, 64 MiB is used.
	MaxFileSize int64
	// MaxNodes is the number of files beyond which ENOSPC is returned. If not
	// set, 1 << 20 is used.
	MaxNodes int
}

// FS is a file tree in memory.
type FS struct {
	cfg   Config
	locks lockTable
	files atomic.Int64 // Files that are not closed

	// mu guards all nodes.
	mu       sync.RWMutex
	root     *node
	lastPath uint64 // QID path given out last
	nodes    int
}

// New returns a tree that holds its root directory only.
func New(cfg Config) *FS {
	if cfg.MaxFileSize == 0 {
		cfg.MaxFileSize = 64 << 20
	}
	if cfg.MaxNodes == 0 {
		cfg.MaxNodes = 1 << 20
	}
	fs := &FS{cfg: cfg}
	fs.root, _ = fs.newNode(unix.S_IFDIR|0o755, 0, 0)
	fs.root.parent = fs.root
	fs.root.nlink = 2
	return fs
}

// node is one inode.
type node struct {
	path     uint64
	version  uint32 // of QID: grows with each change
	mode     uint32
	uid, gid uint32
	nlink    uint64
	rdev     uint64

	atime, mtime, ctime, btime ninep.Time

	data   []byte            // of a regular file
	target string            // of a symlink
	xattrs map[string][]byte // without order: listed sorted

	// Of a directory.
	parent     *node
	entries    []entry // by ascending cookie
	byName     map[string]*node
	lastCookie uint64
}

// entry is a name in a directory. Its cookie stays its own as long as it exists,
// so that reading a directory goes on rightly while others come and go.
type entry struct {
	name   string
	cookie uint64
	node   *node
}

// Cookies of the entries that every directory has.
const (
	cookieDot = iota + 1
	cookieDotDot
)

func (n *node) isDir() bool { return n.mode&unix.S_IFMT == unix.S_IFDIR }
func (n *node) isReg() bool { return n.mode&unix.S_IFMT == unix.S_IFREG }

func (n *node) qid() ninep.QID {
	q := ninep.QID{Version: n.version, Path: n.path}
	switch n.mode & unix.S_IFMT {
	case unix.S_IFDIR:
		q.Type = ninep.QTDir
	case unix.S_IFLNK:
		q.Type = ninep.QTSymlink
	}
	return q
}

func now() ninep.Time {
	t := time.Now()
	return ninep.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())}
}

// changed notes a change of metadata, modified one of content.
func (n *node) changed() {
	n.ctime = now()
	n.version = max(n.version+1, 1)
}

func (n *node) modified() {
	n.changed()
	n.mtime = n.ctime
}

// newNode makes a node without a name.
//
// Preconditions: fs.mu is held for writing, or fs is new.
func (fs *FS) newNode(mode, uid, gid uint32) (*node, error) {
	if fs.nodes >= fs.cfg.MaxNodes {
		return nil, unix.ENOSPC
	}
	fs.nodes++
	fs.lastPath++
	t := now()
	n := &node{path: fs.lastPath, version: 1, mode: mode, uid: uid, gid: gid, nlink: 1, atime: t, mtime: t, ctime: t, btime: t}
	if uid == ninep.NoFID { // -1: nobody was named
		n.uid = 0
	}
	if gid == ninep.NoFID {
		n.gid = 0
	}
	if n.isDir() {
		n.nlink = 2
		n.byName = make(map[string]*node)
		n.lastCookie = cookieDotDot
	}
	return n, nil
}

// enter gives n the name in the directory dir, where it is free.
//
// Preconditions: fs.mu is held for writing.
func (dir *node) enter(name string, n *node) {
	dir.lastCookie++
	dir.entries = append(dir.entries, entry{name, dir.lastCookie, n})
	dir.byName[name] = n
	if n.isDir() {
		n.parent = dir
		dir.nlink++
	}
	dir.modified()
}

// leave takes the name out of dir.
//
// Preconditions: fs.mu is held for writing; the name exists.
func (dir *node) leave(name string) {
	n := dir.byName[name]
	delete(dir.byName, name)
	dir.entries = slices.DeleteFunc(dir.entries, func(e entry) bool { return e.name == name })
	if n.isDir() {
		dir.nlink--
	}
	dir.modified()
}

// unlink is leave for a node that loses a link by it.
func (fs *FS) unlink(dir *node, name string) {
	n := dir.byName[name]
	dir.leave(name)
	if n.isDir() {
		n.nlink = 0
	} else {
		n.nlink--
	}
	if n.nlink == 0 {
		fs.nodes--
	}
	n.changed()
}

// insert makes a node of the mode under the name in dir.
//
// Preconditions: fs.mu is held for writing.
func (fs *FS) insert(dir *node, name ninep.Name, mode, uid, gid uint32) (*node, error) {
	switch {
	case !dir.isDir():
		return nil, unix.ENOTDIR
	case dir.nlink == 0:
		return nil, unix.ENOENT
	case dir.byName[string(name)] != nil:
		return nil, unix.EEXIST
	}
	n, err := fs.newNode(mode, uid, gid)
	if err != nil {
		return nil, err
	}
	dir.enter(string(name), n)
	return n, nil
}

// Attach returns the root, or the directory that aname names by its path, in which
// no part may be "..".
func (fs *FS) Attach(_ *ninep.Call, aname ninep.Name) (ninep.File, ninep.QID, error) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n := fs.root
	for name := range strings.SplitSeq(string(aname), "/") {
		switch {
		case name == "" || name == ".":
			continue
		case len(name) > 255:
			return nil, ninep.QID{}, unix.ENAMETOOLONG
		case !n.isDir():
			return nil, ninep.QID{}, unix.ENOTDIR
		}
		if n = n.byName[name]; n == nil {
			return nil, ninep.QID{}, unix.ENOENT
		}
	}
	if !n.isDir() {
		return nil, ninep.QID{}, unix.ENOTDIR
	}
	fs.files.Add(1)
	return &file{fs: fs, node: n, root: n}, n.qid(), nil
}

// OpenFiles returns the number of Files that were made and not closed: a session
// that has ended leaves none.
func (fs *FS) OpenFiles() int { return int(fs.files.Load()) }

// Reset drops all locks.
func (fs *FS) Reset() { fs.locks.reset() }

// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// record is what fileMeta remembers of an inode that fids refer to.
type record struct {
	refs int // guarded by records.mu

	mu   sync.Mutex
	dir  *node // where it was last found, with a reference; nil if not looked for
	name []byte
	last metadata // what was last read or written, for when there is no name
}

// records are those of all inodes in use.
type records struct {
	mu sync.Mutex
	of map[*node]*record
}

// track gives a file its record.
func (k *fileMeta) track(m *mapped) {
	rs := &k.records
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.of[m.n]
	if r == nil {
		r = new(record)
		rs.of[m.n] = r
	}
	r.refs++
	m.rec = r
}

// untrack takes a file's record back.
func (k *fileMeta) untrack(m *mapped) {
	k.forget(m.n, m.rec)
	m.rec = nil
}

// forget gives a reference to the record of n back.
func (k *fileMeta) forget(n *node, r *record) {
	rs := &k.records
	rs.mu.Lock()
	r.refs--
	last := r.refs == 0
	if last {
		delete(rs.of, n)
	}
	rs.mu.Unlock()
	if last {
		k.fs.nodes.put(r.dir)
	}
}

// known returns the record of n, with a reference, or nil.
func (k *fileMeta) known(n *node) *record {
	k.records.mu.Lock()
	defer k.records.mu.Unlock()
	r := k.records.of[n]
	if r != nil {
		r.refs++
	}
	return r
}

func (r *record) remembered() metadata {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *record) remember(md *metadata) {
	r.mu.Lock()
	r.last = *md
	r.mu.Unlock()
}

// change changes what is remembered.
func (r *record) change(set *metadata) {
	now := time.Now()
	r.mu.Lock()
	r.last.update(set)
	r.last.stamp(unix.StatxTimestamp{Sec: now.Unix(), Nsec: uint32(now.Nanosecond())})
	r.mu.Unlock()
}

// moved remembers where the inode is.
func (k *fileMeta) moved(r *record, dir *node, name []byte) {
	name = slices.Clone(name)
	dir.hold()
	r.mu.Lock()
	dir, r.dir, r.name = r.dir, dir, name
	r.mu.Unlock()
	k.fs.nodes.put(dir)
}

// place returns where the inode was last found, with a reference to the directory.
func (r *record) place() (*node, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == nil {
		return nil, nil
	}
	return r.dir.hold(), r.name
}

// place is an entry that is locked. The root of the export is in itself, without a name.
type place struct {
	dir  *node // with a reference
	name []byte
	lock *sync.RWMutex
	only bool // nobody else has the lock
}

// find returns where m is, locked; to be changed if write is set. ENOENT if it has no name,
// or none that is known.
func (k *fileMeta) find(t *thread, m *mapped, write bool) (place, unix.Errno) {
	fs := k.fs
	if m.n == fs.attaches.root.root {
		return k.lockPlace(m.n.hold(), nil, write), 0
	}
	for range maxRaces {
		if m.parent != nil {
			if p, ok := k.lockedAs(t, m, m.parent.hold(), write); ok {
				return p, 0
			}
		}
		if dir, _ := m.rec.place(); dir != nil {
			if p, ok := k.lockedAs(t, m, dir, write); ok {
				return p, 0
			}
		}
		if !k.search(t, m) {
			break
		}
	}
	return place{}, unix.ENOENT
}

// lockedAs locks the names in dir, and returns the one that m has there, if it is known.
// It takes over the reference to dir.
func (k *fileMeta) lockedAs(t *thread, m *mapped, dir *node, write bool) (place, bool) {
	p := k.lockPlace(dir, nil, write)
	if m.parent == dir {
		p.name = m.name.bytes()
		if k.fs.entryIs(t, dir, t.cname(p.name), m.n) {
			return p, true
		}
	}
	// Renames by this server are known in the moment in which the lock is given back.
	now, name := m.rec.place()
	k.fs.nodes.put(now)
	if now == dir {
		p.name = name
		if k.fs.entryIs(t, dir, t.cname(p.name), m.n) {
			return p, true
		}
	}
	k.release(p)
	return place{}, false
}

// search asks the kernel where m is, and reports whether it makes sense to look again: the
// name may change at any time.
func (k *fileMeta) search(t *thread, m *mapped) bool {
	if e := m.n.statx(t, unix.STATX_NLINK); e != 0 || t.stx.Nlink == 0 {
		return false
	}
	if !m.n.isDir() && t.stx.Nlink != 1 {
		return false // the descriptor may come from another name
	}
	fd, e := m.n.pin(t)
	if e != 0 {
		return false
	}
	defer m.n.unpin()
	dir, name, e := k.fs.whereIs(t, k.fs.attaches.root.root, m.n, fd)
	if e == 0 {
		k.moved(m.rec, dir, name)
		k.fs.nodes.put(dir)
	}
	return e == 0 || e == unix.ENOENT
}

// dirLocks are the locks of directories, which some share.
type dirLocks [64]sync.RWMutex

func (d *dirLocks) of(n *node) *sync.RWMutex { return &d[n.hash()%uint64(len(d))] }

// lockPlace takes over the reference to dir.
func (k *fileMeta) lockPlace(dir *node, name []byte, write bool) place {
	p := place{dir, name, k.dirs.of(dir), write}
	if write {
		p.lock.Lock()
	} else {
		p.lock.RLock()
	}
	return p
}

func (k *fileMeta) release(p place) {
	if p.only {
		p.lock.Unlock()
	} else {
		p.lock.RUnlock()
	}
	k.fs.nodes.put(p.dir)
}

// lockDirs locks the names in directories, of which some may be nil or the same, in an
// order that all keep to. It returns what unlocks them.
func (k *fileMeta) lockDirs(dirs ...*node) (unlock func()) {
	var index []int
	for _, n := range dirs {
		if n != nil {
			index = append(index, int(n.hash()%uint64(len(k.dirs))))
		}
	}
	slices.Sort(index)
	index = slices.Compact(index)
	for _, i := range index {
		k.dirs[i].Lock()
	}
	return func() {
		for _, i := range index {
			k.dirs[i].Unlock()
		}
	}
}

// flockDirs takes the locks that other daemons see on the directories of metadata of a and
// b, which are opened as fa and fb, or -1.
func flockDirs(a *node, fa int32, b *node, fb int32) {
	if cmp.Or(cmp.Compare(a.dev, b.dev), cmp.Compare(a.ino, b.ino)) > 0 {
		fa, fb = fb, fa
	}
	for _, fd := range []int32{fa, fb} {
		if fd >= 0 {
			lockOut(fd)
		}
	}
}

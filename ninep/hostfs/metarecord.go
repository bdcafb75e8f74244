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
	rs := &k.records
	rs.mu.Lock()
	m.rec.refs--
	last := m.rec.refs == 0
	if last {
		delete(rs.of, m.n)
	}
	rs.mu.Unlock()
	if last {
		k.fs.nodes.put(m.rec.dir)
	}
	m.rec = nil
}

// known returns the record of n, or nil.
func (k *fileMeta) known(n *node) *record {
	k.records.mu.Lock()
	defer k.records.mu.Unlock()
	return k.records.of[n]
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
	if m.parent != nil {
		if p := k.lockPlace(m.parent.hold(), m.name.bytes(), write); fs.entryIs(t, p.dir, t.cname(p.name), m.n) {
			return p, 0
		} else {
			k.release(p)
		}
	}
	for try := 0; try < maxRaces; try++ {
		if dir, name := m.rec.place(); dir != nil {
			p := k.lockPlace(dir, name, write)
			if fs.entryIs(t, p.dir, t.cname(p.name), m.n) {
				return p, 0
			}
			k.release(p)
		}
		if k.search(t, m) != 0 {
			break
		}
	}
	return place{}, unix.ENOENT
}

// search asks the kernel where m is.
func (k *fileMeta) search(t *thread, m *mapped) unix.Errno {
	if e := m.n.statx(t, unix.STATX_NLINK); e != 0 {
		return e
	}
	if !m.n.isDir() && t.stx.Nlink != 1 {
		return unix.ENOENT // it may come from another name
	}
	fd, e := m.n.pin(t)
	if e != 0 {
		return e
	}
	defer m.n.unpin()
	dir, name, e := k.fs.whereIs(t, k.fs.attaches.root.root, m.n, fd)
	if e != 0 {
		return e
	}
	k.moved(m.rec, dir, name)
	k.fs.nodes.put(dir)
	return 0
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

// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
)

// pair is a fid, and what it must be like: a descriptor of the other tree's file.
type pair struct {
	fid  uint32
	path int // O_PATH
	fd   int // -1 unless open
	dir  bool
}

// mirror does the same in both trees.
type mirror struct {
	c      *ninetest.Client
	mapped bool // the served tree is kept by a mapped model
	rng    *rand.Rand
	pairs  []*pair  // the first one is the root of this mirror's trees, and stays
	log    []string // what was done
	step   string
}

const (
	maxPairs = 10
	kept     = 40 // steps that are shown when something differs
)

// names are few, so that operations meet.
var names = []string{"a", "b", "c", "d", "e f", "\xff\xfe", "ü", strings.Repeat("n", 255)}

func (m *mirror) name() string { return names[m.rng.IntN(len(names))] }

func (m *mirror) any() *pair { return m.pairs[m.rng.IntN(len(m.pairs))] }

// directory returns a directory, most of the time.
func (m *mirror) directory() *pair {
	for range 4 {
		if p := m.any(); p.dir {
			return p
		}
	}
	return m.any()
}

// opened returns an open pair, or nil.
func (m *mirror) opened() *pair {
	for range 8 {
		if p := m.any(); p.fd >= 0 {
			return p
		}
	}
	return nil
}

func proc(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func (m *mirror) doing(format string, args ...any) {
	m.step = fmt.Sprintf(format, args...)
	m.log = append(m.log, m.step)
	if len(m.log) > kept {
		m.log = m.log[1:]
	}
}

func (m *mirror) differ(what string, got, want any) error {
	return fmt.Errorf("%s: %s: 9P has %v, the host %v; before:\n  %s", m.step, what, got, want, strings.Join(m.log, "\n  "))
}

// same compares errors: that of 9P, and that of the system call.
func (m *mirror) same(got, want error) error {
	m.log[len(m.log)-1] = fmt.Sprintf("%s: %v", m.step, want)
	if errors.Is(got, want) || got == nil && want == nil {
		return nil
	}
	return m.differ("error", got, want)
}

// add keeps a new pair, and lets an old one go if there are many. It takes path over.
func (m *mirror) add(fid uint32, path int) (*pair, error) {
	p := &pair{fid: fid, path: path, fd: -1}
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return nil, err
	}
	p.dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	m.pairs = append(m.pairs, p)
	if len(m.pairs) > maxPairs {
		return p, m.drop(1 + m.rng.IntN(len(m.pairs)-2))
	}
	return p, nil
}

func (m *mirror) drop(i int) error {
	p := m.pairs[i]
	m.pairs = slices.Delete(m.pairs, i, i+1)
	p.close()
	return m.c.Clunk(p.fid)
}

func (p *pair) close() {
	_ = unix.Close(p.path)
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
	}
}

func (p *pair) writable() bool {
	if p.fd < 0 {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(p.fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
}

// compare compares the attributes, and checks that QID paths and inodes go together.
func (m *mirror) compare(p *pair) error {
	a, err := m.c.Getattr(p.fid, ninep.AttrBasic)
	if err != nil {
		return m.differ("getattr", err, nil)
	}
	var st unix.Stat_t
	if err := unix.Fstat(p.path, &st); err != nil {
		return err
	}
	type attrs struct {
		mode, uid, gid uint32
		nlink, rdev    uint64
		size           int64
	}
	got := attrs{a.Mode, a.UID, a.GID, a.NLink, a.RDev, int64(a.Size)}
	want := attrs{st.Mode, st.Uid, st.Gid, uint64(st.Nlink), ninep.EncodeDev(unix.Major(st.Rdev), unix.Minor(st.Rdev)), st.Size}
	if p.dir { // how large one is depends on what was there before
		got.size, want.size = 0, 0
	}
	if got != want {
		return m.differ("attributes", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
	if a.QID.Version == 0 {
		return m.differ("version", 0, "another")
	}
	for _, other := range m.pairs {
		if other == p {
			continue
		}
		var ost unix.Stat_t
		if err := unix.Fstat(other.path, &ost); err != nil {
			return err
		}
		b, err := m.c.Getattr(other.fid, ninep.AttrBasic)
		if err != nil {
			return m.differ("getattr", err, nil)
		}
		if (ost.Ino == st.Ino) != (a.QID.Path == b.QID.Path) {
			return m.differ("the same file", a.QID.Path == b.QID.Path, ost.Ino == st.Ino)
		}
	}
	return nil
}

// entry describes an entry. The types that models do not know from the host are left out.
func (m *mirror) entry(name string, typ uint8) string {
	if m.mapped && typ != unix.DT_DIR {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%q %d", name, typ)
}

// list compares the entries of an open directory.
func (m *mirror) list(p *pair) error {
	count := uint32(300 + m.rng.IntN(8000))
	m.doing("readdir %d by %d", p.fid, count)
	entries, err := m.c.ReadAllDir(p.fid, count)
	var got []string
	for _, e := range entries {
		if n := string(e.Name); n != "." && n != ".." {
			got = append(got, m.entry(n, e.Type))
		}
	}
	var want []string
	_, hostErr := unix.Seek(p.fd, 0, 0)
	buf := make([]byte, 32<<10)
	for hostErr == nil {
		var n int
		if n, hostErr = unix.Getdents(p.fd, buf); hostErr != nil || n == 0 {
			break
		}
		for rest := buf[:n]; len(rest) > 0; {
			size := int(rest[16]) | int(rest[17])<<8
			name, _, _ := bytes.Cut(rest[19:size], []byte{0})
			if s := string(name); s != "." && s != ".." {
				want = append(want, m.entry(s, rest[18]))
			}
			rest = rest[size:]
		}
	}
	if err := m.same(err, hostErr); err != nil || hostErr != nil {
		return err
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return m.differ("entries", got, want)
	}
	return nil
}

// tree describes what is below a directory of the host.
func tree(dir string) (string, error) {
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%q %o %d:%d links %d", e.Name(), st.Mode, st.Uid, st.Gid, st.Nlink)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " %q", content)
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " -> %q", target)
		case unix.S_IFDIR:
			below, err := tree(path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " {\n%s}", below)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

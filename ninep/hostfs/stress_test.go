// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Workers do all that can be done to a few names at once. What must hold: no error
// that one alone could not meet, content that belongs to the file, owners as asked
// for, nothing left over.
func TestStress(t *testing.T) {
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID)
	t.Run("plenty", func(t *testing.T) { stress(newRig(t), expected) })
	// What loses its name to one worker at the moment at which another looks for it there
	// is as good as removed on the host.
	scarce := maps.Clone(expected)
	scarce[unix.ESTALE] = true
	eachWay(t, 30, func(r *rig, _ bool) { stress(r, scarce) })
}

func stress(r *rig, expected map[error]bool) {
	for _, d := range []string{"d0", "d1", "d0/e"} {
		r.mkdir(d)
	}
	end := time.Now().Add(1500 * time.Millisecond)
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			runtime.LockOSThread()
			s := &stresser{rig: *r, rng: rand.New(rand.NewPCG(uint64(w), 1))}
			s.c = newCall()
			s.c.UID = uint32(1000 * (w % 3))
			for time.Now().Before(end) {
				if err := s.step(); err != nil && !expected[err] {
					r.Errorf("worker %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// expected are the errors of a world that changes meanwhile.
var expected = map[error]bool{
	unix.ENOENT: true, unix.EEXIST: true, unix.ENOTDIR: true, unix.EISDIR: true, unix.ENOTEMPTY: true,
	unix.EINVAL: true, unix.ELOOP: true, unix.ENXIO: true, unix.EBUSY: true, unix.ENODATA: true,
	unix.EBADF: true, // reading what is open for writing
}

type stresser struct {
	rig
	rng *rand.Rand
}

func (s *stresser) dir() []string {
	return [][]string{nil, {"d0"}, {"d1"}, {"d0", "e"}, {"d0", "e", "..", "..", "d1"}}[s.rng.IntN(5)]
}

func (s *stresser) name() ninep.Name { return fmt.Appendf(nil, "n%d", s.rng.IntN(6)) }

func (s *stresser) step() error {
	d, _, err := s.walkFrom(s.root, s.dir()...)
	if err != nil {
		return err
	}
	defer d.Close(nil)
	e, _, err := s.walkFrom(s.root, s.dir()...)
	if err != nil {
		return err
	}
	defer e.Close(nil)
	f, _, err := s.walkFrom(d, string(s.name()))
	if err == nil {
		defer f.Close(nil)
	}
	have := err == nil
	gid := uint32(100 + s.rng.IntN(3))
	switch s.rng.IntN(16) {
	case 0, 1:
		return s.create(gid)
	case 2:
		_, err = d.Mkdir(s.c, s.name(), 0o755, gid)
	case 3:
		_, err = d.Symlink(s.c, s.name(), ninep.Name("/etc/passwd"), gid)
	case 4:
		_, err = d.Mknod(s.c, s.name(), unix.S_IFIFO|0o600, 0, 0, gid)
	case 5:
		err = d.UnlinkAt(s.c, s.name(), 0)
	case 6:
		err = d.UnlinkAt(s.c, s.name(), unix.AT_REMOVEDIR)
	case 7:
		err = d.RenameAt(s.c, s.name(), e, s.name())
	case 8:
		if _, err := d.Open(s.c, unix.O_RDONLY); err != nil {
			return err
		}
		err = d.ReadDir(s.c, 0, ninep.NewDirWriter(make([]byte, 1000)))
	}
	if err != nil || !have {
		return err
	}
	var a ninep.Attr
	switch s.rng.IntN(9) {
	case 0:
		err = f.Remove(s.c)
	case 1:
		err = f.Rename(s.c, e, s.name())
	case 2:
		if err = e.Link(s.c, f, s.name()); err == unix.EPERM {
			err = nil // a directory
		}
	case 3:
		if _, err = f.Open(s.c, uint32(s.rng.IntN(3))); err == nil && !f.n.isDir() {
			err = f.Sync(s.c, true)
		}
	case 4:
		if err = f.SetXattr(s.c, "user.a", []byte("x"), 0); err == unix.EPERM {
			err = nil // a symlink or a fifo
		}
	case 5:
		_, err = f.GetXattr(s.c, ninep.Name("user.a"))
	case 6:
		if f.n.typ != unix.S_IFLNK {
			err = f.SetAttr(s.c, &ninep.SetAttr{Valid: ninep.SetMode | ninep.SetMTime, Mode: 0o755})
		}
	case 7:
		err = f.clone(threadOf(s.c)).closed()
	case 8:
		err = f.GetAttr(s.c, ninep.AttrBasic, &a)
	}
	return err
}

func (f *file) closed() error {
	f.Close(nil)
	return nil
}

// create makes a file and fills it with what tells it from others.
func (s *stresser) create(gid uint32) error {
	f, _, err := s.walkFrom(s.root, s.dir()...)
	if err != nil {
		return err
	}
	defer f.Close(nil)
	if _, err := f.Create(s.c, s.name(), excl, 0o640, gid); err != nil {
		return err
	}
	var a ninep.Attr
	if err := f.GetAttr(s.c, ninep.AttrBasic, &a); err != nil {
		return err
	}
	if a.UID != s.c.UID || a.GID != gid {
		return fmt.Errorf("made for %d:%d, owner is %d:%d", s.c.UID, gid, a.UID, a.GID)
	}
	data := fmt.Sprintf("%d %d", a.QID.Path, s.rng.Uint64())
	s.write(f, 0, data)
	runtime.Gosched()
	if got := s.read(f, 0, 100); got != data {
		return fmt.Errorf("wrote %q, read %q", data, got)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// faultMedium fails one call.
type faultMedium struct {
	lockedMedium
	calls int
	at    int // the call that fails
	err   error
}

func (m *faultMedium) fault() error {
	m.calls++
	if m.calls == m.at {
		return m.err
	}
	return nil
}

func (m *faultMedium) get(name string) ([]byte, error) {
	if err := m.fault(); err != nil {
		return nil, err
	}
	return m.lockedMedium.get(name)
}

func (m *faultMedium) set(name string, value []byte) error {
	if err := m.fault(); err != nil {
		return err
	}
	return m.lockedMedium.set(name, value)
}

func (m *faultMedium) remove(name string) error {
	if err := m.fault(); err != nil {
		return err
	}
	return m.lockedMedium.remove(name)
}

func (m *faultMedium) sync() error {
	if err := m.fault(); err != nil {
		return err
	}
	return m.lockedMedium.sync()
}

func (m *faultMedium) Lock() error {
	if err := m.fault(); err != nil {
		return err
	}
	return m.lockedMedium.Lock()
}

// TestFaultOfEveryCall lets each call of a store's life fail once, with each of
// the errors that disks give. What an operation has confirmed stays, at its place
// and with its identity, and everything else is stored in the end.
func TestFaultOfEveryCall(t *testing.T) {
	for _, l := range layouts() {
		for _, withFile := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/file=%t", l.name, withFile), func(t *testing.T) {
				dir := ""
				if withFile {
					dir = tmpfsDir(t)
				}
				for _, errno := range []error{unix.ENOSPC, unix.EIO, unix.EDQUOT, unix.EROFS, unix.EACCES} {
					for at := 1; faultyLife(t, l, dir, at, errno); at++ {
					}
				}
			})
		}
	}
}

// faultyLife reports whether there were as many calls as that one. There is a
// file if there is a directory for it.
func faultyLife(t *testing.T, l layout, dir string, at int, errno error) bool {
	d := l.disk()
	var stores []*Store
	open := func(m lockedMedium) *Store {
		var file medium
		if dir != "" {
			file = fileIn(t, dir)
		}
		s := newStore(m, m, file, quietConfig())
		stores = append(stores, s)
		return s
	}
	defer func() {
		for _, s := range stores {
			s.Close()
		}
		os.Remove(filepath.Join(dir, testFile))
	}()
	m := &faultMedium{lockedMedium: d.open(), at: at, err: errno}
	s := open(m)
	var confirmed []qidpath.Element
	loaded, err := s.Load()
	if err == nil {
		if !slices.Equal(loaded, l.old) {
			t.Fatalf("%v in call %d: loaded %v", errno, at, loaded)
		}
		confirmed = loaded
	}
	batches := [][]qidpath.Element{l.added(), newElements(3, 1), newElements(4, 3)}
	for _, add := range batches {
		tail, _ := s.Append(len(confirmed), add) // an error's tail is durable too
		confirmed = append(confirmed, tail...)
	}
	if len(l.old) > 0 && l.old[0].Unproven && len(confirmed) > 0 && s.Identify(0, testIdentity(77)) == nil {
		confirmed = proven(confirmed, 0, testIdentity(77))
	}
	_ = s.Flush()
	d.locked = false

	for range 2 {
		again := open(d.open())
		got := mustLoad(t, again)
		if len(got) < len(confirmed) {
			t.Fatalf("%v in call %d: %d elements, confirmed %d", errno, at, len(got), len(confirmed))
		}
		for i, e := range confirmed {
			// It may know more by now.
			if both, ok := unify(e, got[i]); !ok || both != got[i] {
				t.Fatalf("%v in call %d: element %d is %v, confirmed %v", errno, at, i, got[i], e)
			}
		}
		for _, add := range batches {
			got = append(got, mustAppend(t, again, len(got), add...)...)
		}
		if want := len(l.old) + l.add + 4; len(got) != want {
			t.Fatalf("%v in call %d: %d elements in the end, want %d", errno, at, len(got), want)
		}
		confirmed = got
	}
	return m.calls >= at
}

// TestFaultOfEveryStep is the same for the file.
func TestFaultOfEveryStep(t *testing.T) {
	k := newElements(1, 9)
	for _, errno := range []error{unix.ENOSPC, unix.EIO, unix.EDQUOT, unix.EROFS, unix.EACCES} {
		for at := range 12 {
			dir := tmpfsDir(t)
			putFile(t, dir, table1(k[:3]...), nil)
			root := newDisk()
			s := bothOn(t, root.open(), dir, quietConfig())
			confirmed := mustLoad(t, s)
			m := s.file.medium.(*fileMedium)
			once := &faultDir{m.dir, at, errno}
			m.dir = once
			for i := range k[3:] {
				tail, _ := s.Append(len(confirmed), k[3+i:4+i])
				confirmed = append(confirmed, tail...)
			}
			if s.Identify(1, testIdentity(1)) == nil {
				confirmed = proven(confirmed, 1, testIdentity(1))
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			again := bothOn(t, root.open(), dir, quietConfig())
			got := mustLoad(t, again)
			if len(got) < len(confirmed) || !slices.Equal(got[:len(confirmed)], confirmed) {
				t.Fatalf("%v in step %d: loaded %v\nconfirmed %v", errno, at, got, confirmed)
			}
			if got = append(got, mustAppend(t, again, len(got), k[3:]...)...); len(got) != len(k) {
				t.Fatalf("%v in step %d: %d elements in the end", errno, at, len(got))
			}
		}
	}
}

// faultDir fails one step.
type faultDir struct {
	directory
	left int
	err  error
}

func (d *faultDir) step(f func() error) error {
	d.left--
	if d.left == -1 {
		return d.err
	}
	return f()
}

func (d *faultDir) stat(name string) (id fileID, err error) {
	err = d.step(func() error { id, err = d.directory.stat(name); return err })
	return id, err
}

func (d *faultDir) rename(from, to string) error {
	return d.step(func() error { return d.directory.rename(from, to) })
}

func (d *faultDir) sync() error { return d.step(d.directory.sync) }

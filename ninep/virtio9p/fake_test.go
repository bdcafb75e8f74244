// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// fake is a backend with one file, whose operations do what a test wants them to.
type fake struct {
	getattr func(c *ninep.Call) error
	sync    func(c *ninep.Call) error
	lock    func(c *ninep.Call) (ninep.LockStatus, error)
	reads   atomic.Int64
}

func (f *fake) Attach(*ninep.Call, ninep.Name) (ninep.File, ninep.QID, error) {
	return &fakeFile{fake: f}, ninep.QID{Version: 1, Path: 1}, nil
}
func (f *fake) Reset() {}

// fakeFile panics in the methods that it does not have: the embedded interface is nil.
type fakeFile struct {
	ninep.File
	*fake
}

func (f *fakeFile) Walk(_ *ninep.Call, names []ninep.Name, qids []ninep.QID) (ninep.File, int, error) {
	if len(names) > 0 {
		return nil, 0, unix.ENOENT
	}
	return &fakeFile{fake: f.fake}, 0, nil
}

func (f *fakeFile) Open(*ninep.Call, uint32) (ninep.QID, error) {
	return ninep.QID{Version: 1, Path: 1}, nil
}

func (f *fakeFile) GetAttr(c *ninep.Call, _ ninep.AttrMask, attr *ninep.Attr) error {
	attr.Valid, attr.Mode = ninep.AttrBasic, unix.S_IFREG
	if f.getattr == nil {
		return nil
	}
	return f.getattr(c)
}

func (f *fakeFile) Sync(c *ninep.Call, _ bool) error { return f.sync(c) }

func (f *fakeFile) Lock(c *ninep.Call, _ *ninep.Lock) (ninep.LockStatus, error) { return f.lock(c) }

func (f *fakeFile) Read(*ninep.Call, []unix.Iovec, uint64) (int, error) {
	f.reads.Add(1)
	return 0, nil
}

func (f *fakeFile) Close(*ninep.Thread) {}

// gate holds operations up until it is opened.
type gate struct {
	entered chan struct{} // one for each operation that has come
	open    chan struct{}
	once    sync.Once
}

func newGate() *gate {
	return &gate{entered: make(chan struct{}, ringSize), open: make(chan struct{})}
}

// pass blocks the thread as a system call does: not through the scheduler alone.
func (g *gate) pass() {
	g.entered <- struct{}{}
	for {
		select {
		case <-g.open:
			return
		default:
			ts := unix.NsecToTimespec(int64(time.Millisecond))
			_ = unix.Nanosleep(&ts, nil)
		}
	}
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

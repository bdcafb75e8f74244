// SPDX-License-Identifier: Apache-2.0

package qtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/test/rig"
)

// synth is a machine whose folder is like QEMU's file system for tests.
func synth(t *testing.T) *machine {
	t.Helper()
	m := attached(t)
	path := m.export
	for i := range 16 {
		path += fmt.Sprintf("/WALK%d", i)
		m.ok(os.Mkdir(path, 0o700))
	}
	for _, name := range []string{"LOPEN", "WRITE"} {
		m.ok(os.WriteFile(m.path(name), nil, 0o600))
	}
	m.ok(os.Mkdir(m.path("READDIR"), 0o700))
	for i := range 100 {
		m.ok(os.WriteFile(m.path("READDIR", fmt.Sprintf("f%d", i)), nil, 0o600))
	}
	return m
}

func TestSynth(t *testing.T) {
	t.Run("config", func(t *testing.T) { config(t, boot(t)) })
	t.Run("fs/version/basic", func(t *testing.T) {
		m := boot(t)
		size, version, err := m.Version(msize, "9P2000.L")
		m.ok(err)
		if size != msize || version != "9P2000.L" {
			t.Errorf("Rversion says %d and %q", size, version)
		}
	})
	t.Run("fs/attach/basic", func(t *testing.T) { attached(t) })
	t.Run("fs/walk/basic", func(t *testing.T) {
		m := synth(t)
		var names []string
		for i := range 16 {
			names = append(names, fmt.Sprintf("WALK%d", i))
		}
		qids, err := m.Walk(root, 1, names...)
		m.ok(err)
		if len(qids) != 16 {
			t.Errorf("%d QIDs", len(qids))
		}
	})
	t.Run("fs/walk/no_slash", func(t *testing.T) {
		m := synth(t)
		_, err := m.Walk(root, 1, " /")
		m.want(err, unix.ENOENT)
	})
	t.Run("fs/walk/none", func(t *testing.T) {
		m := synth(t)
		qids, err := m.Walk(root, 1)
		m.ok(err)
		a, err := m.Getattr(root, ninep.AttrBasic)
		m.ok(err)
		b, err := m.Getattr(1, ninep.AttrBasic)
		m.ok(err)
		if len(qids) != 0 || a.QID != b.QID {
			t.Errorf("%d QIDs; the root is %v and its clone %v", len(qids), a.QID, b.QID)
		}
	})
	t.Run("fs/walk/dotdot_from_root", func(t *testing.T) {
		m := synth(t)
		qids, err := m.Walk(root, 1, "..")
		m.ok(err)
		a, err := m.Getattr(root, ninep.AttrBasic)
		m.ok(err)
		if len(qids) != 1 || qids[0] != a.QID {
			t.Errorf("the root is %v, and above it %v", a.QID, qids)
		}
	})
	t.Run("fs/walk/non_existent", func(t *testing.T) {
		m := synth(t)
		_, err := m.Walk(root, 1, "non-existent")
		m.want(err, unix.ENOENT)
	})
	t.Run("fs/walk/2nd_non_existent", func(t *testing.T) {
		m := synth(t)
		a, err := m.Getattr(root, ninep.AttrBasic)
		m.ok(err)
		qids, err := m.Walk(root, 1, "WALK0", "non-existent")
		m.ok(err)
		if len(qids) != 1 || qids[0] == a.QID {
			t.Errorf("the root is %v, and below it %v", a.QID, qids)
		}
		// QEMU says ENOENT of a fid that is none; see docs/protocol.md.
		_, err = m.Getattr(1, ninep.AttrBasic)
		m.want(err, unix.EBADF)
	})
	t.Run("fs/lopen/basic", func(t *testing.T) {
		m := synth(t)
		_, _, err := m.Lopen(m.walk("LOPEN"), unix.O_WRONLY)
		m.ok(err)
	})
	t.Run("fs/write/basic", func(t *testing.T) {
		m := synth(t)
		fid := m.walk("WRITE")
		_, _, err := m.Lopen(fid, unix.O_WRONLY)
		m.ok(err)
		n, err := m.Write(fid, 0, make([]byte, 2048))
		m.ok(err)
		if n != 2048 || m.lstat("WRITE").Size != 2048 {
			t.Errorf("%d bytes written, the file has %d", n, m.lstat("WRITE").Size)
		}
	})
	t.Run("fs/flush/success", flushSuccess)
	t.Run("fs/flush/ignored", flushIgnored)
	t.Run("fs/readdir/basic", func(t *testing.T) {
		m := synth(t)
		fid := m.walk("READDIR")
		_, _, err := m.Lopen(fid, unix.O_DIRECTORY)
		m.ok(err)
		list, err := m.Readdir(fid, 0, msize-11)
		m.ok(err)
		all(t, list)
	})
	for _, count := range []uint32{512, 256, 128} {
		t.Run(fmt.Sprintf("fs/readdir/split_%d", count), func(t *testing.T) {
			m := synth(t)
			fid := m.walk("READDIR")
			_, _, err := m.Lopen(fid, unix.O_DIRECTORY)
			m.ok(err)
			list, err := m.ReadAllDir(fid, count)
			m.ok(err)
			all(t, list)
		})
	}
}

// config is of the device's configuration.
func config(t *testing.T, m *machine) {
	t.Helper()
	b, err := m.fe.GetConfig(0, uint32(2+len(rig.Tag)))
	m.ok(err)
	if n := int(b[0]) | int(b[1])<<8; n != len(rig.Tag) || string(b[2:]) != rig.Tag {
		t.Errorf("the mount tag has %d bytes, and is %q", n, b[2:])
	}
}

// all fails the test unless the list is that of READDIR, with "." and "..".
func all(t *testing.T, list []ninep.DirEntry) {
	t.Helper()
	seen := map[string]int{}
	for _, e := range list {
		seen[string(e.Name)]++
	}
	want := []string{".", ".."}
	for i := range 100 {
		want = append(want, fmt.Sprintf("f%d", i))
	}
	for _, name := range want {
		if seen[name] != 1 {
			t.Errorf("%q is listed %d times", name, seen[name])
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d entries, want %d", len(list), len(want))
	}
}

// flushSuccess cancels a request that waits. QEMU's test has a file for it of which a
// write waits until it is told to be cancelled; of a file of the host none can be, so
// here it is a lock that another process holds.
func flushSuccess(t *testing.T) {
	m := synth(t)
	fid := m.walk("LOPEN")
	_, _, err := m.Lopen(fid, unix.O_RDWR)
	m.ok(err)
	fd, err := unix.Open(m.path("LOPEN"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	m.ok(err)
	defer unix.Close(fd)
	m.ok(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}))
	lock := ninep.Lock{Type: ninep.LockWrite, Flags: ninep.LockFlagBlock, Length: 1, ProcID: 1, ClientID: ninep.Name("guest")}
	waits, err := m.Start(&ninep.Tlock{FID: fid, Lock: lock})
	m.ok(err)
	if m.take(300 * time.Millisecond) {
		t.Fatal("the request did not wait")
	}
	flush, err := m.Start(&ninep.Tflush{OldTag: waits.Tag})
	m.ok(err)
	m.ok(flush.Wait(&ninep.Rflush{}))
	if err := waits.Wait(&ninep.Rlock{}); err != ninetest.ErrNoReply {
		t.Errorf("the cancelled request: %v", err)
	}
	m.inOrder(waits.Tag, flush.Tag)
	// And it has not taken effect since.
	m.ok(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Len: 1}))
	time.Sleep(50 * time.Millisecond)
	m.ok(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}))
}

// flushIgnored is of a request that cannot be cancelled: a write to a file system that
// is frozen. It is answered when it is done, and only then the Tflush.
func flushIgnored(t *testing.T) {
	export := rig.Export(t)
	rig.MountDisk(t, filepath.Join(export, "disk"))
	m := plug(t, rig.StartDaemon(t, export))
	m.attach(ninep.Dialect2000L)
	m.ok(os.WriteFile(m.path("disk", "FLUSH"), nil, 0o600))
	fid := m.walk("disk", "FLUSH")
	_, _, err := m.Lopen(fid, unix.O_WRONLY)
	m.ok(err)
	frozen, err := os.Open(m.path("disk"))
	m.ok(err)
	freeze := func(request uint) error { return unix.IoctlSetInt(int(frozen.Fd()), request, 0) }
	const fifreeze, fithaw = 0xc0045877, 0xc0045878 // FIFREEZE, FITHAW
	m.ok(freeze(fifreeze))
	thawed := false
	defer func() {
		if !thawed {
			_ = freeze(fithaw)
		}
		_ = frozen.Close()
	}()
	write, err := m.Start(&ninep.Twrite{FID: fid, Data: []byte{1}})
	m.ok(err)
	flush, err := m.Start(&ninep.Tflush{OldTag: write.Tag})
	m.ok(err)
	// It holds up nothing else.
	_, err = m.Getattr(root, ninep.AttrBasic)
	m.ok(err)
	if m.take(300 * time.Millisecond) {
		t.Error("an answer has come while nothing can be written")
	}
	m.ok(freeze(fithaw))
	thawed = true
	var r ninep.Rwrite
	m.ok(write.Wait(&r))
	m.ok(flush.Wait(&ninep.Rflush{}))
	if r.Count != 1 || m.lstat("disk", "FLUSH").Size != 1 {
		t.Errorf("%d bytes written, the file has %d", r.Count, m.lstat("disk", "FLUSH").Size)
	}
	m.inOrder(write.Tag, flush.Tag)
}

// inOrder fails the test unless the last replies were to these requests, in this order.
func (m *machine) inOrder(tags ...uint16) {
	m.t.Helper()
	last := m.order[max(0, len(m.order)-len(tags)):]
	if fmt.Sprint(last) != fmt.Sprint(tags) {
		m.t.Errorf("the last replies have the tags %v, want %v", last, tags)
	}
}

// long is a name of n bytes.
func long(n int) string { return strings.Repeat("n", n) }

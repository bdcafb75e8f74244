// SPDX-License-Identifier: Apache-2.0

package qtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/test/rig"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue/virtqtest"
)

func TestMain(m *testing.M) { rig.Main(m) }

// msize is that of QEMU's tests.
const msize = 4096

// root is the fid of the export's root.
const root = 0

// machine is a front end with a driver, as QEMU's tests have: a request is two
// descriptors. It carries the messages of a ninetest.Client, for one goroutine.
type machine struct {
	*ninetest.Client
	t      *testing.T
	export string
	daemon *rig.Daemon
	fe     *vhosttest.FrontEnd

	slots   []uint64 // free ones, by address
	pending map[uint16]uint64
	replies map[uint16][]byte // taken and not asked for yet
	order   []uint16          // tags of the replies, in the order of the used ring
}

// Memory of a request and its reply.
const (
	firstSlot = 4 << 20
	slotSize  = 32 << 10
)

// boot starts a daemon and a machine whose driver is ready to use the device.
func boot(t *testing.T, args ...string) *machine {
	t.Helper()
	export := rig.Export(t)
	return plug(t, rig.StartDaemon(t, export, args...))
}

// plug connects a machine to a daemon.
func plug(t *testing.T, d *rig.Daemon) *machine {
	t.Helper()
	conn, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		t: t, export: d.Export, daemon: d, fe: vhosttest.New(t, conn.(*net.UnixConn), vhosttest.Options{}),
		pending: map[uint16]uint64{}, replies: map[uint16][]byte{},
	}
	if err := m.fe.Setup(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(16) {
		m.slots = append(m.slots, firstSlot+2*i*slotSize)
	}
	m.Client = ninetest.NewClient(m)
	return m
}

// attached is a machine that has said Tversion and Tattach, as do_attach.
func attached(t *testing.T, args ...string) *machine {
	t.Helper()
	m := boot(t, args...)
	m.attach(ninep.Dialect2000L)
	return m
}

func (m *machine) attach(d ninep.Dialect) {
	m.t.Helper()
	size, version, err := m.Version(msize, d.String())
	m.ok(err)
	if size != msize || version != d.String() {
		m.t.Fatalf("Rversion says %d and %q", size, version)
	}
	_, err = m.Attach(root, uint32(os.Getuid()), "")
	m.ok(err)
}

// Send implements ninetest.Transport.
func (m *machine) Send(req []byte, space int) (func(context.Context) ([]byte, error), error) {
	n := len(m.slots) - 1
	if n < 0 || len(req) > slotSize || space > slotSize {
		return nil, fmt.Errorf("no room for a request of %d bytes and a reply of %d", len(req), space)
	}
	addr := m.slots[n]
	m.slots = m.slots[:n]
	copy(m.fe.Memory.Guest(addr, len(req)), req)
	head := m.fe.Driver.Add(
		[]virtqtest.Buf{{Addr: addr, Len: uint32(len(req))}},
		[]virtqtest.Buf{{Addr: addr + slotSize, Len: uint32(space)}})
	m.pending[head] = addr
	if m.fe.Driver.NeedKick() {
		m.fe.Kick()
	}
	return func(ctx context.Context) ([]byte, error) {
		for {
			if reply, ok := m.replies[head]; ok {
				delete(m.replies, head)
				return reply, nil
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			m.take(100 * time.Millisecond)
		}
	}, nil
}

// take takes one reply, if one comes in time.
func (m *machine) take(timeout time.Duration) bool {
	d := m.fe.Driver
	head, n, ok := d.Take()
	if !ok && !d.EnableInterrupts() {
		m.fe.WaitCall(timeout)
	}
	if !ok {
		head, n, ok = d.Take()
	}
	if !ok {
		return false
	}
	addr := m.pending[head]
	delete(m.pending, head)
	m.slots = append(m.slots, addr)
	reply := append([]byte{}, m.fe.Memory.Guest(addr+slotSize, int(n))...)
	m.replies[head] = reply
	tag := m.fe.Memory.Guest(addr+5, 2)
	m.order = append(m.order, uint16(tag[0])|uint16(tag[1])<<8)
	return true
}

func (m *machine) ok(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatal(err)
	}
}

func (m *machine) want(err error, errno unix.Errno) {
	if !errors.Is(err, errno) {
		m.t.Helper()
		m.t.Fatalf("got %v, want %v", err, errno)
	}
}

// walk walks from the root to a new fid.
func (m *machine) walk(names ...string) uint32 {
	m.t.Helper()
	fid, err := m.WalkTo(root, names...)
	m.ok(err)
	return fid
}

func (m *machine) path(name ...string) string {
	return filepath.Join(append([]string{m.export}, name...)...)
}

// lstat looks at a file on the host.
func (m *machine) lstat(name ...string) unix.Stat_t {
	m.t.Helper()
	var st unix.Stat_t
	m.ok(unix.Lstat(m.path(name...), &st))
	return st
}

// gone fails the test if there is something on the host.
func (m *machine) gone(name ...string) {
	m.t.Helper()
	var st unix.Stat_t
	m.want(unix.Lstat(m.path(name...), &st), unix.ENOENT)
}

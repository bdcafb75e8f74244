// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
)

func words(v ...uint64) []byte {
	var b []byte
	for _, w := range v {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

func halves(v ...uint32) []byte {
	var b []byte
	for _, w := range v {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

// sendAcked sends a message as it stands, and returns the acknowledgement.
func sendAcked(fe *vhosttest.FrontEnd, r vhostuser.Request, payload []byte, fds ...int) error {
	m := vhosttest.Message{Request: r, Flags: vhosttest.FlagVersion | vhosttest.FlagNeedReply, Payload: payload, FDs: fds}
	if err := fe.Send(m); err != nil {
		return err
	}
	return fe.Ack(r)
}

func eventfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func socketpair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return fds[0], fds[1]
}

// readable waits for an event and takes it.
func readable(fd int, timeout time.Duration) bool {
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var b [8]byte
		if _, err := unix.Read(fd, b[:]); err == nil {
			return true
		}
	}
	return false
}

// TestGolden is bytes sent and bytes answered, in order, on one connection. Numbers are in host
// byte order: that of the hosts which have QEMU's KVM and Go's race detector both is little-endian.
func TestGolden(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	for _, c := range []struct{ name, send, answer string }{
		{"get_features", "01000000 01000000 00000000", "01000000 05000000 08000000 01000074 01000000"},
		{"get_protocol_features", "0f000000 01000000 00000000", "0f000000 05000000 08000000 2ba20000 00000000"},
		{"get_vring_base of a ring that has nothing", "0b000000 01000000 08000000 00000000 00000000", "0b000000 05000000 08000000 00000000 00000000"},
		{"set_protocol_features with REPLY_ACK, refused", "10000000 09000000 08000000 2bb20000 00000000", "10000000 05000000 08000000 01000000 00000000"},
		{"set_protocol_features without REPLY_ACK", "10000000 09000000 08000000 23000000 00000000", ""},
		{"need_reply without REPLY_ACK", "03000000 09000000 00000000", ""},
		{"set_protocol_features with REPLY_ACK", "10000000 09000000 08000000 2ba20000 00000000", "10000000 05000000 08000000 00000000 00000000"},
		{"set_owner", "03000000 09000000 00000000", "03000000 05000000 08000000 00000000 00000000"},
		{"set_owner without need_reply", "03000000 01000000 00000000", ""},
		{"get_queue_num", "11000000 01000000 00000000", "11000000 05000000 08000000 01000000 00000000"},
		{"get_queue_num with need_reply", "11000000 09000000 00000000", "11000000 05000000 08000000 01000000 00000000"},
		{"get_max_mem_slots", "24000000 01000000 00000000", "24000000 05000000 08000000 fd010000 00000000"},
		{"get_config", "18000000 01000000 14000000 00000000 08000000 00000000 0000000000000000",
			"18000000 05000000 14000000 00000000 08000000 00000000 0600736861726564"},
		{"get_config past the end", "18000000 01000000 10000000 06000000 04000000 00000000 00000000",
			"18000000 05000000 10000000 06000000 04000000 00000000 65640000"},
		{"get_config of nothing", "18000000 01000000 0c000000 00000000 00000000 00000000", "18000000 05000000 0c000000 00000000 00000000 00000000"},
		{"get_config beyond 256", "18000000 01000000 10000000 fd000000 04000000 00000000 00000000", "18000000 05000000 00000000"},
		{"get_config that wraps around", "18000000 01000000 0c000000 ffffffff 02000000 00000000", "18000000 05000000 00000000"},
		{"set_features", "02000000 09000000 08000000 01000070 01000000", "02000000 05000000 08000000 00000000 00000000"},
		{"set_features with one that is not offered", "02000000 09000000 08000000 01000078 01000000", "02000000 05000000 08000000 01000000 00000000"},
		{"set_protocol_features with one that is not offered", "10000000 09000000 08000000 2bb20000 00000000", "10000000 05000000 08000000 01000000 00000000"},
		{"set_vring_num", "08000000 09000000 08000000 00000000 80000000", "08000000 05000000 08000000 00000000 00000000"},
		{"set_status", "27000000 09000000 08000000 08000000 00000000", "27000000 05000000 08000000 01000000 00000000"},
		{"set_status without need_reply", "27000000 01000000 08000000 08000000 00000000", ""},
		{"get_status", "28000000 01000000 00000000", "28000000 05000000 00000000"},
		{"unknown request", "2c000000 09000000 08000000 00000000 00000000", "2c000000 05000000 08000000 01000000 00000000"},
		{"unknown request without need_reply", "2c000000 01000000 08000000 00000000 00000000", ""},
		{"largest request number", "ffffffff 09000000 00000000", "ffffffff 05000000 08000000 01000000 00000000"},
		{"iotlb_msg", "16000000 01000000 00000000", "16000000 05000000 08000000 01000000 00000000"},
		{"get_features at the end", "01000000 01000000 00000000", "01000000 05000000 08000000 01000074 01000000"},
	} {
		must(t, fe.SendRaw(unhex(t, c.send)))
		if c.answer == "" {
			continue // what comes too much is seen by the next
		}
		m, err := fe.Receive()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got, want := m.Bytes(), unhex(t, c.answer); string(got) != string(want) {
			t.Fatalf("%s: answer %x, not %x", c.name, got, want)
		}
	}
	if !fe.Silent(10 * time.Millisecond) {
		t.Error("something came after the last answer")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	must(t, err)
	return b
}

// TestFeaturesWhileRunning: only logging may change then.
func TestFeaturesWhileRunning(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	refused(t, fe.SetFeatures(fe.Features&^virtqueue.FeatureEventIdx))
	must(t, fe.SetFeatures(fe.Features|virtqueue.FeatureLogAll))
	must(t, fe.SetFeatures(fe.Features))
	refused(t, fe.SetVringNum(0, 64))
	refused(t, fe.SetVringBase(0, 0))
	echo(t, fe, "undisturbed")
	wantEvents(t, dev, "realize", "start 0 at 0")
	_, err := fe.StopDriver()
	must(t, err)
	must(t, fe.SetFeatures(fe.Features&^virtqueue.FeatureEventIdx))
}

// TestSetConfig: the space is read-only. A migration may write what stands there.
func TestSetConfig(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	refused(t, fe.SetConfig(0, []byte{6}, 0))
	refused(t, fe.SetConfig(0, []byte{7}, 1))
	refused(t, fe.SetConfig(255, []byte{0, 0}, 1))
	must(t, fe.SetConfig(2, []byte("shared\x00"), 1))
}

// TestPipeline sends everything at once, in one write, and reads the answers afterwards.
func TestPipeline(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	get := vhosttest.Message{Request: vhostuser.RequestGetFeatures, Flags: vhosttest.FlagVersion}
	num := vhosttest.Message{Request: vhostuser.RequestGetQueueNum, Flags: vhosttest.FlagVersion}
	var b []byte
	for range 50 {
		b = append(b, get.Bytes()...)
		b = append(b, num.Bytes()...)
	}
	must(t, fe.SendRaw(b))
	for range 50 {
		for _, want := range []vhostuser.Request{get.Request, num.Request} {
			if m, err := fe.Receive(); err != nil || m.Request != want {
				t.Fatalf("answer %v, %v", m.Request, err)
			}
		}
	}
}

// TestPieces sends a message byte by byte.
func TestPieces(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	m := vhosttest.Message{Request: vhostuser.RequestGetVringBase, Flags: vhosttest.FlagVersion, Payload: halves(0, 0)}
	for _, c := range m.Bytes() {
		must(t, fe.SendRaw([]byte{c}))
	}
	if m, err := fe.Receive(); err != nil || len(m.Payload) != 8 {
		t.Fatalf("%+v, %v", m, err)
	}
}

// TestSlowReader: a front end that does not read its answers holds up nobody but itself, not even
// the end of the server.
func TestSlowReader(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{Timeout: 100 * time.Millisecond})
	get := vhosttest.Message{Request: vhostuser.RequestGetFeatures, Flags: vhosttest.FlagVersion}
	var err error
	for range 100000 {
		if err = fe.SendRaw(get.Bytes()); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("both buffers never filled: %v", err)
	}
	must(t, fe.Server.Close())
	must(t, fe.Disconnect())
}

// TestPeerGone: the front end hangs up between a request and its answer, and in the middle of a
// message.
func TestPeerGone(t *testing.T) {
	for _, n := range []int{1, 12, 15, 20} {
		fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
		must(t, fe.Realize())
		m := vhosttest.Message{Request: vhostuser.RequestGetVringBase, Flags: vhosttest.FlagVersion, Payload: halves(0, 0)}
		must(t, fe.SendRaw(m.Bytes()[:n]))
		err := fe.Disconnect()
		if n < 20 == (err == nil) {
			t.Errorf("after %d of 20 bytes: %v", n, err)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{vhostuser.RequestSetBackendReqFD.String(), "SET_BACKEND_REQ_FD"},
		{vhostuser.Request(0).String(), "0x0"},
		{vhostuser.Request(44).String(), "0x2c"},
		{vhostuser.ProtocolFeatures(0).String(), "0"},
		{(vhostuser.ProtocolMQ | vhostuser.ProtocolConfigureMemSlots | 1<<40).String(), "MQ|CONFIGURE_MEM_SLOTS|0x10000000000"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}

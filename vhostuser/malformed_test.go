// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
)

// TestUnframed: after bytes that are no message the ring is stopped, and what follows is discarded
// with its fds. The socket stays open: QEMU must not lose it.
func TestUnframed(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"version_0", halves(1, 0, 0)},
		{"version_2", halves(1, 2, 0)},
		{"version_3", halves(1, 3, 0)},
		{"size_over_cap", halves(1, 1, 4097)},
		{"size_huge", halves(5, 1, math.MaxUint32)},
		{"text", []byte("GET / HTTP/1.1\r\n\r\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := newFake()
			fe := vhosttest.Start(t, dev, vhosttest.Options{})
			must(t, fe.Setup())
			send(fe, "last", outAddr, inAddr)
			receive(t, fe, "last", inAddr)
			must(t, fe.SendRaw(c.bytes, eventfd(t)))
			waitFor(t, "the ring to stop", func() bool { return fe.Server.Stats().FramingErrors == 1 })
			event := eventfd(t)
			get := vhosttest.Message{Request: vhostuser.RequestGetFeatures, Flags: vhosttest.FlagVersion}
			for range 500 { // more than the socket holds
				must(t, fe.SendRaw(make([]byte, 5000), event, event))
				must(t, fe.SendRaw(get.Bytes()))
			}
			if !fe.Silent(10 * time.Millisecond) {
				t.Error("answered, or hung up")
			}
			must(t, fe.Disconnect())
			wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "unrealize: disconnected")
		})
	}
}

// TestUnframedChannel: the end of the back-end channel is seen even then.
func TestUnframedChannel(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.SendRaw(halves(1, 2, 0)))
	waitFor(t, "the ring to stop", func() bool { return fe.Server.Stats().FramingErrors == 1 })
	fe.CloseChannel()
	waitFor(t, "the end of the session", func() bool {
		dev.mu.Lock()
		defer dev.mu.Unlock()
		return len(dev.events) == 4
	})
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "unrealize: back-end channel closed")
	must(t, fe.Server.Close())
	must(t, fe.Disconnect())
}

// TestReplyBit: a request that says it is a reply is refused.
func TestReplyBit(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.Send(vhosttest.Message{Request: vhostuser.RequestSetVringBase, Flags: 0xd, Payload: halves(0, 0)}))
	refused(t, fe.Ack(vhostuser.RequestSetVringBase))
	must(t, fe.Send(vhosttest.Message{Request: vhostuser.RequestGetFeatures, Flags: 0x5}))
	refused(t, fe.Ack(vhostuser.RequestGetFeatures))
	echo(t, fe, "undisturbed")
}

// TestPayloadSize: every request with one byte less, one more, none, and as many as there may be.
func TestPayloadSize(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	file := fe.Memory.Regions[0].FD
	for _, c := range []struct {
		r    vhostuser.Request
		size int
		fds  []int
	}{
		{r: vhostuser.RequestGetFeatures},
		{r: vhostuser.RequestSetFeatures, size: 8},
		{r: vhostuser.RequestGetProtocolFeatures},
		{r: vhostuser.RequestSetProtocolFeatures, size: 8},
		{r: vhostuser.RequestSetOwner},
		{r: vhostuser.RequestResetOwner},
		{r: vhostuser.RequestResetDevice},
		{r: vhostuser.RequestGetQueueNum},
		{r: vhostuser.RequestGetMaxMemSlots},
		{r: vhostuser.RequestSetLogBase, size: 16, fds: []int{file}},
		{r: vhostuser.RequestSetVringNum, size: 8},
		{r: vhostuser.RequestSetVringBase, size: 8},
		{r: vhostuser.RequestGetVringBase, size: 8},
		{r: vhostuser.RequestSetVringAddr, size: 40},
		{r: vhostuser.RequestSetVringEnable, size: 8},
		{r: vhostuser.RequestSetVringKick, size: 8, fds: []int{file}},
		{r: vhostuser.RequestSetVringCall, size: 8, fds: []int{file}},
		{r: vhostuser.RequestSetVringErr, size: 8, fds: []int{file}},
		{r: vhostuser.RequestSetBackendReqFD, fds: []int{file}},
		{r: vhostuser.RequestAddMemReg, size: 40, fds: []int{file}},
		{r: vhostuser.RequestRemMemReg, size: 40},
	} {
		for _, size := range []int{0, c.size - 1, c.size + 1, 4096} {
			if size < 0 || size == c.size {
				continue
			}
			if err := vhosttest.Refused(sendAcked(fe, c.r, make([]byte, size), c.fds...)); err != nil {
				t.Errorf("%v with %d bytes: %v", c.r, size, err)
			}
		}
	}
	// Those whose size varies.
	for _, c := range []struct {
		r    vhostuser.Request
		size []int
	}{
		{vhostuser.RequestSetMemTable, []int{0, 7}},
		{vhostuser.RequestGetConfig, []int{0, 11, 269, 4096}},
		{vhostuser.RequestSetConfig, []int{0, 11, 269, 4096}},
	} {
		for _, size := range c.size {
			if err := vhosttest.Refused(sendAcked(fe, c.r, make([]byte, size))); err != nil {
				t.Errorf("%v with %d bytes: %v", c.r, size, err)
			}
		}
	}
	echo(t, fe, "undisturbed")
}

// TestFileDescriptors: too many, too few, and such as are not what they should be.
func TestFileDescriptors(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	dev.take()
	event := eventfd(t)
	dir, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer func() { _ = unix.Close(dir) }()
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	defer func() { _ = unix.Close(null) }()
	regular := fe.Memory.Regions[0].FD
	many := func(n int) (fds []int) {
		for range n {
			fds = append(fds, event)
		}
		return fds
	}
	region := words(0, 1<<40, 4096, 1<<40, 0)
	eight := halves(8, 0)
	for i := range uint64(8) {
		eight = append(eight, words(i<<20, 4096, i<<20, 0)...)
	}
	for _, c := range []struct {
		name    string
		r       vhostuser.Request
		payload []byte
		fds     []int
	}{
		{"one_with_none_expected", vhostuser.RequestSetVringBase, halves(0, 0), many(1)},
		{"one_with_get", vhostuser.RequestGetFeatures, nil, many(1)},
		{"one_with_set_owner", vhostuser.RequestSetOwner, nil, many(1)},
		{"one_with_unknown_request", 99, nil, many(1)},
		{"eight_with_unsupported_request", vhostuser.RequestSetInflightFD, make([]byte, 20), many(8)},
		{"none_with_set_backend_req_fd", vhostuser.RequestSetBackendReqFD, nil, nil},
		{"two_with_set_backend_req_fd", vhostuser.RequestSetBackendReqFD, nil, many(2)},
		{"none_with_set_log_base", vhostuser.RequestSetLogBase, words(4096, 0), nil},
		{"none_with_set_log_fd", vhostuser.RequestSetLogFD, nil, nil},
		{"none_with_add_mem_reg", vhostuser.RequestAddMemReg, region, nil},
		{"two_with_add_mem_reg", vhostuser.RequestAddMemReg, region, many(2)},
		{"two_with_rem_mem_reg", vhostuser.RequestRemMemReg, region, many(2)},
		{"kick_without_fd_or_bit", vhostuser.RequestSetVringKick, words(0), nil},
		{"kick_with_fd_and_bit", vhostuser.RequestSetVringKick, words(0x100), many(1)},
		{"two_kicks", vhostuser.RequestSetVringKick, words(0), many(2)},
		{"call_without_fd_or_bit", vhostuser.RequestSetVringCall, words(0), nil},
		{"call_with_fd_and_bit", vhostuser.RequestSetVringCall, words(0x100), many(1)},
		{"err_without_fd_or_bit", vhostuser.RequestSetVringErr, words(0), nil},
		{"err_with_fd_and_bit", vhostuser.RequestSetVringErr, words(0x100), many(1)},
		{"kick_is_a_file", vhostuser.RequestSetVringKick, words(0), []int{regular}},
		{"kick_is_a_folder", vhostuser.RequestSetVringKick, words(0), []int{dir}},
		{"kick_is_dev_null", vhostuser.RequestSetVringKick, words(0), []int{null}},
		{"call_is_a_file", vhostuser.RequestSetVringCall, words(0), []int{regular}},
		{"memory_is_an_eventfd", vhostuser.RequestAddMemReg, region, many(1)},
		{"memory_is_a_folder", vhostuser.RequestAddMemReg, region, []int{dir}},
		{"memory_is_dev_null", vhostuser.RequestAddMemReg, region, []int{null}},
		{"eight_to_one", vhostuser.RequestAddMemReg, region, many(8)},
		{"nine", vhostuser.RequestSetMemTable, append(halves(8, 0), make([]byte, 8*32)...), many(9)},
		{"two_hundred", vhostuser.RequestSetMemTable, append(halves(8, 0), make([]byte, 8*32)...), many(200)},
		{"nine_for_eight_regions", vhostuser.RequestSetMemTable, eight, slices.Repeat([]int{regular}, 9)},
		{"nine_with_none_expected", vhostuser.RequestGetQueueNum, nil, many(9)},
	} {
		if err := vhosttest.Refused(sendAcked(fe, c.r, c.payload, c.fds...)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	echo(t, fe, "undisturbed")
	wantEvents(t, dev)

	// One with REM_MEM_REG is to be accepted, and closed.
	high := fe.Memory.Regions[1]
	must(t, sendAcked(fe, vhostuser.RequestRemMemReg, words(0, high.GuestAddr, high.Size, high.UserAddr, 99), event))
	echo(t, fe, "undisturbed")
}

// TestMisplacedFDs come with other bytes than the first of a message.
func TestMisplacedFDs(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	event := eventfd(t)
	m := vhosttest.Message{Request: vhostuser.RequestSetVringCall, Flags: 9, Payload: words(0)}
	b := m.Bytes()
	for _, at := range []int{1, 11, 12, 16} {
		must(t, fe.SendRaw(b[:at]))
		must(t, fe.SendRaw(b[at:], event))
		// Within the header it depends: two pieces that are there at once are one to recvmsg.
		if err := fe.Ack(m.Request); at >= 12 || err != nil {
			if err := vhosttest.Refused(err); err != nil {
				t.Errorf("at byte %d: %v", at, err)
			}
		}
		must(t, fe.SendRaw(b[:at], event))
		must(t, fe.SendRaw(b[at:], event))
		if err := vhosttest.Refused(fe.Ack(m.Request)); err != nil {
			t.Errorf("at byte 0 and %d: %v", at, err)
		}
	}
	must(t, fe.SendRaw(b[:12], event))
	must(t, fe.SendRaw(b[12:]))
	must(t, fe.Ack(m.Request))
}

// TestRingIndex: there is one ring.
func TestRingIndex(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	event := eventfd(t)
	for _, i := range []uint32{1, 2, 255, 256, math.MaxUint32} {
		refused(t, fe.SetVringNum(i, 128))
		refused(t, fe.SetVringBase(i, 0))
		refused(t, fe.SetVringEnable(i, true))
		refused(t, fe.SetVringAddr(vhosttest.RingAddr{Index: i}))
		_, err := fe.GetVringBase(i)
		refused(t, err)
		if i <= 255 {
			refused(t, fe.SetVringKick(i, event))
			refused(t, fe.SetVringKick(i, -1))
			refused(t, fe.SetVringCall(i, event))
			refused(t, fe.SetVringErr(i, event))
		}
	}
	echo(t, fe, "undisturbed")
}

// TestRingSize of 0, of no power of two, of too much; and other numbers out of range.
func TestRingSize(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	must(t, fe.SetFeatures(fe.Features))
	for _, n := range []uint32{0, 3, 127, 32767, 32769, 65536, 1 << 31, math.MaxUint32} {
		refused(t, fe.SetVringNum(0, n))
	}
	for n := uint32(1); n <= 32768; n *= 2 {
		must(t, fe.SetVringNum(0, n))
	}
	refused(t, fe.SetVringBase(0, 65536))
	must(t, fe.SetVringBase(0, 65535))
	if base, err := fe.GetVringBase(0); err != nil || base != 65535 {
		t.Errorf("base %d, %v", base, err)
	}
	refused(t, sendAcked(fe, vhostuser.RequestSetVringEnable, halves(0, 2)))
	must(t, fe.StartDriver(0))
	echo(t, fe, "hello")
}

// TestEnableWithoutFeature: SET_VRING_ENABLE is part of VHOST_USER_F_PROTOCOL_FEATURES.
func TestEnableWithoutFeature(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	refused(t, fe.SetVringEnable(0, true))
}

// TestBadRegions are refused by ADD_MEM_REG and SET_MEM_TABLE alike.
func TestBadRegions(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	dev.take()
	low := fe.Memory.Regions[0]
	page := uint64(os.Getpagesize())
	for _, c := range []struct {
		name                      string
		guest, size, user, offset uint64
	}{
		{"size_0", 1 << 40, 0, 1 << 40, 0},
		{"guest_wraps_around", math.MaxUint64 - page + 1, 2 * page, 1 << 40, 0},
		{"user_wraps_around", 1 << 40, 2 * page, math.MaxUint64 - page + 1, 0},
		{"offset_wraps_around", 1 << 40, 2 * page, 1 << 40, math.MaxUint64 - page + 1},
		{"offset_negative", 1 << 40, page, 1 << 40, 1 << 63},
		{"offset_at_end", 1 << 40, page, 1 << 40, low.Size},
		{"size_beyond_file", 1 << 40, low.Size + 1, 1 << 40, 0},
		{"size_huge", 1 << 40, 1 << 50, 1 << 42, 0},
		{"size_almost_all", 0, math.MaxUint64, 0, 0},
		{"overlaps_guest", low.GuestAddr + low.Size - page, 2 * page, 1 << 40, 0},
		{"overlaps_user", 1 << 40, 2 * page, low.UserAddr + low.Size - page, 0},
		{"the_same_again", low.GuestAddr, low.Size, low.UserAddr, 0},
		{"inside", low.GuestAddr + page, page, low.UserAddr + page, page},
	} {
		r := *low
		r.GuestAddr, r.Size, r.UserAddr, r.Offset = c.guest, c.size, c.user, c.offset
		if err := vhosttest.Refused(fe.AddMemReg(&r)); err != nil {
			t.Errorf("%s: ADD_MEM_REG %v", c.name, err)
		}
		if err := vhosttest.Refused(fe.SetMemTable(low, &r)); err != nil {
			t.Errorf("%s: SET_MEM_TABLE %v", c.name, err)
		}
		if err := vhosttest.Refused(fe.RemMemReg(&r)); err != nil && c.name != "the_same_again" {
			t.Errorf("%s: REM_MEM_REG %v", c.name, err)
		} else if c.name == "the_same_again" {
			must(t, fe.AddMemReg(low))
		}
	}
	dev.take()
	for _, c := range []struct {
		name    string
		payload []byte
		fds     int
	}{
		{"more_than_payload", append(halves(2, 0), words(0, page, 0, 0)...), 2},
		{"more_than_fds", append(halves(2, 0), words(0, page, 0, 0, page, page, page, page)...), 1},
		{"fewer_than_fds", append(halves(1, 0), words(0, page, 0, 0)...), 2},
		{"none_with_fd", halves(0, 0), 1},
		{"nine", append(halves(9, 0), make([]byte, 9*32)...), 8},
		{"four_billion", append(halves(math.MaxUint32, 0), make([]byte, 64)...), 8},
		{"more_than_an_int", append(halves(1<<31, 0), make([]byte, 64)...), 0},
	} {
		var fds []int
		for range c.fds {
			fds = append(fds, low.FD)
		}
		if err := vhosttest.Refused(sendAcked(fe, vhostuser.RequestSetMemTable, c.payload, fds...)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	wantEvents(t, dev)
	echo(t, fe, "undisturbed")
}

// TestUnalignedOffset: the offset of a region in its file need not be a page's; nobody sends that,
// but it works.
func TestUnalignedOffset(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	whole := vhosttest.NewRegion(t, vhosttest.RegionSpec{GuestAddr: 1 << 40, UserAddr: 1 << 40, Size: 1 << 20})
	part := *whole
	part.Offset, part.Size, part.Bytes = 100, whole.Size-100, whole.Bytes[100:]
	must(t, fe.AddMemReg(&part))
	fe.Memory.Regions = append(fe.Memory.Regions, &part)
	echoAt(t, fe, "hello", outAddr, 1<<40+1)
}

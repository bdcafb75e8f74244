// SPDX-License-Identifier: Apache-2.0

package vhosttest

import (
	"encoding/binary"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/virtqueue"
)

// GetFeatures sends GET_FEATURES.
func (fe *FrontEnd) GetFeatures() (virtqueue.Features, error) {
	v, err := fe.getU64(vhostuser.RequestGetFeatures)
	return virtqueue.Features(v), err
}

// SetFeatures sends SET_FEATURES.
func (fe *FrontEnd) SetFeatures(f virtqueue.Features) error {
	return fe.set(vhostuser.RequestSetFeatures, words(uint64(f)))
}

// GetProtocolFeatures sends GET_PROTOCOL_FEATURES.
func (fe *FrontEnd) GetProtocolFeatures() (vhostuser.ProtocolFeatures, error) {
	v, err := fe.getU64(vhostuser.RequestGetProtocolFeatures)
	return vhostuser.ProtocolFeatures(v), err
}

// SetProtocolFeatures sends SET_PROTOCOL_FEATURES. If f has REPLY_ACK the message asks for an
// acknowledgement itself, where NeedReply says so.
func (fe *FrontEnd) SetProtocolFeatures(f vhostuser.ProtocolFeatures) error {
	fe.Protocol = f
	return fe.set(vhostuser.RequestSetProtocolFeatures, words(uint64(f)))
}

// SetOwner sends SET_OWNER.
func (fe *FrontEnd) SetOwner() error { return fe.set(vhostuser.RequestSetOwner, nil) }

// ResetOwner sends RESET_OWNER.
func (fe *FrontEnd) ResetOwner() error { return fe.set(vhostuser.RequestResetOwner, nil) }

// ResetDevice sends RESET_DEVICE.
func (fe *FrontEnd) ResetDevice() error { return fe.set(vhostuser.RequestResetDevice, nil) }

// SetMemTable sends SET_MEM_TABLE.
func (fe *FrontEnd) SetMemTable(regions ...*Region) error {
	payload := halves(uint32(len(regions)), 0)
	var fds []int
	for _, r := range regions {
		payload = append(payload, words(r.GuestAddr, r.Size, r.UserAddr, r.Offset)...)
		fds = append(fds, r.FD)
	}
	return fe.set(vhostuser.RequestSetMemTable, payload, fds...)
}

// AddMemReg sends ADD_MEM_REG.
func (fe *FrontEnd) AddMemReg(r *Region) error {
	return fe.set(vhostuser.RequestAddMemReg, words(0, r.GuestAddr, r.Size, r.UserAddr, r.Offset), r.FD)
}

// RemMemReg sends REM_MEM_REG, with offset 0 as QEMU does.
func (fe *FrontEnd) RemMemReg(r *Region) error {
	return fe.set(vhostuser.RequestRemMemReg, words(0, r.GuestAddr, r.Size, r.UserAddr, 0))
}

// GetMaxMemSlots sends GET_MAX_MEM_SLOTS.
func (fe *FrontEnd) GetMaxMemSlots() (uint64, error) {
	return fe.getU64(vhostuser.RequestGetMaxMemSlots)
}

// GetQueueNum sends GET_QUEUE_NUM.
func (fe *FrontEnd) GetQueueNum() (uint64, error) { return fe.getU64(vhostuser.RequestGetQueueNum) }

// SetLogBase sends SET_LOG_BASE, which is always answered.
func (fe *FrontEnd) SetLogBase(fd int, size, offset uint64) error {
	err := fe.Send(Message{Request: vhostuser.RequestSetLogBase, Flags: FlagVersion, Payload: words(size, offset), FDs: []int{fd}})
	if err != nil {
		return err
	}
	return fe.Ack(vhostuser.RequestSetLogBase)
}

// SetLogFD sends SET_LOG_FD.
func (fe *FrontEnd) SetLogFD(fd int) error { return fe.set(vhostuser.RequestSetLogFD, nil, fd) }

// SetVringNum sends SET_VRING_NUM.
func (fe *FrontEnd) SetVringNum(index, num uint32) error {
	return fe.set(vhostuser.RequestSetVringNum, halves(index, num))
}

// SetVringBase sends SET_VRING_BASE.
func (fe *FrontEnd) SetVringBase(index, base uint32) error {
	return fe.set(vhostuser.RequestSetVringBase, halves(index, base))
}

// GetVringBase sends GET_VRING_BASE.
func (fe *FrontEnd) GetVringBase(index uint32) (uint32, error) {
	b, err := fe.get(vhostuser.RequestGetVringBase, halves(index, 0), 8)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint32(b[4:]), nil
}

// RingAddr is the payload of SET_VRING_ADDR; the addresses are the front end's.
type RingAddr struct {
	Index, Flags           uint32
	Desc, Used, Avail, Log uint64
}

// RingLog in the flags of a RingAddr: writes to the used ring are logged from Log on.
const RingLog = 1

// RingAddr returns the address of the ring.
func (fe *FrontEnd) RingAddr() RingAddr {
	return RingAddr{
		Index: fe.opts.Queue,
		Desc:  fe.Memory.User(fe.Layout.Desc),
		Used:  fe.Memory.User(fe.Layout.Used),
		Avail: fe.Memory.User(fe.Layout.Avail),
		Log:   fe.Layout.Used,
	}
}

// SetVringAddr sends SET_VRING_ADDR.
func (fe *FrontEnd) SetVringAddr(a RingAddr) error {
	return fe.set(vhostuser.RequestSetVringAddr, append(halves(a.Index, a.Flags), words(a.Desc, a.Used, a.Avail, a.Log)...))
}

// ringFD is the payload of the messages with a ring's fd; fd -1 sets the no-fd bit.
func ringFD(index uint32, fd int) []byte {
	u := uint64(index)
	if fd < 0 {
		u |= 0x100
	}
	return words(u)
}

// SetVringKick sends SET_VRING_KICK; fd -1: none.
func (fe *FrontEnd) SetVringKick(index uint32, fd int) error {
	return fe.set(vhostuser.RequestSetVringKick, ringFD(index, fd), fd)
}

// SetVringCall sends SET_VRING_CALL; fd -1: none.
func (fe *FrontEnd) SetVringCall(index uint32, fd int) error {
	return fe.set(vhostuser.RequestSetVringCall, ringFD(index, fd), fd)
}

// SetVringErr sends SET_VRING_ERR; fd -1: none.
func (fe *FrontEnd) SetVringErr(index uint32, fd int) error {
	return fe.set(vhostuser.RequestSetVringErr, ringFD(index, fd), fd)
}

// SetVringEnable sends SET_VRING_ENABLE.
func (fe *FrontEnd) SetVringEnable(index uint32, on bool) error {
	v := uint32(0)
	if on {
		v = 1
	}
	return fe.set(vhostuser.RequestSetVringEnable, halves(index, v))
}

// SetBackendReqFD sends SET_BACKEND_REQ_FD.
func (fe *FrontEnd) SetBackendReqFD(fd int) error {
	return fe.set(vhostuser.RequestSetBackendReqFD, nil, fd)
}

// GetConfig sends GET_CONFIG.
func (fe *FrontEnd) GetConfig(offset, size uint32) ([]byte, error) {
	b, err := fe.get(vhostuser.RequestGetConfig, append(halves(offset, size, 0), make([]byte, size)...), 12+int(size))
	if err != nil {
		return nil, err
	}
	return b[12:], nil
}

// SetConfig sends SET_CONFIG; flags 1 is a migration's.
func (fe *FrontEnd) SetConfig(offset uint32, data []byte, flags uint32) error {
	return fe.set(vhostuser.RequestSetConfig, append(halves(offset, uint32(len(data)), flags), data...))
}

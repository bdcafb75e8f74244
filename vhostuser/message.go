// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Request is the number of a front-end message.
type Request uint32

// Front-end messages.
const (
	RequestGetFeatures         Request = 1
	RequestSetFeatures         Request = 2
	RequestSetOwner            Request = 3
	RequestResetOwner          Request = 4
	RequestSetMemTable         Request = 5
	RequestSetLogBase          Request = 6
	RequestSetLogFD            Request = 7
	RequestSetVringNum         Request = 8
	RequestSetVringAddr        Request = 9
	RequestSetVringBase        Request = 10
	RequestGetVringBase        Request = 11
	RequestSetVringKick        Request = 12
	RequestSetVringCall        Request = 13
	RequestSetVringErr         Request = 14
	RequestGetProtocolFeatures Request = 15
	RequestSetProtocolFeatures Request = 16
	RequestGetQueueNum         Request = 17
	RequestSetVringEnable      Request = 18
	RequestSendRARP            Request = 19
	RequestNetSetMTU           Request = 20
	RequestSetBackendReqFD     Request = 21
	RequestIOTLBMsg            Request = 22
	RequestSetVringEndian      Request = 23
	RequestGetConfig           Request = 24
	RequestSetConfig           Request = 25
	RequestCreateCryptoSession Request = 26
	RequestCloseCryptoSession  Request = 27
	RequestPostcopyAdvise      Request = 28
	RequestPostcopyListen      Request = 29
	RequestPostcopyEnd         Request = 30
	RequestGetInflightFD       Request = 31
	RequestSetInflightFD       Request = 32
	RequestGPUSetSocket        Request = 33
	RequestResetDevice         Request = 34
	RequestVringKick           Request = 35
	RequestGetMaxMemSlots      Request = 36
	RequestAddMemReg           Request = 37
	RequestRemMemReg           Request = 38
	RequestSetStatus           Request = 39
	RequestGetStatus           Request = 40
	RequestGetSharedObject     Request = 41
	RequestSetDeviceStateFD    Request = 42
	RequestCheckDeviceState    Request = 43

	numRequests = 44
)

var requestNames = [numRequests]string{
	RequestGetFeatures:         "GET_FEATURES",
	RequestSetFeatures:         "SET_FEATURES",
	RequestSetOwner:            "SET_OWNER",
	RequestResetOwner:          "RESET_OWNER",
	RequestSetMemTable:         "SET_MEM_TABLE",
	RequestSetLogBase:          "SET_LOG_BASE",
	RequestSetLogFD:            "SET_LOG_FD",
	RequestSetVringNum:         "SET_VRING_NUM",
	RequestSetVringAddr:        "SET_VRING_ADDR",
	RequestSetVringBase:        "SET_VRING_BASE",
	RequestGetVringBase:        "GET_VRING_BASE",
	RequestSetVringKick:        "SET_VRING_KICK",
	RequestSetVringCall:        "SET_VRING_CALL",
	RequestSetVringErr:         "SET_VRING_ERR",
	RequestGetProtocolFeatures: "GET_PROTOCOL_FEATURES",
	RequestSetProtocolFeatures: "SET_PROTOCOL_FEATURES",
	RequestGetQueueNum:         "GET_QUEUE_NUM",
	RequestSetVringEnable:      "SET_VRING_ENABLE",
	RequestSendRARP:            "SEND_RARP",
	RequestNetSetMTU:           "NET_SET_MTU",
	RequestSetBackendReqFD:     "SET_BACKEND_REQ_FD",
	RequestIOTLBMsg:            "IOTLB_MSG",
	RequestSetVringEndian:      "SET_VRING_ENDIAN",
	RequestGetConfig:           "GET_CONFIG",
	RequestSetConfig:           "SET_CONFIG",
	RequestCreateCryptoSession: "CREATE_CRYPTO_SESSION",
	RequestCloseCryptoSession:  "CLOSE_CRYPTO_SESSION",
	RequestPostcopyAdvise:      "POSTCOPY_ADVISE",
	RequestPostcopyListen:      "POSTCOPY_LISTEN",
	RequestPostcopyEnd:         "POSTCOPY_END",
	RequestGetInflightFD:       "GET_INFLIGHT_FD",
	RequestSetInflightFD:       "SET_INFLIGHT_FD",
	RequestGPUSetSocket:        "GPU_SET_SOCKET",
	RequestResetDevice:         "RESET_DEVICE",
	RequestVringKick:           "VRING_KICK",
	RequestGetMaxMemSlots:      "GET_MAX_MEM_SLOTS",
	RequestAddMemReg:           "ADD_MEM_REG",
	RequestRemMemReg:           "REM_MEM_REG",
	RequestSetStatus:           "SET_STATUS",
	RequestGetStatus:           "GET_STATUS",
	RequestGetSharedObject:     "GET_SHARED_OBJECT",
	RequestSetDeviceStateFD:    "SET_DEVICE_STATE_FD",
	RequestCheckDeviceState:    "CHECK_DEVICE_STATE",
}

// String returns the message's name without VHOST_USER_, or its number in hex.
func (r Request) String() string {
	if r < numRequests && requestNames[r] != "" {
		return requestNames[r]
	}
	return fmt.Sprintf("%#x", uint32(r))
}

// The header: u32 request, u32 flags, u32 size of the payload, in host byte order.
const (
	headerSize = 12
	// maxPayload bounds what is read. The largest payload that we know, of
	// SET_MEM_TABLE and GET_CONFIG, is below 300 bytes.
	maxPayload = 4096
	// maxFDs is the largest number of file descriptors of a message
	// (VHOST_MEMORY_BASELINE_NREGIONS).
	maxFDs = 8

	flagVersionMask = 0x3
	flagVersion     = 0x1
	flagReply       = 0x4
	flagNeedReply   = 0x8
)

type header struct {
	request Request
	flags   uint32
	size    uint32
}

// Preconditions: len(b) >= headerSize.
func decodeHeader(b []byte) header {
	return header{
		request: Request(binary.NativeEndian.Uint32(b)),
		flags:   binary.NativeEndian.Uint32(b[4:]),
		size:    binary.NativeEndian.Uint32(b[8:]),
	}
}

func appendHeader(b []byte, h header) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(h.request))
	b = binary.NativeEndian.AppendUint32(b, h.flags)
	return binary.NativeEndian.AppendUint32(b, h.size)
}

// message is one request as received.
type message struct {
	header
	payload []byte // valid until the next message is read
	fds     []int
	// badFDs: some fds were lost on the way (MSG_CTRUNC), or came with other bytes than
	// the first of the header.
	badFDs bool
}

// takeFD passes the ownership of the only fd to the caller.
//
// Preconditions: the message has one.
func (m *message) takeFD() int {
	fd := m.fds[0]
	m.fds = nil
	return fd
}

// close closes the fds that nobody took.
func (m *message) close() {
	for _, fd := range m.fds {
		_ = unix.Close(fd)
	}
	m.fds = nil
}

// The decoders below rely on the payload's size having been checked against the dispatch
// table.

func (m *message) u32(off int) uint32 { return binary.NativeEndian.Uint32(m.payload[off:]) }
func (m *message) u64(off int) uint64 { return binary.NativeEndian.Uint64(m.payload[off:]) }

func u64Payload(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// vringStateSize: u32 index, u32 num.
const vringStateSize = 8

func vringStatePayload(index, num uint32) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, index), num)
}

// memRegion is a memory region description: u64 guest address, size, user address, offset in
// the file.
type memRegion struct {
	guestAddr, size, userAddr, offset uint64
}

const memRegionSize = 32

func (m *message) memRegion(off int) memRegion {
	return memRegion{guestAddr: m.u64(off), size: m.u64(off + 8), userAddr: m.u64(off + 16), offset: m.u64(off + 24)}
}

// ringAddr is a vring address description: u32 index, u32 flags, u64 descriptor, used and
// available ring (addresses of the front end), u64 guest address for the log.
type ringAddr struct {
	index             uint32
	flags             uint32
	desc, used, avail uint64
	log               uint64
}

const (
	ringAddrSize = 40
	ringAddrLog  = 1 // VHOST_VRING_F_LOG
)

func (m *message) ringAddr() ringAddr {
	return ringAddr{index: m.u32(0), flags: m.u32(4), desc: m.u64(8), used: m.u64(16), avail: m.u64(24), log: m.u64(32)}
}

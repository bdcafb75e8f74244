// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"fmt"
	"math/bits"
	"strings"
)

// ProtocolFeatures is a set of VHOST_USER_PROTOCOL_F bits.
type ProtocolFeatures uint64

// Protocol feature bits.
const (
	ProtocolMQ                ProtocolFeatures = 1 << 0  // VHOST_USER_PROTOCOL_F_MQ
	ProtocolLogShmfd          ProtocolFeatures = 1 << 1  // VHOST_USER_PROTOCOL_F_LOG_SHMFD
	ProtocolReplyAck          ProtocolFeatures = 1 << 3  // VHOST_USER_PROTOCOL_F_REPLY_ACK
	ProtocolBackendReq        ProtocolFeatures = 1 << 5  // VHOST_USER_PROTOCOL_F_BACKEND_REQ
	ProtocolConfig            ProtocolFeatures = 1 << 9  // VHOST_USER_PROTOCOL_F_CONFIG
	ProtocolResetDevice       ProtocolFeatures = 1 << 13 // VHOST_USER_PROTOCOL_F_RESET_DEVICE
	ProtocolConfigureMemSlots ProtocolFeatures = 1 << 15 // VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS
)

// offeredProtocolFeatures is what GET_PROTOCOL_FEATURES answers: what is implemented, and
// nothing else, since QEMU acknowledges every bit it knows and then relies on it.
const offeredProtocolFeatures = ProtocolMQ | ProtocolLogShmfd | ProtocolReplyAck |
	ProtocolBackendReq | ProtocolConfig | ProtocolResetDevice | ProtocolConfigureMemSlots

// protocolNames are the names of the bits, those that are not offered included.
var protocolNames = [...]string{
	"MQ", "LOG_SHMFD", "RARP", "REPLY_ACK", "MTU", "BACKEND_REQ", "CROSS_ENDIAN",
	"CRYPTO_SESSION", "PAGEFAULT", "CONFIG", "BACKEND_SEND_FD", "HOST_NOTIFIER",
	"INFLIGHT_SHMFD", "RESET_DEVICE", "INBAND_NOTIFICATIONS", "CONFIGURE_MEM_SLOTS",
	"STATUS", "XEN_MMAP", "SHARED_OBJECT", "DEVICE_STATE",
}

// Has reports whether all bits of want are in f.
func (f ProtocolFeatures) Has(want ProtocolFeatures) bool { return f&want == want }

// String lists the names of the bits, lowest first; bits without a name in hex.
func (f ProtocolFeatures) String() string {
	if f == 0 {
		return "0"
	}
	var names []string
	unknown := uint64(0)
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		if bit := bits.TrailingZeros64(rest); bit < len(protocolNames) {
			names = append(names, protocolNames[bit])
		} else {
			unknown |= 1 << bit
		}
	}
	if unknown != 0 {
		names = append(names, fmt.Sprintf("%#x", unknown))
	}
	return strings.Join(names, "|")
}

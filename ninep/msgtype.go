// SPDX-License-Identifier: Apache-2.0

package ninep

import "strconv"

// MsgType is the type byte of a message. The reply to type t has type t+1.
type MsgType uint8

// The T-messages of 9P2000.L and of 9P2000.u.
const (
	MsgTstatfs      MsgType = 8
	MsgTlopen       MsgType = 12
	MsgTlcreate     MsgType = 14
	MsgTsymlink     MsgType = 16
	MsgTmknod       MsgType = 18
	MsgTrename      MsgType = 20
	MsgTreadlink    MsgType = 22
	MsgTgetattr     MsgType = 24
	MsgTsetattr     MsgType = 26
	MsgTxattrwalk   MsgType = 30
	MsgTxattrcreate MsgType = 32
	MsgTreaddir     MsgType = 40
	MsgTfsync       MsgType = 50
	MsgTlock        MsgType = 52
	MsgTgetlock     MsgType = 54
	MsgTlink        MsgType = 70
	MsgTmkdir       MsgType = 72
	MsgTrenameat    MsgType = 74
	MsgTunlinkat    MsgType = 76
	MsgTversion     MsgType = 100
	MsgTauth        MsgType = 102
	MsgTattach      MsgType = 104
	MsgTflush       MsgType = 108
	MsgTwalk        MsgType = 110
	MsgTopen        MsgType = 112
	MsgTcreate      MsgType = 114
	MsgTread        MsgType = 116
	MsgTwrite       MsgType = 118
	MsgTclunk       MsgType = 120
	MsgTremove      MsgType = 122
	MsgTstat        MsgType = 124
	MsgTwstat       MsgType = 126
)

// The replies to any request that failed: the first in 9P2000.L, the other in
// 9P2000.u and 9P2000.
const (
	MsgRlerror MsgType = 7
	MsgRerror  MsgType = 107
)

// String returns the spec's name, or the number of a type that the server does
// not know.
func (t MsgType) String() string {
	switch {
	case t == MsgRlerror:
		return "Rlerror"
	case t == MsgRerror:
		return "Rerror"
	case opIndex[t] != 0:
		return "T" + ops[opIndex[t]].name
	case t > 0 && opIndex[t-1] != 0:
		return "R" + ops[opIndex[t-1]].name
	}
	return "MsgType(" + strconv.Itoa(int(t)) + ")"
}

// Fixed parts of messages, in bytes.
const (
	headerSize  = 7  // size[4] type[1] tag[2]
	rlerrorSize = 11 // header ecode[4]
	rerrorSize  = 9  // header, length of ename
	readHeader  = 11 // header count[4]: Rread, Rreaddir, Rwrite
	writeHeader = 23 // header fid[4] offset[8] count[4]: Twrite
	ioHeader    = 24 // P9_IOHDRSZ: what the Linux client takes off msize for I/O
)

// NoTag, NoFID and NoUID (P9_NONUNAME) are the values that stand for none.
const (
	NoTag uint16 = 0xffff
	NoFID uint32 = 0xffffffff
	NoUID uint32 = 0xffffffff
)

// Limits of the protocol.
const (
	MinMsize     = 4096 // below, Tversion fails with EMSGSIZE
	maxWalkNames = 16   // P9_MAXWELEM
	maxName      = 255  // NAME_MAX, and XATTR_NAME_MAX
	maxPath      = 4095 // PATH_MAX without its NUL
	maxXattr     = 65536
	maxErrorText = 64 // of an Rerror; what strerror says is shorter
)

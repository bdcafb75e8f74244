// SPDX-License-Identifier: Apache-2.0

package ninep

// Type implements Message.
func (*Tversion) Type() MsgType { return MsgTversion }

// Type implements Message.
func (*Rversion) Type() MsgType { return MsgTversion + 1 }

// Type implements Message.
func (*Tauth) Type() MsgType { return MsgTauth }

// Type implements Message.
func (*Tattach) Type() MsgType { return MsgTattach }

// Type implements Message.
func (*Rattach) Type() MsgType { return MsgTattach + 1 }

// Type implements Message.
func (*Rlerror) Type() MsgType { return MsgRlerror }

// Type implements Message.
func (*Rerror) Type() MsgType { return MsgRerror }

// Type implements Message.
func (*Topen) Type() MsgType { return MsgTopen }

// Type implements Message.
func (*Ropen) Type() MsgType { return MsgTopen + 1 }

// Type implements Message.
func (*Tcreate) Type() MsgType { return MsgTcreate }

// Type implements Message.
func (*Rcreate) Type() MsgType { return MsgTcreate + 1 }

// Type implements Message.
func (*Tstat) Type() MsgType { return MsgTstat }

// Type implements Message.
func (*Rstat) Type() MsgType { return MsgTstat + 1 }

// Type implements Message.
func (*Twstat) Type() MsgType { return MsgTwstat }

// Type implements Message.
func (*Rwstat) Type() MsgType { return MsgTwstat + 1 }

// Type implements Message.
func (*Tflush) Type() MsgType { return MsgTflush }

// Type implements Message.
func (*Rflush) Type() MsgType { return MsgTflush + 1 }

// Type implements Message.
func (*Twalk) Type() MsgType { return MsgTwalk }

// Type implements Message.
func (*Rwalk) Type() MsgType { return MsgTwalk + 1 }

// Type implements Message.
func (*Tclunk) Type() MsgType { return MsgTclunk }

// Type implements Message.
func (*Rclunk) Type() MsgType { return MsgTclunk + 1 }

// Type implements Message.
func (*Tremove) Type() MsgType { return MsgTremove }

// Type implements Message.
func (*Rremove) Type() MsgType { return MsgTremove + 1 }

// Type implements Message.
func (*Tlopen) Type() MsgType { return MsgTlopen }

// Type implements Message.
func (*Rlopen) Type() MsgType { return MsgTlopen + 1 }

// Type implements Message.
func (*Tlcreate) Type() MsgType { return MsgTlcreate }

// Type implements Message.
func (*Rlcreate) Type() MsgType { return MsgTlcreate + 1 }

// Type implements Message.
func (*Tread) Type() MsgType { return MsgTread }

// Type implements Message.
func (*Rread) Type() MsgType { return MsgTread + 1 }

// Type implements Message.
func (*Twrite) Type() MsgType { return MsgTwrite }

// Type implements Message.
func (*Rwrite) Type() MsgType { return MsgTwrite + 1 }

// Type implements Message.
func (*Treaddir) Type() MsgType { return MsgTreaddir }

// Type implements Message.
func (*Rreaddir) Type() MsgType { return MsgTreaddir + 1 }

// Type implements Message.
func (*Tfsync) Type() MsgType { return MsgTfsync }

// Type implements Message.
func (*Rfsync) Type() MsgType { return MsgTfsync + 1 }

// Type implements Message.
func (*Tlock) Type() MsgType { return MsgTlock }

// Type implements Message.
func (*Rlock) Type() MsgType { return MsgTlock + 1 }

// Type implements Message.
func (*Tgetlock) Type() MsgType { return MsgTgetlock }

// Type implements Message.
func (*Rgetlock) Type() MsgType { return MsgTgetlock + 1 }

// Type implements Message.
func (*Tgetattr) Type() MsgType { return MsgTgetattr }

// Type implements Message.
func (*Rgetattr) Type() MsgType { return MsgTgetattr + 1 }

// Type implements Message.
func (*Tsetattr) Type() MsgType { return MsgTsetattr }

// Type implements Message.
func (*Rsetattr) Type() MsgType { return MsgTsetattr + 1 }

// Type implements Message.
func (*Tstatfs) Type() MsgType { return MsgTstatfs }

// Type implements Message.
func (*Rstatfs) Type() MsgType { return MsgTstatfs + 1 }

// Type implements Message.
func (*Txattrwalk) Type() MsgType { return MsgTxattrwalk }

// Type implements Message.
func (*Rxattrwalk) Type() MsgType { return MsgTxattrwalk + 1 }

// Type implements Message.
func (*Txattrcreate) Type() MsgType { return MsgTxattrcreate }

// Type implements Message.
func (*Rxattrcreate) Type() MsgType { return MsgTxattrcreate + 1 }

// Type implements Message.
func (*Tsymlink) Type() MsgType { return MsgTsymlink }

// Type implements Message.
func (*Rsymlink) Type() MsgType { return MsgTsymlink + 1 }

// Type implements Message.
func (*Tmknod) Type() MsgType { return MsgTmknod }

// Type implements Message.
func (*Rmknod) Type() MsgType { return MsgTmknod + 1 }

// Type implements Message.
func (*Tmkdir) Type() MsgType { return MsgTmkdir }

// Type implements Message.
func (*Rmkdir) Type() MsgType { return MsgTmkdir + 1 }

// Type implements Message.
func (*Tlink) Type() MsgType { return MsgTlink }

// Type implements Message.
func (*Rlink) Type() MsgType { return MsgTlink + 1 }

// Type implements Message.
func (*Treadlink) Type() MsgType { return MsgTreadlink }

// Type implements Message.
func (*Rreadlink) Type() MsgType { return MsgTreadlink + 1 }

// Type implements Message.
func (*Trename) Type() MsgType { return MsgTrename }

// Type implements Message.
func (*Rrename) Type() MsgType { return MsgTrename + 1 }

// Type implements Message.
func (*Trenameat) Type() MsgType { return MsgTrenameat }

// Type implements Message.
func (*Rrenameat) Type() MsgType { return MsgTrenameat + 1 }

// Type implements Message.
func (*Tunlinkat) Type() MsgType { return MsgTunlinkat }

// Type implements Message.
func (*Runlinkat) Type() MsgType { return MsgTunlinkat + 1 }

// SPDX-License-Identifier: Apache-2.0

package ninep

// op says all about one operation that is not its code.
type op struct {
	typ   MsgType
	name  string // of the operation in statistics, and of T- and R-message
	in    dialectSet
	run   func(*Session, *Call) (int, error)
	class class   // how the first fid is held
	kinds fidKind // states of the first fid that are taken; else EINVAL
	flags opFlags
	reply int // least size of the reply, in bytes
}

type opFlags uint8

const (
	opChanges opFlags = 1 << iota // changes the tree: EROFS on a read-only export
	opMustRun                     // even if it is flushed before it has begun
)

// opCount is the number of rows of ops.
const opCount = 33

// ops is the dispatch table. An operation's index in it is also its place in the
// statistics; the first row stands for all types that are not served.
//
// Tlopen, Topen, Twstat and Tremove have no opChanges: with the first three it
// depends on what they say, and Tremove clunks its fid even where it removes
// nothing. Tlock changes no file.
//
// A message of another dialect is refused: none has two ways to say one thing.
//
// Where a client flushes a Tclunk or a Tremove it takes the fid for gone, and will
// use its number again: so those are done even then.
var ops = [opCount]op{
	{name: "unknown", in: anyTime},
	{MsgTversion, "version", anyTime, (*Session).version, classNone, 0, opMustRun, 13},
	{MsgTauth, "auth", every, nil, classNone, 0, 0, 0},
	{MsgTattach, "attach", every, (*Session).attach, classNone, 0, 0, 20},
	{MsgTflush, "flush", anyTime, (*Session).flush, classNone, 0, opMustRun, 7},
	{MsgTwalk, "walk", every, (*Session).walk, shared, fidTree, 0, 9},
	{MsgTclunk, "clunk", every, (*Session).clunk, classNone, 0, opMustRun, 7},
	{MsgTremove, "remove", every, (*Session).remove, exclusive, fidTree, opMustRun, 7},
	{MsgTlopen, "lopen", onlyL, (*Session).lopen, exclusive, fidPath, 0, 24},
	{MsgTlcreate, "lcreate", onlyL, (*Session).lcreate, exclusive, fidPath, opChanges, 24},
	{MsgTread, "read", every, (*Session).read, shared, fidOpen | fidXattrRead, 0, 11},
	{MsgTwrite, "write", every, (*Session).write, shared, fidFile | fidXattrWrite, opChanges, 11},
	{MsgTreaddir, "readdir", onlyL, (*Session).readdir, shared, fidOpen, 0, 11},
	{MsgTfsync, "fsync", onlyL, (*Session).fsync, shared, fidOpen, 0, 7},
	{MsgTopen, "open", onlyU, (*Session).open, exclusive, fidPath, 0, 24},
	{MsgTcreate, "create", onlyU, (*Session).create, exclusive, fidPath, opChanges, 24},
	{MsgTstat, "stat", onlyU, (*Session).stat, exclusive, fidTree, 0, 58},
	{MsgTwstat, "wstat", onlyU, (*Session).wstat, exclusive, fidTree, 0, 7},
	{MsgTgetattr, "getattr", onlyL, (*Session).getattr, shared, fidTree, 0, 160},
	{MsgTsetattr, "setattr", onlyL, (*Session).setattr, shared, fidTree, opChanges, 7},
	{MsgTstatfs, "statfs", onlyL, (*Session).statfs, shared, fidTree, 0, 67},
	{MsgTxattrwalk, "xattrwalk", onlyL, (*Session).xattrwalk, shared, fidTree, 0, 15},
	{MsgTxattrcreate, "xattrcreate", onlyL, (*Session).xattrcreate, exclusive, fidPath, opChanges, 7},
	{MsgTlock, "lock", onlyL, (*Session).lock, shared, fidOpen, 0, 8},
	{MsgTgetlock, "getlock", onlyL, (*Session).getlock, shared, fidOpen, 0, 30},
	{MsgTsymlink, "symlink", onlyL, (*Session).symlink, shared, fidTree, opChanges, 20},
	{MsgTmknod, "mknod", onlyL, (*Session).mknod, shared, fidTree, opChanges, 20},
	{MsgTmkdir, "mkdir", onlyL, (*Session).mkdir, shared, fidTree, opChanges, 20},
	{MsgTlink, "link", onlyL, (*Session).link, shared, fidTree, opChanges, 7},
	{MsgTreadlink, "readlink", onlyL, (*Session).readlink, shared, fidTree, 0, 9},
	{MsgTrename, "rename", onlyL, (*Session).rename, exclusive, fidTree, opChanges, 7},
	{MsgTrenameat, "renameat", onlyL, (*Session).renameat, shared, fidTree, opChanges, 7},
	{MsgTunlinkat, "unlinkat", onlyL, (*Session).unlinkat, shared, fidTree, opChanges, 7},
}

// opIndex is the index in ops of each message type, 0 for those not in it.
var opIndex = func() (index [256]uint8) {
	for i := range ops {
		index[ops[i].typ] = uint8(i)
	}
	return index
}()

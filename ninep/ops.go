// SPDX-License-Identifier: Apache-2.0

package ninep

// op says all about one operation that is not its code.
type op struct {
	typ   MsgType
	name  string // of the operation in statistics, and of T- and R-message
	run   func(*Session, *Call) (int, error)
	class class   // how the first fid is held
	kinds fidKind // states of the first fid that are taken; else EINVAL
	flags opFlags
	reply int // least size of the reply, in bytes
}

type opFlags uint8

const (
	opChanges opFlags = 1 << iota // changes the tree: EROFS on a read-only export
	opAnyTime                     // also before a version was agreed to
	opMustRun                     // even if it is flushed before it has begun
)

// opCount is the number of rows of ops.
const opCount = 29

// ops is the dispatch table. An operation's index in it is also its place in the
// statistics; the first row stands for all types that are not served.
//
// Tlopen and Tremove have no opChanges: the one depends on its flags, the other
// clunks its fid even where it removes nothing. Tlock changes no file.
//
// Where a client flushes a Tclunk or a Tremove it takes the fid for gone, and will
// use its number again: so those are done even then.
var ops = [opCount]op{
	{name: "unknown", flags: opAnyTime},
	{MsgTversion, "version", (*Session).version, classNone, 0, opAnyTime | opMustRun, 13},
	{MsgTauth, "auth", nil, classNone, 0, 0, 0},
	{MsgTattach, "attach", (*Session).attach, classNone, 0, 0, 20},
	{MsgTflush, "flush", (*Session).flush, classNone, 0, opAnyTime | opMustRun, 7},
	{MsgTwalk, "walk", (*Session).walk, shared, fidTree, 0, 9},
	{MsgTclunk, "clunk", (*Session).clunk, classNone, 0, opMustRun, 7},
	{MsgTremove, "remove", (*Session).remove, exclusive, fidTree, opMustRun, 7},
	{MsgTlopen, "lopen", (*Session).lopen, exclusive, fidPath, 0, 24},
	{MsgTlcreate, "lcreate", (*Session).lcreate, exclusive, fidPath, opChanges, 24},
	{MsgTread, "read", (*Session).read, shared, fidOpen | fidXattrRead, 0, 11},
	{MsgTwrite, "write", (*Session).write, shared, fidFile | fidXattrWrite, opChanges, 11},
	{MsgTreaddir, "readdir", (*Session).readdir, shared, fidOpen, 0, 11},
	{MsgTfsync, "fsync", (*Session).fsync, shared, fidOpen, 0, 7},
	{MsgTgetattr, "getattr", (*Session).getattr, shared, fidTree, 0, 160},
	{MsgTsetattr, "setattr", (*Session).setattr, shared, fidTree, opChanges, 7},
	{MsgTstatfs, "statfs", (*Session).statfs, shared, fidTree, 0, 67},
	{MsgTxattrwalk, "xattrwalk", (*Session).xattrwalk, shared, fidTree, 0, 15},
	{MsgTxattrcreate, "xattrcreate", (*Session).xattrcreate, exclusive, fidPath, opChanges, 7},
	{MsgTlock, "lock", (*Session).lock, shared, fidOpen, 0, 8},
	{MsgTgetlock, "getlock", (*Session).getlock, shared, fidOpen, 0, 30},
	{MsgTsymlink, "symlink", (*Session).symlink, shared, fidTree, opChanges, 20},
	{MsgTmknod, "mknod", (*Session).mknod, shared, fidTree, opChanges, 20},
	{MsgTmkdir, "mkdir", (*Session).mkdir, shared, fidTree, opChanges, 20},
	{MsgTlink, "link", (*Session).link, shared, fidTree, opChanges, 7},
	{MsgTreadlink, "readlink", (*Session).readlink, shared, fidTree, 0, 9},
	{MsgTrename, "rename", (*Session).rename, exclusive, fidTree, opChanges, 7},
	{MsgTrenameat, "renameat", (*Session).renameat, shared, fidTree, opChanges, 7},
	{MsgTunlinkat, "unlinkat", (*Session).unlinkat, shared, fidTree, opChanges, 7},
}

// opIndex is the index in ops of each message type, 0 for those not in it.
var opIndex = func() (index [256]uint8) {
	for i := range ops {
		index[ops[i].typ] = uint8(i)
	}
	return index
}()

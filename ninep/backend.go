// SPDX-License-Identifier: Apache-2.0

package ninep

import "golang.org/x/sys/unix"

// Name is one file name or other string as it came from the peer, without a
// terminating NUL. It lies in the Call's scratch memory: valid only until the
// method that was given it returns. Whoever keeps it copies it.
type Name []byte

// QID is the server's identity of a file (13 bytes on the wire).
type QID struct {
	Type    QIDType
	Version uint32 // never 0: the Linux client takes 0 for "do not cache"
	Path    uint64 // unique among all files of the export
}

// QIDType is the type byte of a QID.
type QIDType uint8

// The types that 9P2000.L has; everything else is QTFile.
const (
	QTDir     QIDType = 0x80
	QTSymlink QIDType = 0x02
	QTFile    QIDType = 0x00
)

// AttrMask says which fields of an Attr are asked for or valid (P9_STATS_*).
type AttrMask uint64

// Bits of an AttrMask.
const (
	AttrMode        AttrMask = 0x00000001
	AttrNLink       AttrMask = 0x00000002
	AttrUID         AttrMask = 0x00000004
	AttrGID         AttrMask = 0x00000008
	AttrRDev        AttrMask = 0x00000010
	AttrATime       AttrMask = 0x00000020
	AttrMTime       AttrMask = 0x00000040
	AttrCTime       AttrMask = 0x00000080
	AttrINO         AttrMask = 0x00000100
	AttrSize        AttrMask = 0x00000200
	AttrBlocks      AttrMask = 0x00000400
	AttrBTime       AttrMask = 0x00000800
	AttrGen         AttrMask = 0x00001000
	AttrDataVersion AttrMask = 0x00002000
	AttrBasic       AttrMask = 0x000007ff
)

// Time is seconds and nanoseconds since the Unix epoch.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Attr is the body of an Rgetattr.
type Attr struct {
	Valid                      AttrMask
	QID                        QID
	Mode                       uint32 // S_IFMT and permission bits
	UID, GID                   uint32
	NLink                      uint64
	RDev                       uint64 // new_encode_dev form: see EncodeDev
	Size                       uint64 // bytes
	BlkSize                    uint64 // bytes, st_blksize
	Blocks                     uint64 // units of 512 bytes
	ATime, MTime, CTime, BTime Time
	Gen, DataVersion           uint64
}

// SetMask says which fields of a SetAttr are to be set (P9_ATTR_*).
type SetMask uint32

// Bits of a SetMask. SetATime without SetATimeSet means "now", and so for MTime.
const (
	SetMode     SetMask = 0x001
	SetUID      SetMask = 0x002
	SetGID      SetMask = 0x004
	SetSize     SetMask = 0x008
	SetATime    SetMask = 0x010
	SetMTime    SetMask = 0x020
	SetCTime    SetMask = 0x040
	SetATimeSet SetMask = 0x080
	SetMTimeSet SetMask = 0x100
)

// SetAttr is the body of a Tsetattr.
type SetAttr struct {
	Valid        SetMask
	Mode         uint32
	UID, GID     uint32
	Size         uint64
	ATime, MTime Time
}

// StatFS is the body of an Rstatfs.
type StatFS struct {
	Type, BSize           uint32
	Blocks, BFree, BAvail uint64 // units of BSize
	Files, FFree          uint64
	FSID                  uint64
	NameLen               uint32
}

// LockType is the type of a byte-range lock (P9_LOCK_TYPE_*).
type LockType uint8

// Lock types.
const (
	LockRead   LockType = 0
	LockWrite  LockType = 1
	LockUnlock LockType = 2
)

// LockStatus is the answer to a Tlock (P9_LOCK_*).
type LockStatus uint8

// Lock statuses.
const (
	LockSuccess LockStatus = 0
	LockBlocked LockStatus = 1
	LockError   LockStatus = 2
	LockGrace   LockStatus = 3
)

// LockFlagBlock (P9_LOCK_FLAGS_BLOCK) asks the server to wait for the lock.
const LockFlagBlock = 1

// Lock is the body of a Tlock, and of Tgetlock and Rgetlock (without Flags).
type Lock struct {
	Type     LockType
	Flags    uint32
	Start    uint64
	Length   uint64 // 0: to the end of the file, wherever that moves
	ProcID   uint32
	ClientID Name
}

// Backend is one exported file tree. Its methods may be called from any number
// of threads at once.
type Backend interface {
	// Attach returns the root of what aname selects; the empty name is the
	// export's root.
	Attach(c *Call, aname Name) (File, QID, error)
	// Reset forgets everything that belongs to a session and not to a fid (the
	// session has closed all its files before): locks that are still held or
	// waited for.
	Reset()
}

// File is what one fid refers to: an object of the tree, and, after Open or
// Create, an open file. It goes on meaning the same object when that is renamed
// or unlinked, by anyone.
//
// A method marked "shared" may run any number of times at once on one File; one
// marked "exclusive" runs alone. The session sees to that. Names have been
// checked before they come here: not empty, no '/', no NUL, at most 255 bytes,
// and, where a new or removed entry is named, neither "." nor "..". Walk alone
// can get "..", which stays at the root of the attach; an element "." is refused
// by the session.
//
// Errors are unix.Errno values or wrap one; everything else reaches the peer as
// EIO and is logged.
type File interface {
	// Walk goes along names from f and returns the last object, with a QID for
	// each element in qids (len(qids) >= len(names)). Where an element cannot be
	// walked it returns a nil File, the number of elements before it, and the
	// error. No names: another reference to the same object (not open).
	// Shared.
	Walk(c *Call, names []Name, qids []QID) (File, int, error)

	// GetAttr fills attr with at least the fields in mask that the backend
	// knows, and sets attr.Valid. Shared.
	GetAttr(c *Call, mask AttrMask, attr *Attr) error
	// SetAttr changes what set.Valid names, in an order in which nothing that is
	// asked for gets lost (size before times). Shared.
	SetAttr(c *Call, set *SetAttr) error
	// StatFS describes the file system of f. Shared.
	StatFS(c *Call, st *StatFS) error

	// Open opens f with Linux open(2) flags as 9P2000.L numbers them (x86's).
	// It is not called again once it or Create has succeeded. Special files: ENXIO.
	// Exclusive.
	Open(c *Call, flags uint32) (QID, error)
	// Create makes and opens a regular file in the directory f; f then means the
	// new file. Owner: c.UID and gid. Exclusive.
	Create(c *Call, name Name, flags, mode, gid uint32) (QID, error)

	// Read reads at off into dst and returns the number of bytes, 0 at the end
	// of the file. A short count is not an error. dst has no empty entries, and at
	// most IOV_MAX (1024). EFAULT means that the peer's memory is gone, which ends
	// the queue; so for Write. Shared; f is open.
	Read(c *Call, dst []unix.Iovec, off uint64) (int, error)
	// Write writes src at off (at the end, when opened with O_APPEND). Shared;
	// f is open.
	Write(c *Call, src []unix.Iovec, off uint64) (int, error)
	// ReadDir adds entries to w, starting after the entry whose cookie off is
	// (0: from the first), until w is full or the directory ends. Shared; f is an
	// open directory.
	ReadDir(c *Call, off uint64, w *DirWriter) error
	// Sync makes f's data durable, and its metadata unless dataOnly. Shared.
	Sync(c *Call, dataOnly bool) error

	// Mkdir, Mknod, Symlink make an entry in the directory f, owned by c.UID and
	// gid. Mode of Mknod includes S_IFMT. Shared.
	Mkdir(c *Call, name Name, mode, gid uint32) (QID, error)
	Mknod(c *Call, name Name, mode, major, minor, gid uint32) (QID, error)
	Symlink(c *Call, name Name, target Name, gid uint32) (QID, error)
	// Link makes name in the directory f another name of target. Shared.
	Link(c *Call, target File, name Name) error
	// ReadLink copies the target of the symlink f to buf and returns its length.
	// ERANGE if it does not fit. Shared.
	ReadLink(c *Call, buf []byte) (int, error)

	// Rename moves f itself to dir under name. Exclusive.
	Rename(c *Call, dir File, name Name) error
	// RenameAt moves f's entry oldName to newDir under newName. Shared.
	RenameAt(c *Call, oldName Name, newDir File, newName Name) error
	// UnlinkAt removes f's entry name; flags is 0 or AT_REMOVEDIR. Shared.
	UnlinkAt(c *Call, name Name, flags uint32) error
	// Remove removes f itself from its directory; the session closes f after,
	// whatever the result. Exclusive.
	Remove(c *Call) error

	// GetXattr returns a copy of the value of an extended attribute, ListXattr
	// the names, each ended by NUL. Shared.
	GetXattr(c *Call, name Name) ([]byte, error)
	ListXattr(c *Call) ([]byte, error)
	// SetXattr sets an extended attribute; flags is 0, XATTR_CREATE or
	// XATTR_REPLACE. Shared.
	SetXattr(c *Call, name string, value []byte, flags int) error
	RemoveXattr(c *Call, name string) error

	// Lock takes or drops a byte-range lock for (ClientID, ProcID). If it is held
	// elsewhere and LockFlagBlock is set, the backend may call c.Defer and answer
	// later. Shared; f is open.
	Lock(c *Call, l *Lock) (LockStatus, error)
	// GetLock replaces l by the first lock that stands in its way, or sets its
	// type to LockUnlock. l.ClientID may be set to memory that stays valid until
	// the reply is encoded. Shared; f is open.
	GetLock(c *Call, l *Lock) error

	// Name appends to buf the last element of a path that leads to f: the name by
	// which it was reached, or what that has become by renaming; "/" for the root
	// of the attach. Parent returns the directory in which f has that name; EBUSY
	// for the root. For 9P2000.u, which has no other way to say them. Exclusive.
	Name(c *Call, buf []byte) []byte
	Parent(c *Call) (File, error)

	// Close ends the File: the fid is gone. Called once, last. t is that of the worker that it is
	// called on; nil: none, it is called on another goroutine.
	Close(t *Thread)
}

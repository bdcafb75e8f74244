// SPDX-License-Identifier: Apache-2.0

// Package hostfs is the ninep.Backend that serves a directory of the host.
//
// # Objects
//
// A node is one inode as seen through one mount. It is held by an O_PATH file
// descriptor, so it goes on meaning that inode after any rename or unlink, and its
// inode number cannot be used again as long as the node is there. The table of
// nodes is keyed by (mount, device, inode): all files that refer to the same inode
// share one descriptor. A node is closed with its last reference, so that an
// unlinked file frees its space.
//
// Where there are more nodes than there may be descriptors, those that have not been
// used for long are cold: they have a memo instead, from which the file can be found
// again. That is a file handle, where the file system has them and the process may use
// them, else a directory and a name. A file that is found so is the same one, or the
// node is stale (ESTALE); one without a name left never becomes cold. The inode number
// of a cold node can be used again: then the table has the new inode's node.
//
// A file is what a fid refers to: a node, and the directory and name under which
// it was reached, for the few operations that need a name. These are a hint, and
// verified before use. An open file has a handle: a second descriptor, made from
// the node's and not by name.
//
// # Security models
//
// In mapped models (mapped.go) a fid refers to a mapped, which is a file and shows
// metadata in place of what the host's inode says. A metaStore keeps that: xattrMeta in
// the inode, fileMeta beside the name, which is why the latter has a part in each change
// of a name, and remembers what an inode had that has lost its name. Others pay for
// none of this: their fids refer to a file itself.
//
// # Descriptors
//
// The number of a node's descriptor, or of an open file's, may be used only between
// pin and unpin, which every use is put between:
//
//	fd, e := n.pin(t)
//	if e != 0 {
//		return e
//	}
//	defer n.unpin()
//
// Outside, the descriptor may be closed at any time, and pin may have to open the
// file again: so it can fail (ENFILE, ESTALE), take long, and give another number
// each time. It changes nothing in t that a caller may have put there. A pin needs a
// reference to the node, and ends before that is given back. Pins may be nested.
//
// An open file can lose its descriptor only if it can be opened again whatever its mode
// is by then. What belongs to an open file description, such as locks, needs one that is
// in no handle.
//
// What openat, openat2 and openByHandle open counts against the process's limit, until
// descriptors.close. Who takes a name from a file calls keep before, for the node that
// could become cold in this moment and never be found again.
//
// # Confinement
//
// Nothing is ever looked up by a path of more than one component, but one that the
// kernel has for a descriptor, and what that leads to is compared. Names come checked
// from the session (no '/', not "."), are resolved by openat2 with RESOLVE_BENEATH,
// RESOLVE_NO_MAGICLINKS and RESOLVE_NO_SYMLINKS, and ".." is followed only to
// directories from which the root of the attach can be reached upwards. Mount points
// are crossed.
//
// # Threads
//
// The methods run on workers that are locked to OS threads and keep a thread in
// ninep.Thread.Local: buffers for system calls, and the state of the thread's
// credentials. A worker that has made something for another user goes on as that
// user, with the daemon's capabilities, wherever that makes no difference: so it must
// never be unlocked from its thread.
//
// # Lock order
//
//	handle.dir.mu (held over getdents64)
//	  mounts.mu
//	    the locks of QIDPaths
//	attaches.rootMu
//	  mounts.mu
//	    the locks of QIDPaths
//	lockFile.mu (held over fcntl)
//	  lockTable.mu
//	fileMeta.dirs, in the order of their index (held over system calls, and with flock(2)
//	on the directories of metadata, in the order of device and inode)
//	  records.mu, record.mu
//	under any of them, but lockTable.mu, a pin may have to find a file again:
//	  a claim of a node or open file (busy)
//	    handle.dir.mu of an open file that nobody has pinned
//	nodeShard.mu, fileHandles.mu, attaches.mu: nothing is locked under these
//
// # Sources
//
// openat2(2), statx(2), open_by_handle_at(2), the "-at" calls with AT_EMPTY_PATH, proc(5) on
// /proc/PID/fd and mountinfo, fcntl(2) on open file description locks,
// capabilities(7) on file system user IDs.
package hostfs

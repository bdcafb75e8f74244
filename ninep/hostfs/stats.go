// SPDX-License-Identifier: Apache-2.0

package hostfs

// Stats are what an FS holds at the moment.
type Stats struct {
	Nodes       int // inodes that fids refer to, or did a moment ago
	LockedFiles int // on which locks are held, or asked for, each with a file descriptor
	LockOwners  int // processes in guests that hold locks, by file
	Locks       int // held: ranges of one owner's
	LockWaiters int // requests that wait for a lock

	Descriptors DescriptorStats
}

// DescriptorStats are what becomes of file descriptors.
type DescriptorStats struct {
	Used, Max int // of nodes, open files and locks; there may be more for a moment
	Cold      int // nodes without

	// Since the FS was made.
	Evicted  uint64 // taken away from who did not use them
	Reopened uint64 // given back
	Stale    uint64 // not given back, as the file was gone
}

// Stats may be called at any time.
func (fs *FS) Stats() Stats {
	nodes, lt := fs.nodes.len(), &fs.locks
	lt.mu.Lock()
	defer lt.mu.Unlock()
	return Stats{
		Nodes:       nodes,
		LockedFiles: len(lt.files),
		LockOwners:  int(lt.owners.Load()),
		Locks:       int(lt.locks.Load()),
		LockWaiters: len(lt.wait.waiters),
		Descriptors: fs.fds.stats(),
	}
}

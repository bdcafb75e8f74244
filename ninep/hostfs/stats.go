// SPDX-License-Identifier: Apache-2.0

package hostfs

// Stats are what an FS holds at the moment.
type Stats struct {
	Nodes       int // inodes that fids refer to, each with a file descriptor
	LockedFiles int // on which locks are held, or asked for, each with a file descriptor
	LockOwners  int // processes in guests that hold locks, by file
	Locks       int // held: ranges of one owner's
	LockWaiters int // requests that wait for a lock
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
	}
}

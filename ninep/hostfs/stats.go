// SPDX-License-Identifier: Apache-2.0

package hostfs

// Stats are what an FS holds at the moment.
type Stats struct {
	Nodes       int // inodes that fids refer to, each with a file descriptor
	LockOwners  int // processes in guests that hold locks, or ask for them, by file
	LockWaiters int // of these, requests that wait
}

// Stats may be called at any time.
func (fs *FS) Stats() Stats {
	nodes, lt := fs.nodes.len(), &fs.locks
	lt.mu.Lock()
	defer lt.mu.Unlock()
	return Stats{Nodes: nodes, LockOwners: len(lt.owners), LockWaiters: lt.wait.count}
}

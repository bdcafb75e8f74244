// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/ninep/hostfs"
)

// newFiles shows what the share holds for the guest: files, their descriptors, locks.
func newFiles(snapshot func() hostfs.Stats) prometheus.Collector {
	type stats = hostfs.Stats
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			gauge("files", "Distinct files that the guest has references to, or had a moment ago.", func(s stats) int { return s.Nodes }),
			gauge("cold_files", "Distinct files that the guest has references to, and the daemon no descriptor for.", func(s stats) int { return s.Descriptors.Cold }),
			gauge("descriptors", "File descriptors in use for files of the share.", func(s stats) int { return s.Descriptors.Used }),
			gauge("descriptors_max", "File descriptors for files of the share from which on idle ones are closed.", func(s stats) int { return s.Descriptors.Max }),
			counter("descriptors_evicted_total", "Idle file descriptors closed to make room.", func(s stats) uint64 { return s.Descriptors.Evicted }),
			counter("descriptors_reopened_total", "File descriptors opened again that were closed to make room.", func(s stats) uint64 { return s.Descriptors.Reopened }),
			counter("descriptors_stale_total", "Attempts to do so for a file that was gone, answered with ESTALE.", func(s stats) uint64 { return s.Descriptors.Stale }),
			gauge("locked_files", "Files on which the guest holds locks, or asks for them.", func(s stats) int { return s.LockedFiles }),
			gauge("lock_owners", "Processes in the guest that hold locks, by file.", func(s stats) int { return s.LockOwners }),
			gauge("locks", "Locks that the guest holds.", func(s stats) int { return s.Locks }),
			gauge("lock_waiters", "Requests of the guest that wait for a lock.", func(s stats) int { return s.LockWaiters }),
		},
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package virtio9p is the virtio-9p device: it carries 9P messages between a virtqueue and
// a ninep.Session.
//
// # Threads
//
// A queue is served by workers, goroutines locked to OS threads (credentials are a
// thread's). A worker takes the next chain, executes it on its own thread, and publishes
// the reply. Who finds the ring empty waits for the kick, if not two do; otherwise it
// parks. So one request at a time costs one wake-up and no hand-over between threads, and
// the same thread goes on serving: the kernel wakes the one that came last.
//
// The other one that waits has the driver's next kick, or is called if there are chains
// already; and if nobody waits, nor will look at the ring in a moment, a parked worker is woken,
// or one more started, only
//
//   - when chains are left after one was taken that will take longer than worthHelp, and
//     fewer workers run than may,
//   - before an operation that is known to block (ninep.Transport.WillBlock),
//   - when the monitor, which runs only while there is work, finds a worker in one
//     operation for longer than monitorPeriod, or twice what operations took of late. If the
//     kernel says that its thread waits, it counts as blocked. If it needs a processor, one
//     more worker than are to run takes its place after stuckAfter, and no further one until
//     the operation counts as endless.
//
// So many requests run in parallel, and a slow one holds up nobody. A worker that comes back
// while more than enough are at work parks: threads that take the processors from one another
// are late with each of their requests. No worker is woken
// under a lock; see service.unlock.
//
// # Stop
//
// Stop returns when every chain that was taken has been given back and every thread has
// left guest memory. Requests that wait for a lock are answered at once.
//
// # Lock order
//
//	Session.mu, the lock of the virtqueue.Queue too (chains; who leads, waits, runs)
//	  Session.callsMu, virtqueue.Queue.callMu
//
// Neither is held while an operation runs.
package virtio9p

// SPDX-License-Identifier: Apache-2.0

// Package virtqueue is the device side of a virtqueue in memory that another
// process, the front end, shares with us, and that a guest writes to while we read it.
//
// # Life of a buffer
//
// A Region is one mapped piece of guest memory, a Memory an immutable snapshot of
// all of them, a Queue one ring on top of a Memory. Pop fills a Chain with iovecs that
// point at guest memory. They are a lease: valid from Pop to Push of that chain. Chains may
// be pushed in any order; Call tells the driver, if CallWanted says that it wants to be told.
//
// Who takes chains, and in which order, is the device's to say, under a lock of its own most
// likely. So that a request costs one lock and not two, that can be the Queue's (SetLock).
//
// # Trust
//
// Nothing that the guest can write is looked at twice: indices, heads and descriptors
// are copied, then checked, and only the copy is used. A walk is bounded by the number
// of descriptors that there can be. What is wrong with one chain costs that chain (it
// is given back with length 0 and counted); what is wrong with the ring itself breaks
// the queue for good. So does a page of it that is no longer there, if the thread that
// finds out runs under debug.SetPanicOnFault, without which the process ends.
//
// # Lock order
//
//	Queue.lock (the ring, and what the device orders by it)
//	Queue.callMu (call fd) or waiter.mu (kick fd)
//
// # Sources
//
// Virtual I/O Device (VIRTIO) Version 1.3, 2.7 "Split Virtqueues" (ring.go) and 2.8 "Packed
// Virtqueues" (packed.go), and the vhost-user protocol of QEMU
// (docs/interop/vhost-user.rst) for logging and for where a ring goes on.
package virtqueue

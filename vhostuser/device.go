// SPDX-License-Identifier: Apache-2.0

package vhostuser

import "vhost-user-9p/virtqueue"

// Device is the virtio device that a Server offers to front ends. One connection is
// served at a time, so its methods are called by one goroutine, except that Start and
// Stop of a queue come from the connection while the device's workers run.
type Device interface {
	// Features returns the device's own feature bits and those of the ring that it
	// can do (VIRTIO_F_VERSION_1, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED, ...). The Server adds
	// VHOST_F_LOG_ALL and VHOST_USER_F_PROTOCOL_FEATURES.
	Features() virtqueue.Features
	// ReadConfig copies the configuration space from offset to p; bytes past its end
	// read as zero.
	ReadConfig(p []byte, offset uint32)

	// Realize begins a session (SET_OWNER, or a ring that is to run without one). Each
	// Realize is followed by one Unrealize before the next.
	Realize()
	// Unrealize ends it: what belongs to it is dropped. reason says why, for the log
	// ("disconnected", "new owner", "back-end channel closed", "shutdown"). No queue runs
	// any more.
	Unrealize(reason string)
	// Reset drops the guest's state (fids, locks) and keeps the session: RESET_DEVICE,
	// SET_STATUS 0. No queue runs.
	Reset()

	// Start begins service of a queue. The queue is the device's until Stop returns. There
	// may be chains on it already, and no kick for them. The same ring is stopped and started
	// anew, with another Queue, when memory is taken away.
	Start(index int, q *virtqueue.Queue)
	// Stop ends service: it returns when every chain that was popped has been
	// published, after which the device touches neither queue nor guest memory.
	Stop(index int)
	// Suspended is called when the front end has asked for the ring's position
	// (GET_VRING_BASE), before it gets the answer. The queue does not run, and may have been
	// stopped long before. State that outlives the session should be durable now.
	Suspended(index int)
}

// SPDX-License-Identifier: Apache-2.0

package vhostuser

// The back-end channel is for messages from us, of which there are none: the configuration
// space does not change, and rings have eventfds. It is offered because UML cannot probe a
// device without it, and because its end tells of an unplugged device: QEMU closes it, and
// leaves the main socket open.

// setBackendReqFD keeps the channel, and closes the one before: cloud-hypervisor sends a new
// one each time that it activates the device.
func (s *session) setBackendReqFD(m *message) ([]byte, error) {
	replaceFD(&s.channel, m.takeFD())
	// If the end of an earlier channel has stopped rings that are still wanted, they go on.
	s.resume()
	return nil, nil
}

// channelClosed ends the session. What the front end said of memory and rings stays until
// SET_OWNER, or until it uses them again.
func (s *session) channelClosed() {
	closeFD(&s.channel)
	s.unrealize("back-end channel closed")
}

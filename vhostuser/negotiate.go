// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"fmt"

	"vhost-user-9p/virtqueue"
)

// offered is what GET_FEATURES answers, whatever the state.
func (s *session) offered() virtqueue.Features {
	return s.dev.Features() | virtqueue.FeatureLogAll | virtqueue.FeatureProtocol
}

// getFeatures is also a barrier for QEMU and UML: its answer says that all earlier requests
// have taken effect, which is so since they are carried out in order.
func (s *session) getFeatures(*message) ([]byte, error) {
	return u64Payload(uint64(s.offered())), nil
}

func (s *session) setFeatures(m *message) ([]byte, error) {
	f := virtqueue.Features(m.u64(0))
	if unknown := f &^ s.offered(); unknown != 0 {
		return nil, fmt.Errorf("features not offered: %v", unknown)
	}
	// A migration toggles LOG_ALL while rings run, which does not disturb them. What the
	// ring's layout depends on (VIRTIO_F_RING_PACKED, VIRTIO_F_EVENT_IDX) cannot change below
	// it.
	if changed := (f ^ s.features) &^ virtqueue.FeatureLogAll; changed != 0 && s.running() {
		return nil, fmt.Errorf("features changed while a ring runs: %v", changed)
	}
	s.features = f
	s.applyLog()
	// Without VHOST_USER_F_PROTOCOL_FEATURES there is no SET_VRING_ENABLE: a ring that was
	// kicked off runs.
	return nil, s.updateRings()
}

func (s *session) getProtocolFeatures(*message) ([]byte, error) {
	return u64Payload(uint64(offeredProtocolFeatures)), nil
}

func (s *session) setProtocolFeatures(m *message) ([]byte, error) {
	f := ProtocolFeatures(m.u64(0))
	if unknown := f &^ offeredProtocolFeatures; unknown != 0 {
		return nil, fmt.Errorf("protocol features not offered: %v", unknown)
	}
	s.protocol = f
	return nil, nil
}

func (s *session) getQueueNum(*message) ([]byte, error) { return u64Payload(numQueues), nil }

// setOwner begins a session, also when there is one: QEMU's device_add after device_del on one
// chardev. QEMU sends SET_PROTOCOL_FEATURES and SET_BACKEND_REQ_FD before it, others after
// it: these stay.
func (s *session) setOwner(*message) ([]byte, error) {
	s.end("new owner")
	s.realize()
	return nil, nil
}

// resetOwner is deprecated; the specification suggests to disable the rings.
func (s *session) resetOwner(*message) ([]byte, error) {
	for i := range s.rings {
		s.rings[i].stop()
		s.rings[i].enabled = false
	}
	return nil, nil
}

// resetDevice drops the guest's state. Memory, features and the session stay.
func (s *session) resetDevice(*message) ([]byte, error) {
	for i := range s.rings {
		s.rings[i].halt()
		s.rings[i].enabled = false
	}
	if s.realized {
		s.dev.Reset()
	}
	return nil, nil
}

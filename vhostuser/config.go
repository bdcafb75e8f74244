// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// A request about the configuration space: u32 offset, u32 size, u32 flags, and size bytes,
// in GET_CONFIG as well.
const (
	configHeaderSize = 12
	maxConfigSize    = 256 // VHOST_USER_MAX_CONFIG_SIZE

	configMigration = 1 // VHOST_SET_CONFIG_TYPE_MIGRATION
)

// configRange returns the part of the configuration space that a request is about.
func configRange(m *message) (offset, size uint32, err error) {
	offset, size = m.u32(0), m.u32(4)
	if offset > maxConfigSize || size > maxConfigSize-offset {
		return 0, 0, fmt.Errorf("%d bytes at offset %d of a configuration space of %d bytes", size, offset, maxConfigSize)
	}
	return offset, size, nil
}

// getConfig answers with exactly what was asked for: QEMU refuses another size, and UML copies
// what it asked for. Past the end of the device's own space there are zeroes.
func (s *session) getConfig(m *message) ([]byte, error) {
	offset, size, err := configRange(m)
	if err != nil {
		return nil, err
	}
	reply := slices.Grow(bytes.Clone(m.payload[:configHeaderSize]), int(size))[:configHeaderSize+size]
	s.dev.ReadConfig(reply[configHeaderSize:], offset)
	return reply, nil
}

// setConfig refuses all that changes something: the whole space is read-only. What a front end
// carries over in a migration is accepted if it is what stands there.
func (s *session) setConfig(m *message) ([]byte, error) {
	offset, size, err := configRange(m)
	if err != nil {
		return nil, err
	}
	data := m.payload[configHeaderSize:]
	if len(data) != int(size) {
		return nil, fmt.Errorf("%d bytes of data for a size of %d", len(data), size)
	}
	if m.u32(8) != configMigration {
		return nil, errors.New("configuration space is read-only")
	}
	have := make([]byte, size)
	s.dev.ReadConfig(have, offset)
	if !bytes.Equal(have, data) {
		return nil, errors.New("configuration space differs from the migration source's")
	}
	return nil, nil
}

// SPDX-License-Identifier: Apache-2.0

package fullmap

import "vhost-user-9p/qidpath"

// Repair writes a full map that is damaged anew, as every Load does. What is at
// the end stays, because it says that numbers may be in use. It leaves alone what
// Load leaves alone, with an error.
func Repair(cfg Config) error {
	m, err := Open(cfg)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Load(func(qidpath.File, uint64) {}); err != nil {
		return err
	}
	return failure("repair", m.unrepaired)
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import "errors"

// setAsideLocked copies the chunks of a damaged table to other names, and syncs
// them. Names and values follow from the table alone, so that it does no harm to
// do it again after it was cut off.
func (s *Store) setAsideLocked(im image) error {
	crc := im.checksum()
	for i, chunk := range im {
		if chunk == nil {
			continue
		}
		if err := s.medium.set(badName(crc, i), chunk); err != nil {
			// Half a copy is of no use and takes the room of a later attempt.
			for ; i > 0; i-- {
				if im[i-1] != nil {
					err = errors.Join(err, s.medium.remove(badName(crc, i-1)))
				}
			}
			return err
		}
		s.written.Add(uint64(len(chunk)))
	}
	return s.medium.sync()
}

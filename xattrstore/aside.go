// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
)

// setAside copies what is damaged to other names, and syncs it: the identities,
// or the whole table. It is then as good as not there, and may be written over.
func (p *place) setAside() error {
	switch {
	case p.noIdentities != nil && !damaged(p.noIdentities):
		return p.noIdentities
	case errors.Is(p.rejected, ErrFile):
		if err := p.medium.discard(); err != nil {
			return err
		}
	case p.rejected != nil:
		if err := p.copyAside(&p.elements); err != nil {
			return err
		}
		if err := p.copyAside(&p.identities); err != nil {
			return err
		}
		p.elements.covered, p.identities.covered = covered{}, covered{}
	case damaged(p.noIdentities):
		if err := p.copyAside(&p.identities); err != nil {
			return err
		}
		p.identities.covered = covered{}
	}
	p.rejected, p.noIdentities = nil, nil
	return nil
}

// clear sets aside what is damaged, and removes it.
func (p *place) clear() error {
	if err := p.setAside(); err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	for _, st := range []*stream{&p.elements, &p.identities} {
		if err := p.truncate(st, 0); err != nil {
			return err
		}
	}
	p.forget()
	return p.medium.sync()
}

// copyAside copies the chunks of a stream to other names, and syncs them. Names
// and values follow from the stream alone, so that it does no harm to do it
// again after it was cut off.
func (p *place) copyAside(st *stream) error {
	crc := st.checksum()
	for i, chunk := range st.image {
		if chunk == nil {
			continue
		}
		if err := p.set(st.bad(crc, i), chunk); err != nil {
			// Half a copy is of no use and takes the room of a later attempt.
			for ; i > 0; i-- {
				if st.image[i-1] != nil {
					err = errors.Join(err, p.medium.remove(st.bad(crc, i-1)))
				}
			}
			return err
		}
	}
	if len(st.image) == 0 {
		return nil
	}
	return p.medium.sync()
}

// SPDX-License-Identifier: Apache-2.0

package cases

// Places are the offsets of a slot's reads or writes in its file, one after the other.
type Places struct {
	size, count uint64
	sequential  bool
	state       uint64
}

// NewPlaces returns those of a slot, for a file of fileSize bytes and messages of size.
func NewPlaces(slot, fileSize, size int, sequential bool) *Places {
	return &Places{
		size: uint64(size), count: uint64(fileSize / size), sequential: sequential,
		state: uint64(slot)*0x9e3779b97f4a7c15 + 1,
	}
}

// Next returns the next offset.
func (p *Places) Next() uint64 {
	if p.sequential {
		p.state++
		return p.state % p.count * p.size
	}
	// xorshift64: cheap, and the same for all who are measured.
	p.state ^= p.state << 13
	p.state ^= p.state >> 7
	p.state ^= p.state << 17
	return p.state % p.count * p.size
}

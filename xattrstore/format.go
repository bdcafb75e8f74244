// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"vhost-user-9p/qidpath"
)

const (
	version     = 1
	headerSize  = 8  // bytes: u16 version, u16 reserved, u32 crc32c
	elementSize = 10 // bytes: u64 label, u16 ino_prefix

	// A prefix is a u16 and 0 is reserved.
	maxParsed = 1<<16 - 1
)

// Why a stored stream was rejected; found with errors.Is.
var (
	ErrShortHeader = errors.New("shorter than its header")
	ErrVersion     = errors.New("unknown version")
	ErrDuplicate   = errors.New("duplicate key")
	ErrChecksum    = errors.New("checksum mismatch")
	ErrTooLong     = errors.New("too long")
	ErrFirstChunk  = errors.New("first chunk missing")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// covered is what a stream's header vouches for: its first entries. What follows
// them is surplus.
type covered struct {
	n        int
	crc      uint32 // CRC-32C of the entries
	reserved uint16 // the header's field of this name
}

// header returns the stream's header.
func (c covered) header() []byte {
	b := make([]byte, 0, headerSize)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, c.reserved)
	return binary.LittleEndian.AppendUint32(b, c.crc)
}

// parse reads a stream of any content. If it covers less than the stream, an
// append was cut off.
func (s series) parse(stream []byte) (covered, error) {
	if len(stream) >= 2 {
		if v := binary.LittleEndian.Uint16(stream); v != version {
			return covered{}, fmt.Errorf("%w %d", ErrVersion, v)
		}
	}
	if len(stream) < headerSize {
		return covered{}, fmt.Errorf("%w: %d bytes", ErrShortHeader, len(stream))
	}
	if len(stream) > s.size(maxParsed) {
		return covered{}, fmt.Errorf("%w: %d bytes", ErrTooLong, len(stream))
	}
	c := covered{
		reserved: binary.LittleEndian.Uint16(stream[2:]),
		crc:      binary.LittleEndian.Uint32(stream[4:]),
	}
	entries := stream[headerSize:]
	var ok bool
	if c.n, ok = checked(entries, s.entry, c.crc); !ok {
		return covered{}, fmt.Errorf("%w: header %08x, %d entries", ErrChecksum, c.crc, len(entries)/s.entry)
	}
	return c, nil
}

// checked returns how many of the entries the checksum covers: all of them or
// the longest part from the first on, which has at least one entry, because
// every stream has an empty part, and its checksum is a mere 0.
func checked(entries []byte, size int, want uint32) (n int, ok bool) {
	if len(entries) < size {
		return 0, want == 0
	}
	crc := uint32(0)
	for i := 1; i*size <= len(entries); i++ {
		crc = crc32.Update(crc, castagnoli, entries[(i-1)*size:i*size])
		if crc == want {
			n = i
		}
	}
	return n, n > 0
}

// label is what an element is in its stream, where it has no equal.
type label struct {
	dev       uint64
	inoPrefix uint16
}

func labelOf(e qidpath.Element) label { return label{e.Dev, e.InoPrefix} }

func appendElements(b []byte, elements []qidpath.Element) []byte {
	for _, e := range elements {
		b = binary.LittleEndian.AppendUint64(b, e.Dev)
		b = binary.LittleEndian.AppendUint16(b, e.InoPrefix)
	}
	return b
}

// parseTable reads a stream of elements.
func parseTable(stream []byte) ([]label, covered, error) {
	c, err := elementSeries.parse(stream)
	if err != nil {
		return nil, covered{}, err
	}
	labels := make([]label, c.n)
	seen := make(map[label]int, c.n)
	for i := range labels {
		e := stream[elementSeries.size(i):]
		l := label{binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint16(e[8:])}
		if j, dup := seen[l]; dup {
			return nil, covered{}, fmt.Errorf("%w: elements %d and %d", ErrDuplicate, j, i)
		}
		seen[l] = i
		labels[i] = l
	}
	return labels, c, nil
}

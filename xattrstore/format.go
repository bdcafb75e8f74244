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
	elementSize = 10 // bytes: u64 st_dev, u16 ino_prefix

	// A prefix is a u16 and 0 is reserved.
	maxParsed = 1<<16 - 1
	maxStream = headerSize + maxParsed*elementSize // bytes
)

// Why a stored table was rejected; found with errors.Is.
var (
	ErrShortHeader = errors.New("shorter than its header")
	ErrVersion     = errors.New("unknown version")
	ErrDuplicate   = errors.New("duplicate key")
	ErrChecksum    = errors.New("checksum mismatch")
	ErrTooLong     = errors.New("too long")
	ErrFirstChunk  = errors.New("first chunk missing")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// table is the content of a stream.
type table struct {
	keys []qidpath.Key
	crc  uint32 // CRC-32C of the encoded keys
}

// end returns how many bytes of its stream the table is; what follows is surplus.
func (t table) end() int { return headerSize + len(t.keys)*elementSize }

// with returns the table with keys appended. It does not change t.
func (t table) with(keys []qidpath.Key) table {
	n := len(t.keys)
	return table{
		keys: append(t.keys[:n:n], keys...),
		crc:  crc32.Update(t.crc, castagnoli, appendElements(nil, keys)),
	}
}

// header returns the stream's header.
func (t table) header() []byte {
	b := make([]byte, 0, headerSize)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, 0)
	return binary.LittleEndian.AppendUint32(b, t.crc)
}

func appendElements(b []byte, keys []qidpath.Key) []byte {
	for _, k := range keys {
		b = binary.LittleEndian.AppendUint64(b, k.Dev)
		b = binary.LittleEndian.AppendUint16(b, k.InoPrefix)
	}
	return b
}

// parse reads a stream of any content. A table that is shorter than the stream
// is what an append that was cut off has left.
func parse(stream []byte) (table, error) {
	if len(stream) >= 2 {
		if v := binary.LittleEndian.Uint16(stream); v != version {
			return table{}, fmt.Errorf("%w %d", ErrVersion, v)
		}
	}
	if len(stream) < headerSize {
		return table{}, fmt.Errorf("%w: %d bytes", ErrShortHeader, len(stream))
	}
	if len(stream) > maxStream {
		return table{}, fmt.Errorf("%w: %d bytes", ErrTooLong, len(stream))
	}
	want := binary.LittleEndian.Uint32(stream[4:])
	elements := stream[headerSize:]
	n, ok := checked(elements, want)
	if !ok {
		return table{}, fmt.Errorf("%w: header %08x, %d elements", ErrChecksum, want, len(elements)/elementSize)
	}
	t := table{keys: make([]qidpath.Key, n), crc: want}
	seen := make(map[qidpath.Key]int, n)
	for i := range t.keys {
		e := elements[i*elementSize:]
		k := qidpath.Key{Dev: binary.LittleEndian.Uint64(e), InoPrefix: binary.LittleEndian.Uint16(e[8:])}
		if j, dup := seen[k]; dup {
			return table{}, fmt.Errorf("%w: elements %d and %d", ErrDuplicate, j, i)
		}
		seen[k] = i
		t.keys[i] = k
	}
	return t, nil
}

// checked returns how many of the elements the checksum covers: all of them or
// the longest part from the first on, which has at least one element, because
// every stream has an empty part, and its checksum is a mere 0.
func checked(elements []byte, want uint32) (n int, ok bool) {
	if len(elements) < elementSize {
		return 0, want == 0
	}
	crc := uint32(0)
	for i := 1; i*elementSize <= len(elements); i++ {
		crc = crc32.Update(crc, castagnoli, elements[(i-1)*elementSize:i*elementSize])
		if crc == want {
			n = i
		}
	}
	return n, n > 0
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

const (
	fileMagic      = "vu9pqids"
	fileVersion    = 1
	fileHeaderSize = 16 // bytes: the magic, u16 version, u16 reserved = 0, u32 crc32c of the rest
	recordSize     = 6  // bytes before a record's name: u16 length of the name, u32 length of the value

	// A file holds two streams, and has room for some that were set aside.
	maxFile = 8 << 20 // bytes
)

// ErrFile is why a file of the state directory was rejected; found with errors.Is.
var ErrFile = errors.New("not a whole file of stored tables")

// encodeFile returns the file with these values. Their names are ascending in it.
func encodeFile(values map[string][]byte) []byte {
	b := append(make([]byte, 0, sizeOfFile(values)), fileMagic...)
	b = binary.LittleEndian.AppendUint16(b, fileVersion)
	b = append(b, make([]byte, fileHeaderSize-len(b))...)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(values[name])))
		b = append(b, name...)
		b = append(b, values[name]...)
	}
	crc := crc32.Checksum(b[fileHeaderSize:], castagnoli)
	binary.LittleEndian.PutUint32(b[fileHeaderSize-4:], crc)
	return b
}

func sizeOfFile(values map[string][]byte) int {
	n := fileHeaderSize
	for name, value := range values {
		n += recordSize + len(name) + len(value)
	}
	return n
}

// decodeFile returns the values in a file, which are parts of it.
func decodeFile(b []byte) (map[string][]byte, error) {
	if len(b) < fileHeaderSize || !bytes.HasPrefix(b, []byte(fileMagic)) {
		return nil, fmt.Errorf("%w: no header", ErrFile)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != fileVersion {
		return nil, fmt.Errorf("%w %d of a file", ErrVersion, v)
	}
	if r := binary.LittleEndian.Uint16(b[10:]); r != 0 {
		return nil, fmt.Errorf("%w: reserved field %#x", ErrFile, r)
	}
	want := binary.LittleEndian.Uint32(b[12:])
	b = b[fileHeaderSize:]
	if got := crc32.Checksum(b, castagnoli); got != want {
		return nil, fmt.Errorf("%w: checksum %08x, header %08x", ErrFile, got, want)
	}
	values := make(map[string][]byte)
	for last := ""; len(b) > 0; {
		if len(b) < recordSize {
			return nil, fmt.Errorf("%w: %d bytes after %q", ErrFile, len(b), last)
		}
		nameLen, valueLen := uint64(binary.LittleEndian.Uint16(b)), uint64(binary.LittleEndian.Uint32(b[2:]))
		b = b[recordSize:]
		if nameLen+valueLen > uint64(len(b)) {
			return nil, fmt.Errorf("%w: a record of %d and %d bytes with %d left", ErrFile, nameLen, valueLen, len(b))
		}
		name, value := string(b[:nameLen]), b[nameLen:nameLen+valueLen:nameLen+valueLen]
		if name <= last {
			return nil, fmt.Errorf("%w: record %q after %q", ErrFile, name, last)
		}
		values[name] = value
		last, b = name, b[nameLen+valueLen:]
	}
	return values, nil
}

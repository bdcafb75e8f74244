// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"vhost-user-9p/qidpath"
)

const (
	version    = 1
	headerSize = 8
	recordSize = 44
	sumAt      = recordSize - 4

	// skip is how many numbers may have been given that a power failure has lost.
	skip = 1 << 20

	// maxNumber is the highest number. Those above are left to the volatile
	// ones, which a Table counts down from qidpath.MaxNumber.
	maxNumber = qidpath.MaxNumber - 1<<32

	// maxSize bounds what has to be read at a start: twice what a Table holds.
	maxSize = headerSize + 2*qidpath.MaxNumbers*recordSize
)

// Errors of a file that cannot be used.
var (
	ErrVersion = errors.New("unknown version")
	ErrTooLong = errors.New("too long")
	ErrForeign = errors.New("not a full map")
	ErrHeader  = errors.New("damaged header")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHeader appends the header of every full map to b.
func appendHeader(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, 0)
	return binary.LittleEndian.AppendUint32(b, 0)
}

// checkHeader returns ErrVersion, or ErrHeader if the records decide what the
// file is.
func checkHeader(h [headerSize]byte) error {
	if h == [headerSize]byte(appendHeader(nil)) {
		return nil
	}
	if v := binary.LittleEndian.Uint16(h[:]); v > version {
		return fmt.Errorf("%w %d", ErrVersion, v)
	}
	return fmt.Errorf("%w: %x", ErrHeader, h)
}

// appendRecord appends the record that f has the number n to b.
func appendRecord(b []byte, f qidpath.File, n uint64) []byte {
	start := len(b)
	id := f.FS
	if id == qidpath.DeviceIdentity(f.Dev) {
		id = qidpath.Identity{}
	}
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint64(b, f.Dev)
	b = binary.LittleEndian.AppendUint64(b, f.Ino)
	b = binary.LittleEndian.AppendUint64(b, n)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseRecord reports false for a record that is damaged by itself.
//
// Preconditions: len(rec) == recordSize.
func parseRecord(rec []byte) (f qidpath.File, n uint64, ok bool) {
	if crc32.Checksum(rec[:sumAt], castagnoli) != binary.LittleEndian.Uint32(rec[sumAt:]) {
		return f, 0, false
	}
	f.FS = qidpath.Identity(rec)
	f.Dev = binary.LittleEndian.Uint64(rec[16:])
	f.Ino = binary.LittleEndian.Uint64(rec[24:])
	n = binary.LittleEndian.Uint64(rec[32:])
	if f.FS.IsZero() {
		f.FS = qidpath.DeviceIdentity(f.Dev)
	}
	return f, n, n > 0 && n <= maxNumber
}

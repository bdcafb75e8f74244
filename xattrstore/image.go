// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"golang.org/x/sys/unix"
)

// maxChunks bounds the chunks that are read or written; the smallest ones that
// are written make a full table with fewer.
const maxChunks = 1 << 14

// image is the stored stream as it is cut into chunks. Chunk 0 is nil if it is
// missing although there are others.
type image [][]byte

// readImage reads the chunks up to the first missing index. With ErrTooLong, not
// all of them were read.
func readImage(m medium) (image, error) {
	var im image
	size := 0
	for i := 0; ; i++ {
		chunk, err := m.get(chunkName(i))
		switch {
		case errors.Is(err, unix.ENODATA) && i == 0:
			im = append(im, nil)
			continue
		case errors.Is(err, unix.ENODATA):
			if i == 1 && im[0] == nil {
				return nil, nil
			}
			return im, nil
		case err != nil:
			return nil, err
		}
		size += len(chunk)
		if size > maxStream || i >= maxChunks {
			return nil, fmt.Errorf("%w: more than %d bytes or %d chunks", ErrTooLong, maxStream, maxChunks)
		}
		im = append(im, chunk)
	}
}

// parse returns the image's table. No chunks are an empty table.
func (im image) parse() (table, error) {
	if len(im) == 0 {
		return table{}, nil
	}
	if im[0] == nil {
		return table{}, ErrFirstChunk
	}
	return parse(slices.Concat(im...))
}

// size returns how many bytes the stream has.
func (im image) size() int {
	n := 0
	for _, chunk := range im {
		n += len(chunk)
	}
	return n
}

func (im image) equal(other image) bool {
	return slices.EqualFunc(im, other, func(a, b []byte) bool {
		return (a == nil) == (b == nil) && bytes.Equal(a, b)
	})
}

func (im image) checksum() uint32 {
	crc := uint32(0)
	for _, chunk := range im {
		crc = crc32.Update(crc, castagnoli, chunk)
	}
	return crc
}

// locate returns the chunk in which the stream's first size bytes end and how
// many of its bytes are among them. The image has at least size bytes.
func (im image) locate(size int) (chunk, end int) {
	for i, c := range im {
		if size <= len(c) {
			return i, size
		}
		size -= len(c)
	}
	return len(im), 0
}

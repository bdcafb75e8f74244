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

// maxChunks bounds the chunks of a stream that are read or written; the smallest
// ones that are written make a full table with fewer.
const maxChunks = 1 << 14

// image is a stored stream as it is cut into chunks. Chunk 0 is nil if it is
// missing although there are others.
type image [][]byte

// readImage reads the chunks up to the first missing index. With ErrTooLong, not
// all of them were read.
func readImage(m medium, s series) (image, error) {
	var im image
	size := 0
	for i := 0; ; i++ {
		chunk, err := m.get(s.chunk(i))
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
		if size > s.size(maxParsed) || i >= maxChunks {
			return nil, fmt.Errorf("%w: more than %d bytes or %d chunks", ErrTooLong, s.size(maxParsed), maxChunks)
		}
		im = append(im, chunk)
	}
}

// unchanged reports whether what is stored is still im, as far as two or three
// chunks tell: every append that was committed has changed the first one, and
// what one that was cut off has left is written over or comes after the last.
// That one is only read where the next append would leave it as it is.
func (im image) unchanged(m medium, s series, chunkMax int) (bool, error) {
	probe := func(i int) (bool, error) {
		var want []byte
		if i < len(im) {
			want = im[i]
		}
		got, err := m.get(s.chunk(i))
		if errors.Is(err, unix.ENODATA) {
			return want == nil, nil
		}
		return want != nil && bytes.Equal(got, want), err
	}
	last := max(0, len(im)-1)
	probes := []int{0, last + 1}
	if last > 0 && len(im[last])+s.entry > chunkMax {
		probes = append(probes, last)
	}
	for _, i := range probes {
		if same, err := probe(i); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// bytes returns the stream.
func (im image) bytes() []byte { return slices.Concat(im...) }

// size returns how many bytes the stream has.
func (im image) size() int {
	n := 0
	for _, chunk := range im {
		n += len(chunk)
	}
	return n
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

// stream is one of a table's two streams, as it is stored.
type stream struct {
	series
	image
	covered
}

// end returns how many bytes the header vouches for; what follows is surplus.
func (st *stream) end() int { return st.series.size(st.n) }

// surplus returns how many bytes follow these.
func (st *stream) surplus() int {
	if len(st.image) == 0 {
		return 0
	}
	return max(0, st.image.size()-st.end())
}

// entries returns the first n entries, of those that the header vouches for.
func (st *stream) entries(n int) []byte {
	if n == 0 {
		return nil
	}
	return st.bytes()[headerSize:st.series.size(n)]
}

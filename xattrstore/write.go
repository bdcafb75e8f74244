// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

const (
	chunkSizeMax = 1 << 16 // bytes; XATTR_SIZE_MAX
	chunkSizeMin = 32      // bytes; a header and two elements, or three elements
)

var (
	errHeaderCut = errors.New("the header is cut in two, so no write can commit an append")
	errChunks    = fmt.Errorf("more than %d chunks", maxChunks)
)

// write is one attribute to set.
type write struct {
	chunk int
	value []byte
}

// extendLocked appends keys to what is stored, which may be damaged: then it has
// an image, no keys, and is replaced. It returns what is stored afterwards; with
// an error that has to be read again.
func (s *Store) extendLocked(old content, keys []qidpath.Key) (_ content, err error) {
	chunkMax := s.chunkMax
	defer func() {
		if err != nil {
			s.chunkMax = chunkMax // no size was right; the room may come back
		}
	}()
	if len(old.keys) == 0 {
		// Without elements there is no checksum to tell an append that was cut
		// off by. So only chunk 0 is written, which cannot be cut off.
		begun, err := s.beginLocked(old.image, keys)
		if err != nil || len(begun.keys) == len(keys) {
			return begun, err
		}
		old, keys = begun, keys[len(begun.keys):]
	}
	last, end := old.locate(old.end())
	if len(old.image[0]) < headerSize {
		return content{}, errHeaderCut
	}
	im := slices.Clone(old.image)
	if err := s.truncateLocked(im, last+1); err != nil {
		return content{}, err
	}
	im = im[:last+1]
	t := old.with(keys)
	for {
		writes, err := plan(im, end, t, appendElements(nil, keys), s.chunkMax)
		if err != nil {
			return content{}, err
		}
		failed, err := s.writeLocked(writes)
		if err == nil {
			return content{im.after(writes), t}, nil
		}
		// Existing chunks that do not grow cannot be made smaller.
		grows := failed.chunk > last || failed.chunk == last && len(failed.value) > end
		if !tooLarge(err) || !grows || !s.shrinkLocked(len(failed.value)) {
			return content{}, err
		}
	}
}

// beginLocked replaces all there is by a table of the first keys, as many as fit
// into chunk 0.
func (s *Store) beginLocked(old image, keys []qidpath.Key) (content, error) {
	if err := s.truncateLocked(old, 1); err != nil {
		return content{}, err
	}
	for {
		n := min(len(keys), (s.chunkMax-headerSize)/elementSize)
		t := table{}.with(keys[:n])
		chunk := appendElements(t.header(), t.keys)
		_, err := s.writeLocked([]write{{0, chunk}})
		if err == nil {
			return content{image{chunk}, t}, nil
		}
		if !tooLarge(err) || !s.shrinkLocked(len(chunk)) {
			return content{}, err
		}
	}
}

// plan returns the writes, in crash-safe order, that append elements to the
// table in im. Its last chunk has end bytes of the table; what follows these is
// surplus. t is the table after the append.
func plan(im image, end int, t table, elements []byte, chunkMax int) ([]write, error) {
	last := len(im) - 1
	room := max(0, chunkMax-end) / elementSize * elementSize
	n := min(room, len(elements))
	grown := slices.Concat(im[last][:end], elements[:n])
	elements = elements[n:]

	var writes []write
	if last > 0 && (n > 0 || end < len(im[last])) {
		writes = append(writes, write{last, grown})
	}
	next := last
	for chunk := range slices.Chunk(elements, chunkMax/elementSize*elementSize) {
		next++
		writes = append(writes, write{next, chunk})
	}
	if next >= maxChunks {
		return nil, errChunks
	}
	first := im[0]
	if last == 0 {
		first = grown
	}
	return append(writes, write{0, slices.Concat(t.header(), first[headerSize:])}), nil
}

// after returns the image that the writes make of im.
func (im image) after(writes []write) image {
	im = slices.Clone(im)
	for _, w := range writes {
		if w.chunk == len(im) {
			im = append(im, nil)
		}
		im[w.chunk] = w.value
	}
	return im
}

// writeLocked sets attributes in order, up to the first that fails.
func (s *Store) writeLocked(writes []write) (failed write, err error) {
	for _, w := range writes {
		if err := s.medium.set(chunkName(w.chunk), w.value); err != nil {
			return w, err
		}
		s.written.Add(uint64(len(w.value)))
	}
	return write{}, nil
}

// truncateLocked removes the chunks from n on, the last one first, so that what
// remains has no gap at any time.
func (s *Store) truncateLocked(im image, n int) error {
	for i := len(im) - 1; i >= n; i-- {
		if err := s.medium.remove(chunkName(i)); err != nil {
			return err
		}
	}
	return nil
}

// shrinkLocked makes the chunk size less than one that was refused. It reports
// false if that is too small.
func (s *Store) shrinkLocked(refused int) bool {
	size := s.chunkMax
	for size >= refused {
		size /= 2
	}
	if size < chunkSizeMin {
		return false
	}
	s.chunkMax = size
	return true
}

// tooLarge reports whether err may mean that one value is too large for the file
// system, or for the room that other attributes leave.
func tooLarge(err error) bool {
	return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ERANGE)
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// chunkSizeMin is the least that a chunk size may become, in bytes: a header
	// and two elements or one identity, or three elements or two identities.
	chunkSizeMin = 32

	// chunkSizeUsual is the size to which chunks are grown, in bytes, if the file
	// system has no lower limit: an append reads one of each stream and writes
	// two. With much smaller ones a full table would have more attributes than
	// ext4 has room for names.
	chunkSizeUsual = 16 << 10
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

// extend makes the stream's entries its first keep ones, of those that it has,
// and those in tail. At any time it has these keep entries, if not more. With an
// error, what is stored has to be read again.
//
// If keep is not 0, chunk 0 has the whole header.
func (p *place) extend(st *stream, keep int, tail []byte, reserved uint16) error {
	if keep == 0 {
		// Without entries there is no checksum to tell an append that was cut
		// off by. So only chunk 0 is written, which cannot be cut off.
		n, err := p.beginStream(st, tail, reserved)
		if err != nil || n == len(tail) {
			return err
		}
		keep, tail = n/st.entry, tail[n:]
	}
	if keep < st.n && len(st.image) > 1 {
		if err := p.uncover(st, keep); err != nil {
			return err
		}
	}
	last, end := st.locate(st.series.size(keep))
	if err := p.truncate(st, last+1); err != nil {
		return err
	}
	crc := st.crc
	if keep != st.n {
		crc = crc32.Checksum(st.entries(keep), castagnoli)
	}
	want := covered{keep + len(tail)/st.entry, crc32.Update(crc, castagnoli, tail), reserved}
	for {
		writes, err := plan(st, end, want, tail, p.chunkSize())
		if err != nil {
			return err
		}
		failed, err := p.write(st.series, writes)
		if err == nil {
			st.apply(writes)
			st.covered = want
			return nil
		}
		// Existing chunks that do not grow cannot be made smaller.
		grows := failed.chunk > last || failed.chunk == last && len(failed.value) > end
		if !tooLarge(err) || !grows || !p.shrink(len(failed.value)) {
			return err
		}
	}
}

// beginStream replaces all there is by a stream of the first entries, as many as
// fit into chunk 0. It returns how many bytes these are.
func (p *place) beginStream(st *stream, entries []byte, reserved uint16) (int, error) {
	if err := p.truncate(st, 1); err != nil {
		return 0, err
	}
	for {
		n := min(len(entries), (p.chunkSize()-headerSize)/st.entry*st.entry)
		c := covered{n / st.entry, crc32.Checksum(entries[:n], castagnoli), reserved}
		chunk := slices.Concat(c.header(), entries[:n])
		_, err := p.write(st.series, []write{{0, chunk}})
		if err == nil {
			st.image, st.covered = image{chunk}, c
			return n, nil
		}
		if !tooLarge(err) || !p.shrink(len(chunk)) {
			return 0, err
		}
	}
}

// replace makes entries the stream's only ones, by one change: the stream has
// the old ones or the new ones, or it fails with errReplace and has the old ones.
func (p *place) replace(st *stream, entries []byte, reserved uint16) error {
	c := covered{len(entries) / st.entry, crc32.Checksum(entries, castagnoli), reserved}
	chunk := slices.Concat(c.header(), entries)
	if len(chunk) > p.chunkMax {
		return errReplace
	}
	if _, err := p.write(st.series, []write{{0, chunk}}); err != nil {
		if tooLarge(err) {
			return fmt.Errorf("%w: %w", errReplace, err)
		}
		return err
	}
	// Chunks after it are surplus now.
	im := image{chunk}
	if len(st.image) > 1 {
		im = append(im, st.image[1:]...)
	}
	st.image, st.covered = im, c
	return p.truncate(st, 1)
}

// uncover makes the header vouch for the first n entries only, at least one, so
// that the others can be written over.
func (p *place) uncover(st *stream, n int) error {
	c := covered{n, crc32.Checksum(st.entries(n), castagnoli), st.reserved}
	writes := []write{{0, slices.Concat(c.header(), st.image[0][headerSize:])}}
	if _, err := p.write(st.series, writes); err != nil {
		return err
	}
	st.apply(writes)
	st.covered = c
	return nil
}

// plan returns the writes, in crash-safe order, that append entries to the
// stream and make its header vouch for what want says. Its last chunk has end
// bytes that stay; what follows these is surplus.
func plan(st *stream, end int, want covered, entries []byte, chunkMax int) ([]write, error) {
	im, size := st.image, st.entry
	last := len(im) - 1
	room := max(0, chunkMax-end) / size * size
	n := min(room, len(entries))
	grown := slices.Concat(im[last][:end], entries[:n])
	entries = entries[n:]

	var writes []write
	if last > 0 && (n > 0 || end < len(im[last])) {
		writes = append(writes, write{last, grown})
	}
	next := last
	for chunk := range slices.Chunk(entries, chunkMax/size*size) {
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
	return append(writes, write{0, slices.Concat(want.header(), first[headerSize:])}), nil
}

// apply makes the image what the writes have made of what is stored.
func (st *stream) apply(writes []write) {
	for _, w := range writes {
		if w.chunk == len(st.image) {
			st.image = append(st.image, nil)
		}
		st.image[w.chunk] = w.value
	}
}

// write sets attributes in order, up to the first that fails.
func (p *place) write(s series, writes []write) (failed write, err error) {
	for _, w := range writes {
		if err := p.set(s.chunk(w.chunk), w.value); err != nil {
			return w, err
		}
	}
	return write{}, nil
}

// truncate removes the chunks from n on, the last one first, so that what
// remains has no gap at any time.
func (p *place) truncate(st *stream, n int) error {
	for i := len(st.image) - 1; i >= n; i-- {
		if st.image[i] != nil {
			// A repair may have removed it, which leaves what unchanged looks at.
			if err := p.medium.remove(st.chunk(i)); err != nil && !errors.Is(err, unix.ENODATA) {
				return err
			}
		}
		st.image = st.image[:i]
	}
	return nil
}

// chunkSize returns the size to which chunks may be grown.
func (p *place) chunkSize() int { return min(p.chunkMax, chunkSizeUsual) }

// shrink makes the chunk size less than one that was refused. It reports false
// if that is too small.
func (p *place) shrink(refused int) bool {
	size := p.chunkMax
	for size >= refused {
		size /= 2
	}
	if size < chunkSizeMin {
		return false
	}
	p.chunkMax = size
	return true
}

// tooLarge reports whether err may mean that one value is too large for the file
// system, or for the room that other attributes leave.
func tooLarge(err error) bool {
	return errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ERANGE)
}

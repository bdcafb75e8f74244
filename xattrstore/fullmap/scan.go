// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"io"
	"slices"

	"vhost-user-9p/qidpath"
)

// scanBuffer is what is read at once, at most.
const scanBuffer = recordSize << 12

// scan calls visit for each whole record of f from one offset to another, until
// it returns false or f ends.
func scan(f io.ReaderAt, from, to int64, visit func(rec []byte) bool) error {
	buf := make([]byte, max(0, min(scanBuffer, (to-from)/recordSize*recordSize)))
	for to-from >= recordSize {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), to-from)], from)
		n -= n % recordSize
		for rec := range slices.Chunk(buf[:n], recordSize) {
			if !visit(rec) {
				return nil
			}
		}
		from += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// content is what was read of a file, from its beginning.
type content struct {
	end     int64            // behind the last valid record or else the header; 0: nothing was read
	last    [recordSize]byte // the last valid record, if there is one
	highest uint64           // its number
	records uint64           // valid ones
	damaged uint64           // damaged records before end
	tail    uint64           // and from end on; whole ones

	// headerErr is ErrHeader if valid records, which say what the file is, stand
	// under a header that does not.
	headerErr error
}

// begin reads the header of a file that is not empty.
func (c *content) begin(f io.ReaderAt) error {
	var h [headerSize]byte
	if _, err := f.ReadAt(h[:], 0); errors.Is(err, io.EOF) {
		return ErrForeign
	} else if err != nil {
		return err
	}
	err := checkHeader(h)
	if err != nil && !errors.Is(err, ErrHeader) {
		return err
	}
	*c = content{end: headerSize, headerErr: err}
	return nil
}

// add takes the next record, and reports whether it is valid.
func (c *content) add(rec []byte) (f qidpath.File, n uint64, ok bool) {
	f, n, ok = parseRecord(rec)
	if !ok || n <= c.highest {
		c.tail++
		return f, n, false
	}
	c.damaged += c.tail
	c.end += int64(c.tail+1) * recordSize
	c.tail = 0
	c.last = [recordSize]byte(rec)
	c.highest = n
	c.records++
	return f, n, true
}

// read reads on, from the last valid record to the offset to, and yields each
// valid one. It stops before the first damaged one if it is told to.
func (c *content) read(f io.ReaderAt, to int64, stopAtDamage bool, yield func(f qidpath.File, n uint64)) error {
	if c.end == 0 {
		if to == 0 {
			return nil
		}
		if err := c.begin(f); err != nil {
			return err
		}
	}
	c.tail = 0
	err := scan(f, c.end, to, func(rec []byte) bool {
		file, n, ok := c.add(rec)
		if ok {
			yield(file, n)
		}
		return ok || !stopAtDamage
	})
	if err == nil && c.headerErr != nil && c.records == 0 && !stopAtDamage {
		return ErrForeign
	}
	return err
}

// intact reports whether what was read is still there: someone may have
// overwritten records that were valid in the page cache but lost on their way to
// the disk.
func (c *content) intact(f io.ReaderAt) (bool, error) {
	if c.records == 0 {
		return true, nil
	}
	var rec [recordSize]byte
	_, err := f.ReadAt(rec[:], c.end-recordSize)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return rec == c.last, err
}

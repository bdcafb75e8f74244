// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// The operations on open files.

func (r *runner) read() error {
	h := r.pick((*handle).readable)
	if h == nil {
		return nil
	}
	size := int64(len(h.inode.content))
	off := r.offset(size + size/8)
	return r.readAt(h, off, r.length(r.MaxSize))
}

func (r *runner) readAt(h *handle, off, n int64) error {
	r.note(h.inode, off, off+n, "read handle %d (file %d) at %d, %d bytes", h.id, h.inode.id, off, n)
	p := make([]byte, n)
	got, err := h.file.ReadAt(p, off)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	size := int64(len(h.inode.content))
	return compare("read", h.inode, off, p[:got], h.inode.content[min(off, size):min(off+n, size)])
}

func (r *runner) write() error {
	h := r.pick(func(h *handle) bool { return h.writable() && !h.appends() })
	if h == nil {
		return nil
	}
	off := r.offset(min(int64(len(h.inode.content))+10_000, r.MaxSize-1))
	p := r.data(r.length(r.MaxSize - off))
	r.note(h.inode, off, off+int64(len(p)), "write handle %d (file %d) at %d, %d bytes", h.id, h.inode.id, off, len(p))
	n, err := h.file.WriteAt(p, off)
	if err != nil {
		return fmt.Errorf("write of %d bytes: %w", len(p), err)
	}
	if n != len(p) {
		return fmt.Errorf("write: %d bytes of %d", n, len(p))
	}
	h.inode.write(p, off)
	return nil
}

func (r *runner) append() error {
	h := r.pick(func(h *handle) bool { return h.writable() && h.appends() && int64(len(h.inode.content)) < r.MaxSize })
	if h == nil {
		return nil
	}
	size := int64(len(h.inode.content))
	p := r.data(r.length(r.MaxSize - size))
	r.note(h.inode, size, size+int64(len(p)), "append handle %d (file %d, size %d), %d bytes", h.id, h.inode.id, size, len(p))
	n, err := h.file.Append(p)
	if err != nil {
		return fmt.Errorf("append of %d bytes: %w", len(p), err)
	}
	if n != len(p) {
		return fmt.Errorf("append: %d bytes of %d", n, len(p))
	}
	h.inode.write(p, size)
	return nil
}

func (r *runner) truncate() error {
	size := r.offset(r.MaxSize)
	if r.rng.IntN(3) > 0 { // mostly about where the data is
		size = r.rng.Int64N(50_000)
	}
	if r.rng.IntN(2) == 0 {
		h := r.pick((*handle).writable)
		if h == nil {
			return nil
		}
		old := int64(len(h.inode.content))
		r.note(h.inode, min(old, size), max(old, size), "truncate handle %d (file %d, size %d) to %d", h.id, h.inode.id, old, size)
		if err := h.file.Truncate(size); err != nil {
			return fmt.Errorf("truncate: %w", err)
		}
		h.inode.resize(size)
		return nil
	}
	path := r.path()
	i, want := r.names.find(path)
	if want != nil {
		r.note(nil, 0, 0, "truncate %s, which is not there", path)
	} else {
		old := int64(len(i.content))
		r.note(i, min(old, size), max(old, size), "truncate %s (file %d, size %d) to %d", path, i.id, old, size)
	}
	if err := same("truncate", r.fs.Truncate(path, size), want); err != nil || want != nil {
		return err
	}
	i.resize(size)
	return nil
}

func (r *runner) mapRead() error {
	h := r.pick(func(h *handle) bool { return h.readable() && len(h.inode.content) > 0 })
	if h == nil || r.NoMapRead {
		return nil
	}
	m, ok := h.file.(Mapper)
	if !ok {
		return nil
	}
	size := int64(len(h.inode.content))
	off := r.rng.Int64N(size)
	n := min(r.length(r.MaxSize), (size+4095)&^4095-off)
	r.note(h.inode, off, off+n, "read a mapping of handle %d (file %d, size %d) at %d, %d bytes", h.id, h.inode.id, size, off, n)
	got, want := make([]byte, n), make([]byte, n)
	copy(want, h.inode.content[off:])
	if err := m.MapRead(got, off); err != nil {
		return fmt.Errorf("reading a mapping: %w", err)
	}
	return compare("mapping", h.inode, off, got, want)
}

func (r *runner) mapWrite() error {
	h := r.pick(func(h *handle) bool {
		return h.flags&unix.O_ACCMODE == unix.O_RDWR && len(h.inode.content) > 0
	})
	if h == nil || r.NoMapWrite {
		return nil
	}
	m, ok := h.file.(Mapper)
	if !ok {
		return nil
	}
	size := int64(len(h.inode.content))
	off := r.rng.Int64N(size)
	p := r.data(r.length(size - off))
	r.note(h.inode, off, off+int64(len(p)), "write to a mapping of handle %d (file %d, size %d) at %d, %d bytes", h.id, h.inode.id, size, off, len(p))
	if err := m.MapWrite(p, off); err != nil {
		return fmt.Errorf("writing to a mapping: %w", err)
	}
	h.inode.write(p, off)
	return nil
}

func (r *runner) allocate() error {
	h := r.pick((*handle).writable)
	if h == nil {
		return nil
	}
	a, ok := h.file.(Allocator)
	if !ok {
		return nil
	}
	mode := []uint32{
		0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE,
		unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE,
	}[r.rng.IntN(5)]
	off := r.offset(min(int64(len(h.inode.content)), r.MaxSize-1))
	n := r.length(r.MaxSize - off)
	r.note(h.inode, off, off+n, "allocate handle %d (file %d, size %d) mode %#x at %d, %d bytes", h.id, h.inode.id, len(h.inode.content), mode, off, n)
	err := a.Allocate(mode, off, n)
	if r.refused(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("allocate: %w", err)
	}
	size := int64(len(h.inode.content))
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		h.inode.resize(max(size, off+n))
	}
	if mode&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 {
		size = int64(len(h.inode.content))
		clear(h.inode.content[min(off, size):min(off+n, size)])
	}
	return nil
}

func (r *runner) sync() error {
	h := r.pick(func(*handle) bool { return true })
	if h == nil {
		return nil
	}
	r.note(h.inode, 0, 0, "sync handle %d (file %d)", h.id, h.inode.id)
	return h.file.Sync()
}

func (r *runner) close() error {
	if len(r.handles) == 0 {
		return nil
	}
	at := r.rng.IntN(len(r.handles))
	h := r.handles[at]
	r.handles = append(r.handles[:at], r.handles[at+1:]...)
	r.note(h.inode, 0, 0, "close handle %d (file %d, %d links)", h.id, h.inode.id, h.inode.links)
	return h.file.Close()
}

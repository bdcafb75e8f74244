// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"cmp"
	"io"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// lockSpan is a range of bytes, both ends included, that is locked.
type lockSpan struct {
	start, end int64
	typ        int16 // F_RDLCK, F_WRLCK; in requests also F_UNLCK
}

// spanOf returns what l asks for.
func spanOf(l *ninep.Lock) (lockSpan, unix.Errno) {
	s := lockSpan{start: int64(l.Start), end: math.MaxInt64}
	switch l.Type {
	case ninep.LockRead:
		s.typ = unix.F_RDLCK
	case ninep.LockWrite:
		s.typ = unix.F_WRLCK
	case ninep.LockUnlock:
		s.typ = unix.F_UNLCK
	default:
		return s, unix.EINVAL
	}
	if s.start < 0 || int64(l.Length) < 0 {
		return s, unix.EINVAL
	}
	if n := int64(l.Length); n > 0 {
		if s.start > math.MaxInt64-(n-1) {
			return s, unix.EOVERFLOW
		}
		s.end = s.start + n - 1
	}
	return s, 0
}

// show sets the type and range of l to those of s.
func (s *lockSpan) show(l *ninep.Lock) {
	switch s.typ {
	case unix.F_RDLCK:
		l.Type = ninep.LockRead
	case unix.F_WRLCK:
		l.Type = ninep.LockWrite
	default:
		l.Type = ninep.LockUnlock
	}
	l.Start, l.Length = uint64(s.start), 0
	if s.end != math.MaxInt64 {
		l.Length = uint64(s.end-s.start) + 1
	}
}

// flock returns s as fcntl(2) takes it, with another type.
func (s *lockSpan) flock(typ int16) unix.Flock_t {
	fl := unix.Flock_t{Type: typ, Whence: io.SeekStart, Start: s.start}
	if s.end != math.MaxInt64 {
		fl.Len = s.end - s.start + 1
	}
	return fl
}

func (s *lockSpan) isWhole() bool { return s.start == 0 && s.end == math.MaxInt64 }

// conflicts reports whether two owners cannot have s and t at once.
func (s *lockSpan) conflicts(t *lockSpan) bool {
	return s.start <= t.end && t.start <= s.end && (s.typ == unix.F_WRLCK || t.typ == unix.F_WRLCK)
}

// setSpan returns spans after s was locked or, by its type, unlocked. As in the
// kernel, neighbours of one type become one.
func setSpan(spans []lockSpan, s lockSpan) []lockSpan {
	out := make([]lockSpan, 0, len(spans)+2)
	for _, old := range spans {
		if old.start < s.start {
			out = append(out, lockSpan{old.start, min(old.end, s.start-1), old.typ})
		}
		if old.end > s.end {
			out = append(out, lockSpan{max(old.start, s.end+1), old.end, old.typ})
		}
	}
	if s.typ == unix.F_UNLCK {
		return out
	}
	i, _ := slices.BinarySearchFunc(out, s.start, func(o lockSpan, start int64) int { return cmp.Compare(o.start, start) })
	out = slices.Insert(out, i, s)
	if i+1 < len(out) && out[i].end+1 == out[i+1].start && out[i].typ == out[i+1].typ {
		out[i].end = out[i+1].end
		out = slices.Delete(out, i+1, i+2)
	}
	if i > 0 && out[i-1].end+1 == out[i].start && out[i-1].typ == out[i].typ {
		out[i-1].end = out[i].end
		out = slices.Delete(out, i, i+1)
	}
	return out
}

// cover returns what of the range in is locked by any of spans, and how, gaps as
// F_UNLCK, in order and with as few pieces as possible. Where two spans overlap
// both are read locks.
func cover(spans []lockSpan, in lockSpan) []lockSpan {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s lockSpan) bool { return s.end < in.start || s.start > in.end })
	slices.SortFunc(spans, func(a, b lockSpan) int { return cmp.Compare(a.start, b.start) })
	var out []lockSpan
	next := in.start // of which nothing is known yet
	add := func(end int64, typ int16) bool {
		end = min(end, in.end)
		if end < next {
			return true
		}
		if last := len(out) - 1; last >= 0 && out[last].typ == typ {
			out[last].end = end
		} else {
			out = append(out, lockSpan{next, end, typ})
		}
		if end == in.end {
			return false // and end+1 may not be a number
		}
		next = end + 1
		return true
	}
	for _, s := range spans {
		if s.start > next && !add(s.start-1, unix.F_UNLCK) {
			return out
		}
		if !add(s.end, s.typ) {
			return out
		}
	}
	add(in.end, unix.F_UNLCK)
	return out
}

// SPDX-License-Identifier: Apache-2.0

// Package reuse keeps values that are of no more use for when such are needed again: without the
// allocator, and without the atomic instructions of a sync.Pool, of which a processor's part holds one
// value that costs none. Requests come in rows: many values are needed in a row, and then many given
// back.
package reuse

import "sync"

// maxValues is how many values a List holds at most.
const maxValues = 32

// Pool keeps values of a type. The zero value is empty.
type Pool[T any] struct{ pool sync.Pool }

// List is the part of a Pool that one thread has for itself. It has room for as many values as the
// thread ever wanted and did not find there: a thread that only gives back takes none from others.
// The zero value is empty.
type List[T any] struct {
	values []*T
	room   int
}

// Get returns a value as it was given back, or a zero one. l is the calling thread's; nil: it has
// none.
func (p *Pool[T]) Get(l *List[T]) *T {
	if l != nil {
		if last := len(l.values) - 1; last >= 0 {
			v := l.values[last]
			l.values = l.values[:last]
			return v
		}
		l.room = min(l.room+1, maxValues)
	}
	if v := p.pool.Get(); v != nil {
		return v.(*T)
	}
	return new(T)
}

// Put gives v back, which the caller does not use any more. l is as with Get.
func (p *Pool[T]) Put(l *List[T], v *T) {
	if l == nil || len(l.values) >= l.room {
		p.pool.Put(v)
		return
	}
	if l.values == nil {
		l.values = make([]*T, 0, maxValues)
	}
	l.values = append(l.values, v)
}

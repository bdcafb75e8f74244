// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// hookFile is a nullFile whose Write and Lock a test says.
type hookFile struct {
	nullFile
	write func(c *Call) (int, error)
	lock  func(c *Call) (LockStatus, error)
}

func (f *hookFile) Attach(*Call, Name) (File, QID, error)                    { return f, nullQID, nil }
func (f *hookFile) Reset()                                                   {}
func (f *hookFile) Write(c *Call, src []unix.Iovec, off uint64) (int, error) { return f.write(c) }
func (f *hookFile) Lock(c *Call, _ *Lock) (LockStatus, error)                { return f.lock(c) }
func (f *hookFile) Walk(_ *Call, names []Name, _ []QID) (File, int, error)   { return f, len(names), nil }

// hand is a transport whose every step a test takes by hand.
type hand struct {
	*rig
	mu    sync.Mutex
	order []uint16 // tags, in the order in which replies were published

	resumed []*Call // to be served once more
}

// flight is a request of a hand.
type flight struct {
	c    *Call
	out  []byte
	n    int // of the published reply
	done bool
}

// newHand returns a hand on a session that has f open as fid 1.
func newHand(t *testing.T, f *hookFile) *hand {
	h := &hand{rig: newRigL(t, Config{Backend: f})}
	h.do(&Twalk{FID: 0, NewFID: 1}, &Rwalk{})
	h.do(&Tlopen{FID: 1, Flags: unix.O_RDWR}, &Rlopen{})
	return h
}

func (h *hand) WillBlock(*Call) {}

func (h *hand) Resume(c *Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resumed = append(h.resumed, c)
}

func (h *hand) Complete(c *Call, n int) {
	h.publish(c, n)
	h.s.End(c)
}

func (h *hand) publish(c *Call, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := c.Cookie.(*flight)
	if f.done {
		h.t.Error("two replies to one request")
	}
	f.n, f.done = n, true
	h.order = append(h.order, c.state.tag)
}

// begin begins the message under the tag.
func (h *hand) begin(tag uint16, m Message) *flight {
	f := &flight{c: h.s.NewCall(), out: make([]byte, 100)}
	f.c.Transport, f.c.Cookie, f.c.Thread = h, f, new(Thread)
	aim(f.c, encode(h.t, tag, m), f.out)
	h.s.Begin(f.c)
	return f
}

// serve serves f, and publishes a reply that does not come later.
func (h *hand) serve(f *flight) int {
	n := h.s.Serve(f.c)
	if n != Deferred {
		h.publish(f.c, n)
	}
	return n
}

// flush begins and serves a Tflush.
func (h *hand) flush(tag, old uint16) *flight {
	f := h.begin(tag, &Tflush{OldTag: old})
	if h.serve(f) != Deferred {
		h.s.End(f.c)
	}
	return f
}

func (h *hand) isDone(f *flight) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f.done
}

// answered fails unless f has ended with the reply.
func (h *hand) answered(f *flight, want Message) {
	h.t.Helper()
	if !h.isDone(f) {
		h.t.Fatalf("no %T yet", want)
	}
	if f.n < 0 {
		h.t.Fatalf("ended with %d", f.n)
	}
	if _, err := ParseMessage(f.out[:f.n], want); err != nil {
		h.t.Fatalf("%T: %v", want, err)
	}
}

// waiting fails if f has ended.
func (h *hand) waiting(f *flight) {
	h.t.Helper()
	if h.isDone(f) {
		h.t.Fatal("ended already")
	}
}

// blockingWrite makes f's Write wait for release, and tells when it has begun.
func blockingWrite(f *hookFile) (began chan struct{}, release chan struct{}) {
	began, release = make(chan struct{}), make(chan struct{})
	f.write = func(*Call) (int, error) {
		began <- struct{}{}
		<-release
		return 1, nil
	}
	return began, release
}

func TestFlushWaitsForTheEndOfTheOldRequest(t *testing.T) {
	f := &hookFile{}
	h := newHand(t, f)
	began, release := blockingWrite(f)
	old := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
	served := make(chan int)
	go func() { served <- h.s.Serve(old.c) }()
	<-began
	fl := h.flush(6, 5)
	h.waiting(fl)
	release <- struct{}{}
	n := <-served
	// Done, but its reply is not on its way yet.
	h.waiting(fl)
	h.publish(old.c, n)
	h.waiting(fl)
	h.s.End(old.c)
	h.answered(old, &Rwrite{})
	h.answered(fl, &Rflush{})
}

func TestFlushOfWhatIsNotInFlight(t *testing.T) {
	f := &hookFile{}
	h := newHand(t, f)
	f.write = func(*Call) (int, error) { return 1, nil }
	old := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
	h.serve(old)
	h.s.End(old.c)
	h.answered(h.flush(6, 5), &Rflush{}) // ended
	h.answered(h.flush(6, 9), &Rflush{}) // never was
	h.answered(h.flush(6, 6), &Rflush{}) // itself
	h.answered(h.flush(NoTag, NoTag), &Rflush{})

	// One that comes after the Tflush is not meant.
	fl := h.begin(6, &Tflush{OldTag: 5})
	later := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
	h.serve(fl)
	h.answered(fl, &Rflush{})
	h.s.End(fl.c)
	h.serve(later)
	h.s.End(later.c)
}

func TestFlushOfATagThatIsUsedAgain(t *testing.T) {
	// The client has seen the first reply and used its tag again, before the
	// transport came to end the first request. The second is meant.
	f := &hookFile{write: func(*Call) (int, error) { return 1, nil }}
	h := newHand(t, f)
	for _, firstEnds := range []string{"before", "after"} {
		t.Run(firstEnds, func(t *testing.T) {
			first := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
			h.serve(first)
			second := h.begin(5, &Twrite{FID: 1, Data: []byte("y")})
			fl := h.flush(6, 5)
			if firstEnds == "before" {
				h.s.End(first.c)
			}
			h.waiting(fl)
			h.serve(second)
			h.waiting(fl)
			h.s.End(second.c)
			h.answered(fl, &Rflush{})
			if firstEnds == "after" {
				h.s.End(first.c)
			}
		})
	}
}

func TestFlushOfWhatHasNotBegun(t *testing.T) {
	f := &hookFile{write: func(*Call) (int, error) { t.Error("done all the same"); return 1, nil }}
	h := newHand(t, f)
	old := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
	fl := h.flush(6, 5)
	h.waiting(fl)
	if n := h.serve(old); n != 0 {
		t.Errorf("Serve returned %d", n)
	}
	h.s.End(old.c)
	h.answered(fl, &Rflush{})

	// But for what the client takes for done.
	for fid, pair := range [][2]Message{{&Tclunk{FID: 0}, &Rclunk{}}, {&Tremove{FID: 1}, &Rremove{}}} {
		old := h.begin(5, pair[0])
		fl := h.flush(6, 5)
		h.serve(old)
		h.s.End(old.c)
		h.answered(old, pair[1])
		h.answered(fl, &Rflush{})
		if err := h.try(&Tgetattr{FID: uint32(fid)}, &Rgetattr{}); err != unix.EBADF {
			t.Errorf("%v: the fid is still there: %v", pair[0].Type(), err)
		}
	}
}

func TestFlushesOfOneRequestAndOfAFlush(t *testing.T) {
	f := &hookFile{write: func(*Call) (int, error) { return 1, nil }}
	h := newHand(t, f)
	old := h.begin(5, &Twrite{FID: 1, Data: []byte("x")})
	f1 := h.flush(11, 5)
	f2 := h.flush(12, 5)
	f3 := h.flush(13, 11)
	f4 := h.flush(14, 13)
	for _, fl := range []*flight{f1, f2, f3, f4} {
		h.waiting(fl)
	}
	h.order = nil
	h.serve(old)
	h.s.End(old.c)
	for _, fl := range []*flight{f1, f2, f3, f4} {
		h.answered(fl, &Rflush{})
	}
	at := map[uint16]int{}
	for i, tag := range h.order {
		at[tag] = i
	}
	for _, pair := range [][2]uint16{{5, 11}, {11, 12}, {11, 13}, {13, 14}} {
		if at[pair[0]] > at[pair[1]] {
			t.Errorf("replies came in the order %v", h.order)
		}
	}
}

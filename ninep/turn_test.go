// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/throttle"
)

// turnTest is a hand whose first write used up all that is allowed for an hour.
type turnTest struct {
	*hand
	limiter *throttle.Limiter
	writes  int
}

func newTurnTest(t *testing.T) *turnTest {
	l := &turnTest{}
	file := &hookFile{write: func(*Call) (int, error) { l.writes++; return 1, nil }}
	l.hand = newHand(t, file)
	l.limiter = throttle.New(throttle.Limits{BPS: [3]throttle.Rate{throttle.Write: {Avg: 1}}})
	t.Cleanup(func() { l.limiter.Set(throttle.Limits{}) })
	l.s.cfg.Throttle = l.limiter
	l.do(&Twrite{FID: 1, Data: make([]byte, 3600)}, &Rwrite{})
	if l.writes != 1 {
		t.Fatalf("%d writes", l.writes)
	}
	return l
}

// wait begins and serves a write, which must wait.
func (l *turnTest) wait(tag uint16) *flight {
	l.t.Helper()
	f := l.begin(tag, &Twrite{FID: 1, Data: []byte("data")})
	if n := l.serve(f); n != Deferred {
		l.t.Fatalf("served: %d", n)
	}
	l.waiting(f)
	return f
}

// again serves what is to be served once more.
func (l *turnTest) again() {
	l.t.Helper()
	if len(l.resumed) == 0 {
		l.t.Fatal("nothing is resumed")
	}
	c := l.resumed[0]
	l.resumed = l.resumed[1:]
	l.serve(c.Cookie.(*flight))
	l.s.End(c)
}

func TestTurn(t *testing.T) {
	l := newTurnTest(t)
	first, second := l.wait(5), l.wait(6)
	if l.writes != 1 || len(l.resumed) != 0 {
		t.Fatal("did not wait")
	}
	// What the message says now does not count: it has been looked at.
	CopyTo(first.c.In, 0, bytes.Repeat([]byte{0xff}, first.c.InLen))
	// Others go on.
	l.do(&Tgetattr{FID: 0}, &Rgetattr{})
	l.do(&Tread{FID: 1, Count: 1}, &Rread{})
	l.limiter.Set(throttle.Limits{})
	l.again()
	l.again()
	l.answered(first, &Rwrite{})
	l.answered(second, &Rwrite{})
	if l.writes != 3 || l.s.parked.Load() != 0 {
		t.Errorf("%d writes, %d wait", l.writes, l.s.parked.Load())
	}
}

func TestFlushOfATurn(t *testing.T) {
	l := newTurnTest(t)
	write := l.wait(5)
	flush := l.flush(6, 5)
	l.waiting(flush)
	l.again()
	if !l.isDone(write) || write.n != 0 || l.writes != 1 {
		t.Errorf("ended with %d bytes, %d writes", write.n, l.writes)
	}
	l.answered(flush, &Rflush{})
	if s := l.limiter.Stats(throttle.Write); s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestDrainEndsTurns(t *testing.T) {
	l := newTurnTest(t)
	write := l.wait(5)
	l.s.Drain()
	l.again()
	l.answered(write, &Rwrite{})
	if l.writes != 2 {
		t.Errorf("%d writes", l.writes)
	}
	l.wait(6) // what comes after waits again
	l.s.Drain()
	l.again()
}

func TestResetEndsTurns(t *testing.T) {
	l := newTurnTest(t)
	write := l.wait(5)
	l.s.Reset()
	l.again()
	if _, err := ParseMessage(write.out[:write.n], &Rwrite{}); err != unix.EBADF || l.writes != 1 {
		t.Errorf("got %v, %d writes", err, l.writes)
	}
}

// TestTurnThatComesAtOnce: before Serve has returned.
func TestTurnThatComesAtOnce(t *testing.T) {
	l := newTurnTest(t)
	f := l.begin(5, &Twrite{FID: 1, Data: []byte("data")})
	// As Serve does, but for what comes in between.
	if err := l.s.admit(f.c); err != nil {
		t.Fatal(err)
	}
	if n, err := f.c.state.op.run(l.s, f.c); n != waitTurn || err != nil {
		t.Fatalf("the operation: %d, %v", n, err)
	}
	l.s.letGo(f.c)
	l.limiter.Set(throttle.Limits{})
	n := l.s.parkTurn(f.c)
	l.publish(f.c, n)
	l.answered(f, &Rwrite{})
	l.s.End(f.c)
	if len(l.resumed) != 0 || l.writes != 2 {
		t.Errorf("%d resumed, %d writes", len(l.resumed), l.writes)
	}
}

// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func lacksLocks(l *Lacks) bool { return l.Locks }

// by makes a lock of an owner; length 0 goes to the end of the file.
func by(client string, proc uint32, typ ninep.LockType, start, length uint64) ninep.Lock {
	return ninep.Lock{Type: typ, Start: start, Length: length, ProcID: proc, ClientID: ninep.Name(client)}
}

// tryLock asks for a lock without waiting, and fails unless the status is want.
func (e *env) tryLock(fid uint32, l ninep.Lock, want ninep.LockStatus) {
	e.Helper()
	got, err := e.Lock(fid, l)
	e.ok(err)
	equal(e, "status", got, want)
}

// waitLock asks for a lock, ready to wait, and fails if the answer comes at once.
func (e *env) waitLock(fid uint32, l ninep.Lock) *Request {
	e.Helper()
	l.Flags = ninep.LockFlagBlock
	q, err := e.Start(&ninep.Tlock{FID: fid, Lock: l})
	e.ok(err)
	time.Sleep(20 * time.Millisecond)
	return q
}

// granted fails unless the request ends with the lock.
func (e *env) granted(q *Request) {
	e.Helper()
	var r ninep.Rlock
	e.ok(q.Wait(&r))
	equal(e, "status", r.Status, ninep.LockSuccess)
}

var lockTests = []suiteTest{
	{name: "exclusive", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockBlocked)
		e.tryLock(f, by("A", 2, ninep.LockRead, 5, 1), ninep.LockBlocked)
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
	}},
	{name: "shared", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockRead, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockRead, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockBlocked)
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
	}},
	{name: "ranges", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 10, 10), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 10), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 20, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 19, 1), ninep.LockBlocked)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 9, 2), ninep.LockBlocked)
		// Give back the middle of one's own.
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 14, 2), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 14, 2), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 13, 1), ninep.LockBlocked)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 16, 1), ninep.LockBlocked)
	}},
	{name: "getlock", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("client A", 77, ninep.LockWrite, 100, 50), ninep.LockSuccess)
		for _, typ := range []ninep.LockType{
			ninep.LockRead, ninep.LockWrite,
			ninep.LockUnlock, // what Linux sends, whatever it was asked
		} {
			got, err := e.Getlock(f, by("B", 1, typ, 120, 1))
			e.ok(err)
			equal(e, "type", got.Type, ninep.LockWrite)
			equal(e, "start", got.Start, 100)
			equal(e, "length", got.Length, 50)
			equal(e, "client", string(got.ClientID), "client A")
			equal(e, "proc", got.ProcID, 77)
		}
		for _, free := range []ninep.Lock{
			by("B", 1, ninep.LockRead, 0, 100),
			by("B", 1, ninep.LockWrite, 150, 0),
			by("client A", 77, ninep.LockWrite, 0, 0),
			by("client A", 77, ninep.LockUnlock, 0, 0),
			by("B", 1, ninep.LockUnlock, 150, 0),
		} {
			got, err := e.Getlock(f, free)
			e.ok(err)
			equal(e, "type", got.Type, ninep.LockUnlock)
		}
	}},
	{name: "illegal", run: func(e *env) {
		f := e.create("f", "")
		for _, l := range []ninep.Lock{
			{Type: 3},
			{Type: 255},
			{Flags: 2},
			{Flags: 0x80000001},
			{Start: 1 << 63},
			{Length: 1 << 63},
		} {
			_, err := e.Lock(f, l)
			e.want(err, unix.EINVAL)
		}
		_, err := e.Lock(f, ninep.Lock{Start: 1<<63 - 1, Length: 2})
		e.want(err, unix.EOVERFLOW)
		_, err = e.Getlock(f, ninep.Lock{Type: 3})
		e.want(err, unix.EINVAL)
		_, err = e.Lock(e.walk("f"), ninep.Lock{})
		e.want(err, unix.EINVAL) // not open
		_, err = e.Getlock(e.walk("f"), ninep.Lock{})
		e.want(err, unix.EINVAL)
	}},
	{name: "clunk_unlocks", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		g := e.open(unix.O_RDWR, "f")
		e.tryLock(g, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockBlocked)
		e.ok(e.Clunk(g))
		e.tryLock(f, by("B", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
	}},
	{name: "version_unlocks", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		_, _, err := e.Version(8192, "9P2000.L")
		e.ok(err)
		_, err = e.Attach(root, 0, "")
		e.ok(err)
		e.tryLock(e.open(unix.O_RDWR, "f"), by("B", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
	}},
	{name: "wait", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		q := e.waitLock(f, by("B", 1, ninep.LockWrite, 0, 0))
		// Meanwhile the fid serves others.
		_, err := e.Write(f, 0, []byte("x"))
		e.ok(err)
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		e.granted(q)
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockBlocked)
	}},
	{name: "wait_many", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		var waiting []*Request
		for i := range uint32(5) {
			waiting = append(waiting, e.waitLock(f, by("B", i, ninep.LockRead, 0, 0)))
		}
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		for _, q := range waiting {
			e.granted(q)
		}
	}},
	{name: "wait_of_too_many", lacks: lacksLocks, run: func(e *env) {
		// One of them is told that it cannot wait. Meanwhile there is room for other work.
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		type outcome struct {
			status ninep.LockStatus
			err    error
		}
		outcomes := make(chan outcome, ninep.DefaultMaxWaiting+1)
		for i := range uint32(ninep.DefaultMaxWaiting + 1) {
			l := by("B", i, ninep.LockRead, 0, 0)
			l.Flags = ninep.LockFlagBlock
			q, err := e.Start(&ninep.Tlock{FID: f, Lock: l})
			e.ok(err)
			go func() {
				var r ninep.Rlock
				err := q.Wait(&r)
				outcomes <- outcome{r.Status, err}
			}()
		}
		equal(e, "first outcome", <-outcomes, outcome{ninep.LockBlocked, nil})
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		for range ninep.DefaultMaxWaiting {
			equal(e, "outcome", <-outcomes, outcome{ninep.LockSuccess, nil})
		}
	}},
	{name: "wait_ends_with_clunk", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		g := e.open(unix.O_RDWR, "f")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		q := e.waitLock(g, by("B", 1, ninep.LockWrite, 0, 0))
		e.ok(e.Clunk(g))
		var r ninep.Rlock
		e.ok(q.Wait(&r))
		equal(e, "status", r.Status, ninep.LockBlocked)
	}},
	{name: "wait_ends_with_version", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		q := e.waitLock(f, by("B", 1, ninep.LockWrite, 0, 0))
		_, _, err := e.Version(8192, "9P2000.L")
		e.ok(err)
		var r ninep.Rlock
		e.ok(q.Wait(&r))
		equal(e, "status", r.Status, ninep.LockBlocked)
	}},
}

var flushTests = []suiteTest{
	{name: "unknown_tag", run: func(e *env) {
		e.ok(e.Flush(4711))
		e.ok(e.Flush(ninep.NoTag))
	}},
	{name: "own_tag", run: func(e *env) {
		m, err := ninep.AppendMessage(nil, 9, &ninep.Tflush{OldTag: 9})
		e.ok(err)
		reply, err := e.Raw(m, 4096)
		e.ok(err)
		_, err = ninep.ParseMessage(reply, &ninep.Rflush{})
		e.ok(err)
	}},
	{name: "of_a_write", run: func(e *env) {
		// Done, and its reply comes before Rflush; or not begun, and not done.
		f := e.create("f", "")
		for range 50 {
			e.ok(e.Setattr(f, ninep.SetAttr{Valid: ninep.SetSize}))
			q, err := e.Start(&ninep.Twrite{FID: f, Data: []byte("x")})
			e.ok(err)
			e.ok(e.Flush(q.Tag))
			var r ninep.Rwrite
			switch err := q.Wait(&r); {
			case errors.Is(err, ErrNoReply):
				equal(e, "size", e.attr(f).Size, 0)
			case err != nil:
				e.Fatal(err)
			default:
				equal(e, "count", r.Count, 1)
				equal(e, "size", e.attr(f).Size, 1)
			}
		}
	}},
	{name: "waiting_lock", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		q := e.waitLock(f, by("B", 1, ninep.LockWrite, 0, 0))
		e.ok(e.Flush(q.Tag))
		// Given back before Rflush, without a reply, and without the lock.
		if err := q.Wait(&ninep.Rlock{}); !errors.Is(err, ErrNoReply) {
			e.Fatalf("flushed request ended with %v", err)
		}
		e.tryLock(f, by("A", 1, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
		e.tryLock(f, by("C", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
	}},
	{name: "waiting_lock_twice", lacks: lacksLocks, run: func(e *env) {
		f := e.create("f", "0123456789")
		e.tryLock(f, by("A", 1, ninep.LockWrite, 0, 0), ninep.LockSuccess)
		q := e.waitLock(f, by("B", 1, ninep.LockWrite, 0, 0))
		f1, err := e.Start(&ninep.Tflush{OldTag: q.Tag})
		e.ok(err)
		f2, err := e.Start(&ninep.Tflush{OldTag: q.Tag})
		e.ok(err)
		f3, err := e.Start(&ninep.Tflush{OldTag: f1.Tag}) // a Tflush is always answered
		e.ok(err)
		for _, f := range []*Request{f1, f2, f3} {
			e.ok(f.Wait(&ninep.Rflush{}))
		}
		if err := q.Wait(&ninep.Rlock{}); !errors.Is(err, ErrNoReply) {
			e.Fatalf("flushed request ended with %v", err)
		}
	}},
	{name: "lock_granted_meanwhile", lacks: lacksLocks, run: func(e *env) {
		// Either the lock was taken, and the client is told, or it was not.
		f := e.create("f", "0123456789")
		for i := range uint32(30) {
			e.tryLock(f, by("A", i, ninep.LockWrite, 0, 0), ninep.LockSuccess)
			q, err := e.Start(&ninep.Tlock{FID: f, Lock: ninep.Lock{Type: ninep.LockWrite, Flags: ninep.LockFlagBlock, ProcID: i, ClientID: ninep.Name("B")}})
			e.ok(err)
			un, err := e.Start(&ninep.Tlock{FID: f, Lock: by("A", i, ninep.LockUnlock, 0, 0)})
			e.ok(err)
			e.ok(e.Flush(q.Tag))
			e.ok(un.Wait(&ninep.Rlock{}))
			var r ninep.Rlock
			switch err := q.Wait(&r); {
			case errors.Is(err, ErrNoReply):
				e.tryLock(f, by("C", i, ninep.LockWrite, 0, 0), ninep.LockSuccess)
				e.tryLock(f, by("C", i, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
			case err != nil:
				e.Fatal(err)
			case r.Status == ninep.LockSuccess:
				e.tryLock(f, by("C", i, ninep.LockWrite, 0, 0), ninep.LockBlocked)
				e.tryLock(f, by("B", i, ninep.LockUnlock, 0, 0), ninep.LockSuccess)
			}
		}
	}},
}

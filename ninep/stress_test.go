// SPDX-License-Identifier: Apache-2.0

package ninep_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
	"vhost-user-9p/ninep/ninetest"
)

// TestStress lets many clients of one session do what comes to their minds to few
// fids and few names, and flush much of it. Nothing may hang, race, panic, or be
// left over, and no operation may fail always; other results are looked at only where they are certain.
func TestStress(t *testing.T) {
	const clients, fids = 12, 24
	long := 3 * time.Second
	if testing.Short() {
		long = 300 * time.Millisecond
	}
	fs := memfs.New(memfs.Config{MaxFileSize: 64 << 10})
	sess := ninep.NewSession(ninep.Config{Backend: fs})
	l := ninetest.NewLocal(sess, 0)
	c := ninetest.NewClient(l)
	var mu sync.Mutex // a Client notes the msize
	begin := func() {
		mu.Lock()
		defer mu.Unlock()
		if _, _, err := c.Version(16384, "9P2000.L"); err != nil {
			t.Error(err)
		}
		if _, err := c.Attach(0, 0, ""); err != nil {
			t.Error(err)
		}
	}
	begin()

	var wg sync.WaitGroup
	end := time.Now().Add(long)
	for i := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 9))
			for time.Now().Before(end) {
				if rng.IntN(2000) == 0 {
					begin()
				}
				if err := randomRequest(c, rng, fids); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return // something may hang
	}
	l.Close()
	sess.Reset()
	st := sess.Stats()
	var requests uint64
	for _, op := range st.Ops {
		requests += op.Requests
		if op.Requests == op.Errors && op.Requests > 1000 {
			t.Errorf("all %d requests of %s failed", op.Requests, op.Name)
		}
	}
	t.Logf("%d requests", requests)
	if st.Panics != 0 || st.Faults != 0 || st.UnknownErrors != 0 || st.FIDs != 0 {
		t.Errorf("%d panics, %d faults, %d unknown errors, %d fids", st.Panics, st.Faults, st.UnknownErrors, st.FIDs)
	}
	if n := fs.OpenFiles(); n != 0 {
		t.Errorf("%d files were not closed", n)
	}
}

// randomRequest sends one, flushes it perhaps, and fails only if there is no
// answer.
func randomRequest(c *ninetest.Client, rng *rand.Rand, fids uint32) error {
	m, r := randomMessage(rng, fids)
	q, err := c.Start(m)
	if err != nil {
		return err
	}
	_, waits := m.(*ninep.Tlock)
	flushes := 0
	if waits || rng.IntN(4) == 0 {
		flushes = 1 + rng.IntN(2)
		for range flushes {
			if err := c.Flush(q.Tag); err != nil {
				return fmt.Errorf("Tflush of %v: %w", m.Type(), err)
			}
		}
	}
	err = q.Wait(r)
	if errno := unix.Errno(0); errors.As(err, &errno) {
		if errno == unix.EBADMSG {
			return fmt.Errorf("%v: %w", m.Type(), err)
		}
		return nil
	}
	if flushes > 0 && errors.Is(err, ninetest.ErrNoReply) {
		return nil
	}
	return err
}

// randomMessage returns a T-message and what its reply is to be decoded to.
func randomMessage(rng *rand.Rand, fids uint32) (t, r ninep.Message) {
	fid := func() uint32 { return rng.Uint32N(fids) }
	dir := func() uint32 { return fid() * rng.Uint32N(2) } // often the root
	name := func() ninep.Name {
		i := rng.IntN(8)
		return ninep.Name("abcdefgh"[i : i+1])
	}
	attr := func() ninep.Name { return ninep.Name([]string{"user.a", "user.b", ""}[rng.IntN(3)]) }
	lock := func() ninep.Lock {
		return ninep.Lock{
			Type: ninep.LockType(rng.UintN(3)), Flags: rng.Uint32N(2), Start: rng.Uint64N(8), Length: rng.Uint64N(8),
			ProcID: rng.Uint32N(3), ClientID: name(),
		}
	}
	switch rng.IntN(26) {
	case 0, 1, 2, 3:
		m := &ninep.Twalk{FID: dir(), NewFID: 1 + fid()}
		for range rng.IntN(3) {
			m.Names = append(m.Names, name())
		}
		return m, &ninep.Rwalk{QIDs: make([]ninep.QID, 0, 16)}
	case 4:
		return &ninep.Tclunk{FID: 1 + fid()}, &ninep.Rclunk{}
	case 5:
		return &ninep.Tremove{FID: 1 + fid()}, &ninep.Rremove{}
	case 6, 7:
		return &ninep.Tlopen{FID: 1 + fid(), Flags: rng.Uint32N(3)}, &ninep.Rlopen{}
	case 8:
		return &ninep.Tlcreate{FID: 1 + fid(), Name: name(), Flags: rng.Uint32N(3), Mode: 0o644}, &ninep.Rlcreate{}
	case 9, 10:
		return &ninep.Tread{FID: fid(), Offset: rng.Uint64N(10000), Count: rng.Uint32N(20000)}, &ninep.Rread{}
	case 11, 12:
		return &ninep.Twrite{FID: fid(), Offset: rng.Uint64N(10000), Data: make([]byte, rng.IntN(5000))}, &ninep.Rwrite{}
	case 13:
		return &ninep.Treaddir{FID: fid(), Offset: rng.Uint64N(5), Count: rng.Uint32N(500)}, &ninep.Rreaddir{}
	case 14:
		return &ninep.Tgetattr{FID: fid(), Mask: ninep.AttrBasic}, &ninep.Rgetattr{}
	case 15:
		set := ninep.SetAttr{Valid: ninep.SetMask(rng.Uint32N(512)), Mode: 0o755, Size: rng.Uint64N(9000)}
		return &ninep.Tsetattr{FID: fid(), Set: set}, &ninep.Rsetattr{}
	case 16:
		return &ninep.Tmkdir{DFID: dir(), Name: name(), Mode: 0o755}, &ninep.Rmkdir{}
	case 17:
		return &ninep.Tsymlink{DFID: dir(), Name: name(), Target: name()}, &ninep.Rsymlink{}
	case 18:
		return &ninep.Tlink{DFID: dir(), FID: fid(), Name: name()}, &ninep.Rlink{}
	case 19:
		return &ninep.Trename{FID: fid(), DFID: dir(), Name: name()}, &ninep.Rrename{}
	case 20:
		return &ninep.Trenameat{OldDFID: dir(), OldName: name(), NewDFID: dir(), NewName: name()}, &ninep.Rrenameat{}
	case 21:
		return &ninep.Tunlinkat{DFID: dir(), Name: name(), Flags: rng.Uint32N(2) * unix.AT_REMOVEDIR}, &ninep.Runlinkat{}
	case 22:
		return &ninep.Txattrwalk{FID: fid(), NewFID: fid(), Name: attr()}, &ninep.Rxattrwalk{}
	case 23:
		return &ninep.Txattrcreate{FID: 1 + fid(), Name: attr(), Size: rng.Uint64N(2)}, &ninep.Rxattrcreate{}
	case 24:
		return &ninep.Tgetlock{FID: fid(), Lock: ninep.Lock{Type: ninep.LockWrite, ClientID: name()}}, &ninep.Rgetlock{}
	}
	return &ninep.Tlock{FID: fid(), Lock: lock()}, &ninep.Rlock{}
}

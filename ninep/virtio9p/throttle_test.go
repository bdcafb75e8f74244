// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"log/slog"
	"testing"
	"time"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/ninep/virtio9p"
)

func readMsg(tag uint16) []byte { return msg(tRead, tag).u32(rootFid).u64(0).u32(4096).bytes() }

// newThrottledRig has the root open, and limits what text says.
func newThrottledRig(t *testing.T, text string) (*rig, *fake) {
	t.Helper()
	limits, err := throttle.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	r := newRigConfig(t, virtio9p.Config{
		Tag: "share",
		Session: ninep.NewSession(ninep.Config{
			Backend: f, Throttle: throttle.New(limits), Logger: slog.New(slog.DiscardHandler),
		}),
	})
	r.attach()
	r.open(rootFid, 0)
	return r, f
}

// TestThrottle: at 400 reads a second, 40 of which pass at once, 60 take a twentieth of a
// second more.
func TestThrottle(t *testing.T) {
	r, f := newThrottledRig(t, "iops-read=400")
	began := time.Now()
	const n = 60
	for i := range n {
		r.send(i, readMsg(uint16(i)))
	}
	for range n {
		slot, n := r.wait()
		expect(t, r.reply(slot, n), tRead)
	}
	if d := time.Since(began); d < 45*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if got := f.reads.Load(); got != n {
		t.Errorf("%d reads", got)
	}
}

// TestThrottledRequestsHoldUpNobody, and have no thread.
func TestThrottledRequestsHoldUpNobody(t *testing.T) {
	r, f := newThrottledRig(t, "iops-read=1\niops-read-max=2")
	const n = slots - 1
	for i := 1; i <= n; i++ {
		r.send(i, readMsg(uint16(i)))
	}
	done := 0
	for ; done < 3; done++ { // two, and the one that makes it too many
		slot, n := r.wait()
		expect(t, r.reply(slot, n), tRead)
	}
	began := time.Now()
	for range 20 {
		r.send(0, getattrMsg(1000))
		slot, n := r.wait()
		if slot != 0 {
			done++
			continue
		}
		expect(t, r.reply(slot, n), tGetattr)
	}
	if d := time.Since(began); d > 500*time.Millisecond {
		t.Errorf("20 requests took %v", d)
	}
	// A burst starts more threads than it needs, which end soon.
	threads := func() int64 { return r.dev.Stats().Threads.Load() }
	for deadline := time.Now().Add(timeout); threads() > 20 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if n := threads(); n > 20 {
		t.Errorf("%d threads", n)
	}

	// A flush takes one out, a stop lets all of them go on.
	began = time.Now()
	r.send(0, flushMsg(1000, n))
	if slot, got := r.wait(); slot != n || got != 0 {
		t.Fatalf("slot %d came back with %d bytes", slot, got)
	}
	if slot, got := r.wait(); slot != 0 {
		t.Fatalf("slot %d came back with %d bytes", slot, got)
	}
	before := f.reads.Load()
	next := r.stop()
	if d := time.Since(began); d > time.Second {
		t.Errorf("flush and stop took %v", d)
	}
	left := 0
	for head, got, ok := r.drv.Take(); ok; head, got, ok = r.drv.Take() {
		expect(t, r.reply(int(head)/2, got), tRead)
		left++
		r.busy--
	}
	if left != n-1-done || f.reads.Load()-before != int64(left) {
		t.Errorf("%d reads were answered at the stop, want %d; %d were done", left, n-1-done, f.reads.Load()-before)
	}
	r.resume(next)
	expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
}

// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
)

// mountTag is bit 0 of a 9P device, VIRTIO_9P_MOUNT_TAG.
const mountTag virtqueue.Features = 1

// fakeFeatures are those that QEMU acknowledged to a 9P device.
const fakeFeatures = mountTag | virtqueue.FeatureIndirectDesc | virtqueue.FeatureEventIdx | virtqueue.FeatureVersion1

// fakeDevice copies what the driver sends back to it, and tells what was asked of it.
type fakeDevice struct {
	config []byte
	packed bool // offers packed rings

	// While it is locked chains that were popped are held, and Stop waits for them.
	hold sync.Mutex
	// popped counts chains.
	popped atomic.Int32
	// If set, ReadConfig panics.
	trouble atomic.Bool

	mu     sync.Mutex
	events []string
	layout string // of the ring that was started last
	queue  *virtqueue.Queue
	quit   atomic.Bool
	done   chan struct{}
}

func newFake() *fakeDevice { return &fakeDevice{config: []byte("\x06\x00shared")} }

func (d *fakeDevice) Features() virtqueue.Features {
	if d.packed {
		return fakeFeatures | virtqueue.FeatureRingPacked
	}
	return fakeFeatures
}

func (d *fakeDevice) ReadConfig(p []byte, offset uint32) {
	if d.trouble.Load() {
		panic("trouble")
	}
	clear(p)
	if int(offset) < len(d.config) {
		copy(p, d.config[offset:])
	}
}

func (d *fakeDevice) event(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, fmt.Sprintf(format, args...))
}

// take returns the events since it was last called.
func (d *fakeDevice) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.events
	d.events = nil
	return e
}

func (d *fakeDevice) Realize()                { d.event("realize") }
func (d *fakeDevice) Unrealize(reason string) { d.event("unrealize: %s", reason) }
func (d *fakeDevice) Reset()                  { d.event("reset") }
func (d *fakeDevice) Suspended(index int)     { d.event("suspended %d", index) }

func (d *fakeDevice) Start(index int, q *virtqueue.Queue) {
	if d.queue != nil {
		panic("started twice")
	}
	d.event("start %d at %d", index, q.NextAvail())
	d.mu.Lock()
	d.layout = q.Layout()
	d.mu.Unlock()
	d.queue, d.done = q, make(chan struct{})
	d.quit.Store(false)
	go d.work(q, d.done)
}

func (d *fakeDevice) Stop(index int) {
	d.quit.Store(true)
	d.queue.Kick()
	<-d.done
	d.queue = nil
	d.event("stop %d", index)
}

func (d *fakeDevice) work(q *virtqueue.Queue, done chan struct{}) {
	defer close(done)
	debug.SetPanicOnFault(true)
	defer func() {
		if r := recover(); r != nil {
			q.Lock()
			q.Break(fmt.Errorf("%v", r))
			q.Unlock()
		}
	}()
	var c virtqueue.Chain
	for !d.quit.Load() {
		q.Lock()
		ok, err := q.Pop(&c)
		come := ok || err != nil || q.EnableKick()
		q.Unlock()
		switch {
		case err != nil:
			return
		case !come:
			q.Wait(-1)
			continue
		case !ok:
			continue
		}
		d.popped.Add(1)
		d.hold.Lock()
		d.hold.Unlock() //nolint:staticcheck // waited for
		var in []byte
		for _, v := range c.Readable {
			in = append(in, bytesOf(v)...)
		}
		n := 0
		for _, v := range c.Writable {
			n += copy(bytesOf(v), in[min(n, len(in)):])
		}
		q.Lock()
		q.Push(&c, n)
		wanted := q.CallWanted()
		q.Unlock()
		if wanted {
			q.Call()
		}
	}
}

// waitPopped waits until n chains have been popped.
func (d *fakeDevice) waitPopped(t *testing.T, n int32) {
	t.Helper()
	waitFor(t, "chains to be popped", func() bool { return d.popped.Load() >= n })
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err := vhosttest.Refused(err); err != nil {
		t.Fatal(err)
	}
}

func wantEvents(t *testing.T, d *fakeDevice, want ...string) {
	t.Helper()
	if got := d.take(); !slices.Equal(got, want) {
		t.Fatalf("device saw %q, not %q", got, want)
	}
}

// Where the tests' buffers lie in the first region.
const (
	outAddr = 0x100000
	inAddr  = 0x200000
)

// echo sends a message through the ring and wants it back.
func echo(t *testing.T, fe *vhosttest.FrontEnd, text string) {
	t.Helper()
	echoAt(t, fe, text, outAddr, inAddr)
}

func echoAt(t *testing.T, fe *vhosttest.FrontEnd, text string, out, in uint64) {
	t.Helper()
	send(fe, text, out, in)
	receive(t, fe, text, in)
}

func send(fe *vhosttest.FrontEnd, text string, out, in uint64) {
	copy(fe.Memory.Guest(out, len(text)), text)
	clear(fe.Memory.Guest(in, len(text)))
	fe.Driver.EnableInterrupts()
	fe.Driver.Add(bufs(out, len(text)), bufs(in, len(text)))
	if fe.Driver.NeedKick() {
		fe.Kick()
	}
}

func receive(t *testing.T, fe *vhosttest.FrontEnd, text string, in uint64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		if _, n, ok := fe.Driver.Take(); ok {
			if got := string(fe.Memory.Guest(in, len(text))); int(n) != len(text) || got != text {
				t.Fatalf("%d bytes came back: %q, not %q", n, got, text)
			}
			return
		}
		if !fe.Driver.EnableInterrupts() && !fe.WaitCall(time.Until(end)) {
			t.Fatal("no notification")
		}
	}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMaxFIDs(t *testing.T) {
	r := newRigL(t, Config{Backend: &nullBackend{}, MaxFIDs: 3})
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	r.do(&Twalk{NewFID: 2}, &Rwalk{})
	for _, m := range []Message{&Twalk{NewFID: 3}, &Tattach{FID: 3, AFID: NoFID}, &Txattrwalk{NewFID: 3}} {
		if err := r.try(m, &Rwalk{}); err != unix.ENFILE {
			t.Errorf("%v: %v", m.Type(), err)
		}
	}
	// A number that is in use is not counted twice.
	if err := r.try(&Twalk{NewFID: 2}, &Rwalk{}); err == nil {
		t.Error("newfid in use")
	}
	r.do(&Tclunk{FID: 2}, &Rclunk{})
	r.do(&Twalk{NewFID: 3}, &Rwalk{})
	if n := r.s.Stats().FIDs; n != 3 {
		t.Errorf("%d fids", n)
	}
	r.s.Reset()
	if n := r.s.Stats().FIDs; n != 0 {
		t.Errorf("%d fids", n)
	}
}

func TestMaxXattrBytes(t *testing.T) {
	r := newRigL(t, Config{Backend: &nullBackend{}, MaxXattrBytes: 200 << 10})
	var made uint32
	for fid := uint32(1); ; fid++ {
		r.do(&Twalk{NewFID: fid}, &Rwalk{})
		err := r.try(&Txattrcreate{FID: fid, Name: Name("user.x"), Size: 65536}, &Rxattrcreate{})
		if err == unix.ENOMEM {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		made++
	}
	if made != 3 {
		t.Errorf("%d values of 64 KiB in 200 KiB", made)
	}
	if err := r.try(&Tclunk{FID: 1}, &Rclunk{}); err != unix.EINVAL {
		t.Errorf("clunk of a value that was not written: %v", err)
	}
	r.do(&Txattrcreate{FID: made + 1, Name: Name("user.x"), Size: 65536}, &Rxattrcreate{})
	r.s.Reset()
	if n := r.s.xattr.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// acl records what became of a Txattrcreate.
type acl struct {
	nullFile
	did    string
	remove error
}

func (f *acl) Attach(*Call, Name) (File, QID, error)                    { return f, nullQID, nil }
func (f *acl) Reset()                                                   {}
func (f *acl) Walk(_ *Call, names []Name, _ []QID) (File, int, error)   { return f, len(names), nil }
func (f *acl) SetXattr(_ *Call, name string, v []byte, flags int) error { f.did = "set"; return nil }
func (f *acl) RemoveXattr(_ *Call, name string) error                   { f.did = "remove"; return f.remove }

func TestXattrOfSizeZero(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  uint32
		remove error
		did    string
		err    error
	}{
		{"user.x", 0, nil, "set", nil},
		{"user.x", unix.XATTR_CREATE, nil, "set", nil},
		{"user.x", unix.XATTR_REPLACE, nil, "remove", nil},
		{"user.x", unix.XATTR_REPLACE, unix.ENODATA, "remove", unix.ENODATA},
		// The client takes an ACL away by setting nothing.
		{"system.posix_acl_access", 0, nil, "remove", nil},
		{"system.posix_acl_default", 0, unix.ENODATA, "remove", nil},
		{"system.posix_acl_default", 0, unix.EACCES, "remove", unix.EACCES},
		{"system.posix_acl_access", unix.XATTR_REPLACE, nil, "remove", nil},
	} {
		f := &acl{remove: c.remove}
		r := newRigL(t, Config{Backend: f})
		r.do(&Twalk{NewFID: 1}, &Rwalk{})
		r.do(&Txattrcreate{FID: 1, Name: Name(c.name), Flags: c.flags}, &Rxattrcreate{})
		if err := r.try(&Tclunk{FID: 1}, &Rclunk{}); err != c.err || f.did != c.did {
			t.Errorf("%s, flags %d, %v: did %q, answered %v", c.name, c.flags, c.remove, f.did, err)
		}
	}
}

// slowWalk is a backend whose Walk waits, and whose Files are counted.
type slowWalk struct {
	nullFile
	began, release chan struct{}
	closed         chan struct{}
}

func (f *slowWalk) Attach(*Call, Name) (File, QID, error) { return &f.nullFile, nullQID, nil }
func (f *slowWalk) Reset()                                {}

type slowRoot struct{ *slowWalk }

func (f slowRoot) Attach(*Call, Name) (File, QID, error) { return f, nullQID, nil }
func (f slowRoot) Walk(_ *Call, names []Name, _ []QID) (File, int, error) {
	f.began <- struct{}{}
	<-f.release
	return slowChild(f), len(names), nil
}

type slowChild struct{ *slowWalk }

func (f slowChild) Close(*Thread) { f.closed <- struct{}{} }

func TestResetWhileAWalkIsAtWork(t *testing.T) {
	// Its fid belongs to a session that is no more.
	for name, reset := range map[string]func(*rig){
		"reset": func(r *rig) { r.s.Reset() },
		"version": func(r *rig) {
			c := r.s.NewCall()
			out := make([]byte, 100)
			aim(c, encode(r.t, NoTag, &Tversion{Msize: 8192, Version: Name("9P2000.L")}), out)
			r.s.Begin(c)
			if _, err := ParseMessage(out[:r.s.Serve(c)], &Rversion{}); err != nil {
				r.t.Error(err)
			}
			r.s.End(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &slowWalk{began: make(chan struct{}), release: make(chan struct{}), closed: make(chan struct{}, 1)}
			r := newRigL(t, Config{Backend: slowRoot{b}})
			aim(r.c, encode(t, 1, &Twalk{FID: 0, NewFID: 1}), r.out)
			n := make(chan int)
			go func() { n <- r.serve() }()
			<-b.began
			reset(r)
			b.release <- struct{}{}
			if _, err := ParseMessage(r.out[:<-n], &Rwalk{}); err != unix.EIO {
				t.Errorf("got %v", err)
			}
			<-b.closed
			if n := r.s.Stats().FIDs; n != 0 {
				t.Errorf("%d fids", n)
			}
		})
	}
}

func TestTwoFIDsOfOneNumber(t *testing.T) {
	// The same fid twice in one message is held once, as the stronger class says.
	r := newRigL(t, Config{Backend: &nullBackend{}})
	r.do(&Trename{FID: 0, DFID: 0, Name: Name("x")}, &Rrename{})
	r.do(&Tlink{FID: 0, DFID: 0, Name: Name("x")}, &Rlink{})
	r.do(&Trenameat{OldDFID: 0, OldName: Name("x"), NewDFID: 0, NewName: Name("y")}, &Rrenameat{})
	r.do(&Trename{FID: 0, DFID: 0, Name: Name("x")}, &Rrename{})
}

func TestReadOnlyCoversEveryChange(t *testing.T) {
	// The names of the operations that QEMU lets through to a read-only export.
	// That of open and wstat depends on what they ask for, as that of lopen does.
	const allowed = " version attach flush walk clunk remove lopen open stat wstat read readdir fsync getattr statfs xattrwalk lock getlock readlink "
	for _, o := range ops[1:] {
		if o.run == nil {
			continue
		}
		if ok := strings.Contains(allowed, " "+o.name+" "); ok == (o.flags&opChanges != 0) {
			t.Errorf("%s: flags %#x", o.name, o.flags)
		}
	}
}

func TestIOUnit(t *testing.T) {
	for _, c := range []struct{ msize, want uint32 }{
		{4096, 0},
		{8192, 0}, // 4096 would be half of what fits
		{65536, 61440},
		{131096, 131072}, // Linux's default
		{512000, 507904},
		{1 << 20, 1<<20 - 4096},
	} {
		tm := terms{msize: c.msize}
		if got := tm.ioUnit(QID{}); got != c.want {
			t.Errorf("msize %d: iounit %d, want %d", c.msize, got, c.want)
		}
		if got := tm.ioUnit(QID{Type: QTDir}); got != 0 {
			t.Errorf("iounit %d of a directory", got)
		}
	}
}

func TestStats(t *testing.T) {
	r := newHotRig(t)
	before := r.s.Stats()
	r.do(&Tread{FID: 1, Count: 100}, &Rread{})
	r.do(&Tread{FID: 1, Count: 23}, &Rread{})
	r.do(&Twrite{FID: 1, Data: make([]byte, 7)}, &Rwrite{})
	if r.try(&Tread{FID: 99}, &Rread{}) == nil {
		t.Fatal("read an unknown fid")
	}
	r.raw([]byte{7, 0, 0, 0, 200, 1, 0})
	after := r.s.Stats()
	if after.FIDs != 3 {
		t.Errorf("%d fids", after.FIDs)
	}
	if after.Msize != 65536 {
		t.Errorf("msize %d, 65536 was agreed to", after.Msize)
	}
	if n := NewSession(Config{Backend: &nullBackend{}}).Stats().Msize; n != 0 {
		t.Errorf("msize %d before anything was agreed to", n)
	}
	want := map[string]OpStats{
		"read":    {Requests: 3, Errors: 1, Bytes: 123},
		"write":   {Requests: 1, Bytes: 7},
		"unknown": {Requests: 1, Errors: 1},
	}
	for i, op := range after.Ops {
		old, w := before.Ops[i], want[op.Name]
		if op.Name != old.Name {
			t.Fatalf("%q was %q", op.Name, old.Name)
		}
		if op.Requests-old.Requests != w.Requests || op.Errors-old.Errors != w.Errors || op.Bytes-old.Bytes != w.Bytes {
			t.Errorf("%s: from %+v to %+v", op.Name, old, op)
		}
		var sum uint64
		for _, n := range op.Buckets {
			sum += n
		}
		if sum != op.Requests {
			t.Errorf("%s: %d requests, %d in the histogram", op.Name, op.Requests, sum)
		}
		if (op.Nanos == old.Nanos) != (w.Requests == 0) {
			t.Errorf("%s: from %d to %d ns", op.Name, old.Nanos, op.Nanos)
		}
	}
}

func TestLatencyBuckets(t *testing.T) {
	c := new(Call)
	for i := range LatencyBuckets - 1 {
		for ns, bucket := range map[int64]int{LatencyBound(i) - 1: i, LatencyBound(i): i + 1} {
			var s sessionStats
			c.Began, c.Ended = 1000, 1000+ns
			s.count(c)
			if s.ops[0].buckets[bucket] != 1 {
				t.Errorf("%d ns are not in bucket %d", ns, bucket)
			}
		}
	}
}

func TestConfig(t *testing.T) {
	b := &nullBackend{}
	for _, cfg := range []Config{{}, {Backend: b, MaxMsize: 4095}, {Backend: b, MaxXattrBytes: -1}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
	if err := (&Config{Backend: b}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestStatsOfManyThreads(t *testing.T) {
	// Threads come and go; what they counted stays, and takes no more memory.
	r := newHotRig(t)
	for range 1000 {
		r.c.Thread = new(Thread)
		r.do(&Tread{FID: 1, Count: 1}, &Rread{})
	}
	for _, op := range r.s.Stats().Ops {
		if op.Name == "read" && op.Requests != 1000 {
			t.Errorf("%d requests", op.Requests)
		}
	}
}

func TestFIDMemory(t *testing.T) {
	if n := reflect.TypeFor[fid]().Size(); n > 64 {
		t.Errorf("a fid is %d bytes", n)
	}
	if testing.Short() || raceEnabled {
		t.Skip("counts the heap")
	}
	const n = 200_000
	r := newRigL(t, Config{Backend: &nullBackend{}})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	msg := encode(t, 1, &Twalk{})
	for i := range uint32(n) {
		msg[11], msg[12], msg[13], msg[14] = byte(i+1), byte((i+1)>>8), byte((i+1)>>16), byte((i+1)>>24)
		aim(r.c, msg, r.out)
		if r.serve() != 9 {
			t.Fatal("no Rwalk")
		}
	}
	per := float64(heap()-before) / n
	t.Logf("%.0f bytes a fid", per)
	if per > 128 {
		t.Errorf("%.0f bytes a fid, without what the backend needs", per)
	}
	r.s.Reset()
	runtime.KeepAlive(r)
}

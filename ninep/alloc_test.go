// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"testing"

	"golang.org/x/sys/unix"
)

// hotPaths are the requests that must not allocate. Each leaves the session as it
// found it, so that it can be repeated.
func hotPaths(t testing.TB) []struct {
	name string
	msgs []Message
} {
	return []struct {
		name string
		msgs []Message
	}{
		{"getattr", []Message{&Tgetattr{FID: 0, Mask: AttrBasic}}},
		{"walk_clunk", []Message{&Twalk{FID: 0, NewFID: 9, Names: []Name{Name("a")}}, &Tclunk{FID: 9}}},
		{"walk_lopen_clunk", []Message{
			&Twalk{FID: 0, NewFID: 9, Names: []Name{Name("a")}},
			&Tlopen{FID: 9},
			&Tclunk{FID: 9},
		}},
		{"read_4k", []Message{&Tread{FID: 1, Count: 4096}}},
		{"write_4k", []Message{&Twrite{FID: 1, Data: make([]byte, 4096)}}},
		{"readdir", []Message{&Treaddir{FID: 2, Count: 8192}}},
		{"setattr", []Message{&Tsetattr{FID: 0, Set: SetAttr{Valid: SetMode}}}},
		{"lock", []Message{&Tlock{FID: 1, Lock: Lock{ClientID: Name("host")}}}},
		{"walk_fails", []Message{&Twalk{FID: 77, NewFID: 9, Names: []Name{Name("a")}}}},
	}
}

// newHotRig has fid 1 open as a file and fid 2 as a directory.
func newHotRig(t testing.TB) *rig {
	b := &nullBackend{}
	r := newRigL(t, Config{Backend: b})
	for fid := uint32(1); fid <= 2; fid++ {
		b.file.dir = fid == 2
		r.do(&Twalk{FID: 0, NewFID: fid}, &Rwalk{})
		r.do(&Tlopen{FID: fid, Flags: unix.O_RDWR}, &Rlopen{})
	}
	b.file.dir = false
	return r
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newHotRig(t)
	for _, p := range hotPaths(t) {
		t.Run(p.name, func(t *testing.T) { r.testNoAllocs(t, p.msgs) })
	}
}

func TestHotPathsOfOtherDialectsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, d := range []Dialect{Dialect2000U, Dialect2000} {
		r := newRigOf(t, Config{Backend: &nullBackend{}}, d)
		r.do(&Twalk{NewFID: 1}, &Rwalk{})
		r.do(&Topen{FID: 1, Mode: ORdWr}, &Ropen{})
		for name, msgs := range map[string][]Message{
			"stat":            {&Tstat{FID: 0}},
			"wstat":           {&Twstat{FID: 0, Stat: Stat{Type: keep16, Dev: keep32, QID: NullStat().QID, Mode: 0o644, Length: keep64, NUID: keep32, NGID: keep32}}},
			"walk_open_clunk": {&Twalk{FID: 0, NewFID: 9, Names: []Name{Name("a")}}, &Topen{FID: 9}, &Tclunk{FID: 9}},
			"read_4k":         {&Tread{FID: 1, Count: 4096}},
			"write_4k":        {&Twrite{FID: 1, Data: make([]byte, 4096)}},
			"walk_fails":      {&Twalk{FID: 77, NewFID: 9, Names: []Name{Name("a")}}},
		} {
			t.Run(d.String()+"/"+name, func(t *testing.T) { r.testNoAllocs(t, msgs) })
		}
	}
}

// testNoAllocs fails the test if the requests allocate.
func (r *rig) testNoAllocs(t *testing.T, msgs []Message) {
	t.Helper()
	var reqs [][]byte
	for _, m := range msgs {
		req, err := r.d.AppendMessage(nil, 1, m)
		if err != nil {
			t.Fatal(err)
		}
		reqs = append(reqs, req)
	}
	in, out := iovecs(reqs[0]), iovecs(r.out)
	n := testing.AllocsPerRun(1000, func() {
		for _, req := range reqs {
			in[0].Base = &req[0]
			in[0].SetLen(len(req))
			r.c.In, r.c.InLen, r.c.Out, r.c.OutLen = in, len(req), out, len(r.out)
			if r.serve() <= 0 {
				t.Fatal("no reply")
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkServe(b *testing.B) {
	for _, p := range hotPaths(b) {
		b.Run(p.name, func(b *testing.B) {
			r := newHotRig(b)
			var reqs [][]byte
			for _, m := range p.msgs {
				reqs = append(reqs, encode(b, 1, m))
			}
			in, out := iovecs(reqs[0]), iovecs(r.out)
			b.ReportAllocs()
			for b.Loop() {
				for _, req := range reqs {
					in[0].Base = &req[0]
					in[0].SetLen(len(req))
					r.c.In, r.c.InLen, r.c.Out, r.c.OutLen = in, len(req), out, len(r.out)
					r.serve()
				}
			}
		})
	}
}

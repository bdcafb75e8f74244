// SPDX-License-Identifier: Apache-2.0

package ninep_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
)

// The first byte of a fuzz input says how the rest is taken.
const (
	fuzzFresh    = 1 << iota // without the Tversion and Tattach that else go before
	fuzzReadOnly             // on a read-only export
	fuzzPieces               // in pieces of three bytes
	fuzzLittle               // with room for replies of 20 bytes only
	fuzzLate                 // no call ends before the last message is served
	fuzzU                    // in 9P2000.u
	fuzzBase                 // in 9P2000
)

// fuzzCalls bounds the requests in flight.
const fuzzCalls = 64

// fuzzRig is a transport for one input.
type fuzzRig struct {
	t    *testing.T
	s    *ninep.Session
	mode byte
	all  []*fuzzReq
	late []*fuzzReq // served and not ended
}

type fuzzReq struct {
	c       *ninep.Call
	in, out []byte
	done    bool
}

func (r *fuzzRig) WillBlock(*ninep.Call) {}
func (r *fuzzRig) Resume(*ninep.Call)    {}

func (r *fuzzRig) Complete(c *ninep.Call, n int) {
	r.publish(c.Cookie.(*fuzzReq), n)
	r.s.End(c)
}

// publish checks a reply.
func (r *fuzzRig) publish(q *fuzzReq, n int) {
	if q.done {
		r.t.Fatal("two replies to one request")
	}
	q.done = true
	switch {
	case n < 0 || n > len(q.out):
		r.t.Fatalf("reply of %d bytes in %d", n, len(q.out))
	case n == 0:
		return
	case n < 7 || uint32(n) != binary.LittleEndian.Uint32(q.out):
		r.t.Fatalf("reply of %d bytes: % x", n, q.out[:n])
	}
	typ := ninep.MsgType(q.out[4])
	switch {
	case typ == ninep.MsgRlerror:
		var e ninep.Rlerror
		if _, err := ninep.ParseMessage(q.out[:n], &e); err != nil || e.Ecode == 0 || e.Ecode > 4095 {
			r.t.Fatalf("Rlerror % x", q.out[:n])
		}
	case typ == ninep.MsgRerror:
		var e ninep.Rerror
		if _, err := ninep.Dialect2000U.ParseMessage(q.out[:n], &e); err == nil {
			if e.Errno == 0 || e.Errno > 4095 {
				r.t.Fatalf("Rerror % x", q.out[:n])
			}
		} else if _, err := ninep.Dialect2000.ParseMessage(q.out[:n], &e); err != nil {
			r.t.Fatalf("Rerror % x", q.out[:n])
		}
	case len(q.in) < 7 || typ != ninep.MsgType(q.in[4])+1:
		r.t.Fatalf("%v to % x", typ, q.in)
	}
	if len(q.in) >= 7 && string(q.out[5:7]) != string(q.in[5:7]) {
		r.t.Fatalf("tag of % x to % x", q.out[:n], q.in)
	}
}

// send takes one message through its life.
func (r *fuzzRig) send(msg []byte) {
	room := 9000
	if r.mode&fuzzLittle != 0 {
		room = 20
	}
	q := &fuzzReq{c: r.s.NewCall(), in: msg, out: make([]byte, room)}
	r.all = append(r.all, q)
	c := q.c
	c.Transport, c.Cookie = r, q
	c.In, c.InLen = r.iovecs(q.in), len(q.in)
	c.Out, c.OutLen = r.iovecs(q.out), len(q.out)
	r.s.Begin(c)
	n := r.s.Serve(c)
	if n == ninep.Deferred {
		return
	}
	r.publish(q, n)
	if r.mode&fuzzLate != 0 {
		r.late = append(r.late, q)
	} else {
		r.s.End(c)
	}
}

func (r *fuzzRig) iovecs(b []byte) []unix.Iovec {
	piece := max(len(b), 1)
	if r.mode&fuzzPieces != 0 {
		piece = 3
	}
	var iov []unix.Iovec
	for len(b) > 0 {
		n := min(piece, len(b))
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(n)
		iov = append(iov, v, unix.Iovec{})
		b = b[n:]
	}
	return iov
}

// split cuts the input into messages: as their sizes say, as long as they do.
func split(data []byte) [][]byte {
	var msgs [][]byte
	for len(data) >= 4 && len(msgs) < fuzzCalls {
		n := binary.LittleEndian.Uint32(data)
		if n < 4 || uint64(n) > uint64(len(data)) {
			break
		}
		msgs = append(msgs, data[:n:n])
		data = data[n:]
	}
	return append(msgs, data)
}

// FuzzServe feeds a session bytes that may be messages. Whatever comes, each
// request ends once, with a reply of the right form or none, and afterwards
// nothing is left over.
func FuzzServe(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		fs := memfs.New(memfs.Config{MaxFileSize: 64 << 10, MaxNodes: 100})
		r := &fuzzRig{t: t, mode: data[0]}
		r.s = ninep.NewSession(ninep.Config{
			Backend: fs, MaxMsize: 8192, MaxFIDs: 100, MaxXattrBytes: 1 << 20, ReadOnly: r.mode&fuzzReadOnly != 0,
		})
		if r.mode&fuzzFresh == 0 {
			for _, m := range fuzzPrelude(r.mode) {
				r.send(m)
			}
		}
		for _, msg := range split(data[1:]) {
			r.send(msg)
		}
		for _, q := range r.late {
			r.s.End(q.c)
		}
		r.s.Drain()
		for _, q := range r.all {
			if !q.done {
				t.Errorf("% x has not ended", q.in)
			}
		}
		r.s.Reset()
		st := r.s.Stats()
		if st.Panics != 0 || st.Faults != 0 || st.UnknownErrors != 0 || st.FIDs != 0 {
			t.Errorf("%d panics, %d faults, %d unknown errors, %d fids", st.Panics, st.Faults, st.UnknownErrors, st.FIDs)
		}
		if n := fs.OpenFiles(); n != 0 {
			t.Errorf("%d files were not closed", n)
		}
	})
}

// fuzzPrelude is what goes before the messages of most inputs.
func fuzzPrelude(mode byte) [][]byte {
	d := fuzzDialect(mode)
	return [][]byte{
		mustEncode(d, ninep.NoTag, &ninep.Tversion{Msize: 8192, Version: ninep.Name(d.String())}),
		mustEncode(d, 1, &ninep.Tattach{FID: 0, AFID: ninep.NoFID}),
	}
}

func fuzzDialect(mode byte) ninep.Dialect {
	switch {
	case mode&fuzzBase != 0:
		return ninep.Dialect2000
	case mode&fuzzU != 0:
		return ninep.Dialect2000U
	}
	return ninep.Dialect2000L
}

func mustEncode(d ninep.Dialect, tag uint16, m ninep.Message) []byte {
	b, err := d.AppendMessage(nil, tag, m)
	if err != nil {
		panic(err)
	}
	return b
}

// session puts messages behind a mode byte, under the tags 2, 3 and so on.
func session(mode byte, msgs ...ninep.Message) []byte {
	b := []byte{mode}
	for i, m := range msgs {
		b = append(b, mustEncode(fuzzDialect(mode), uint16(i+2), m)...)
	}
	return b
}

// raw puts bytes behind a mode byte.
func raw(mode byte, b ...byte) []byte { return append([]byte{mode}, b...) }

// file makes fid 1 an open file "f", and dir fid 2 the open root.
var (
	file = []ninep.Message{
		&ninep.Twalk{FID: 0, NewFID: 1},
		&ninep.Tlcreate{FID: 1, Name: ninep.Name("f"), Flags: unix.O_RDWR, Mode: 0o644},
	}
	dir = []ninep.Message{
		&ninep.Twalk{FID: 0, NewFID: 2},
		&ninep.Tlopen{FID: 2},
	}
)

func after(before []ninep.Message, msgs ...ninep.Message) []byte {
	return session(0, append(append([]ninep.Message(nil), before...), msgs...)...)
}

// fuzzSeeds is the committed corpus: each message type in a session in which it
// succeeds, and hostile inputs by name.
func fuzzSeeds() map[string][]byte {
	n := func(s string) ninep.Name { return ninep.Name(s) }
	lock := func(proc uint32, typ ninep.LockType, flags uint32) ninep.Message {
		return &ninep.Tlock{FID: 1, Lock: ninep.Lock{Type: typ, Flags: flags, ProcID: proc, ClientID: n("host")}}
	}
	many := make([]ninep.Name, 16)
	for i := range many {
		many[i] = n("..")
	}
	var flushes []ninep.Message
	for i := range 20 {
		flushes = append(flushes, &ninep.Tflush{OldTag: uint16(5 + i)})
	}
	seeds := map[string][]byte{
		"version":        session(fuzzFresh, &ninep.Tversion{Msize: 4096, Version: n("9P2000.L")}),
		"version_u":      session(fuzzFresh, &ninep.Tversion{Msize: 4096, Version: n("9P2000.u")}),
		"version_small":  session(fuzzFresh, &ninep.Tversion{Msize: 4095, Version: n("9P2000.L")}),
		"version_again":  after(file, &ninep.Tversion{Msize: 4096, Version: n("9P2000.L")}, &ninep.Tattach{AFID: ninep.NoFID}),
		"auth":           session(0, &ninep.Tauth{AFID: 1, UName: n("root"), AName: n("/")}),
		"attach":         session(0, &ninep.Tattach{FID: 1, AFID: ninep.NoFID, UName: n("u"), NUName: 1000}),
		"flush":          session(0, &ninep.Tflush{OldTag: 2}, &ninep.Tflush{OldTag: 2}),
		"walk":           session(0, &ninep.Twalk{FID: 0, NewFID: 1}, &ninep.Twalk{FID: 0, NewFID: 2, Names: many}),
		"walk_in_place":  session(0, &ninep.Twalk{FID: 0, NewFID: 0, Names: many[:1]}),
		"clunk":          session(0, &ninep.Tclunk{FID: 0}, &ninep.Tclunk{FID: 0}),
		"remove":         after(file, &ninep.Tremove{FID: 1}, &ninep.Tremove{FID: 1}),
		"lopen":          session(0, dir...),
		"lcreate":        session(0, file...),
		"read":           after(file, &ninep.Twrite{FID: 1, Data: []byte("data")}, &ninep.Tread{FID: 1, Offset: 1, Count: 100}),
		"write":          after(file, &ninep.Twrite{FID: 1, Offset: 10, Data: []byte("data")}),
		"readdir":        after(dir, &ninep.Treaddir{FID: 2, Count: 1000}, &ninep.Treaddir{FID: 2, Offset: 1, Count: 30}),
		"fsync":          after(file, &ninep.Tfsync{FID: 1, DataSync: 1}),
		"getattr":        session(0, &ninep.Tgetattr{FID: 0, Mask: 0x3fff}),
		"setattr":        after(file, &ninep.Tsetattr{FID: 1, Set: ninep.SetAttr{Valid: 0x1ff, Mode: 0o600, Size: 100}}),
		"statfs":         session(0, &ninep.Tstatfs{FID: 0}),
		"symlink":        session(0, &ninep.Tsymlink{DFID: 0, Name: n("l"), Target: n("to")}, &ninep.Twalk{NewFID: 1, Names: []ninep.Name{n("l")}}, &ninep.Treadlink{FID: 1}),
		"mknod":          session(0, &ninep.Tmknod{DFID: 0, Name: n("n"), Mode: unix.S_IFIFO | 0o600, Major: 1, Minor: 2}),
		"mkdir":          session(0, &ninep.Tmkdir{DFID: 0, Name: n("d"), Mode: 0o755}, &ninep.Tunlinkat{DFID: 0, Name: n("d"), Flags: unix.AT_REMOVEDIR}),
		"link":           after(file, &ninep.Tlink{DFID: 0, FID: 1, Name: n("g")}),
		"rename":         after(file, &ninep.Trename{FID: 1, DFID: 0, Name: n("g")}),
		"renameat":       after(file, &ninep.Trenameat{OldDFID: 0, OldName: n("f"), NewDFID: 0, NewName: n("g")}),
		"unlinkat":       after(file, &ninep.Tunlinkat{DFID: 0, Name: n("f")}, &ninep.Tgetattr{FID: 1}),
		"xattr":          after(file, &ninep.Twalk{FID: 1, NewFID: 3}, &ninep.Txattrcreate{FID: 3, Name: n("user.a"), Size: 2}, &ninep.Twrite{FID: 3, Data: []byte("ab")}, &ninep.Tclunk{FID: 3}, &ninep.Txattrwalk{FID: 1, NewFID: 4, Name: n("user.a")}, &ninep.Tread{FID: 4, Count: 9}, &ninep.Txattrwalk{FID: 1, NewFID: 5}),
		"lock":           after(file, lock(1, ninep.LockWrite, 0), lock(2, ninep.LockRead, 0), lock(1, ninep.LockUnlock, 0)),
		"getlock":        after(file, lock(1, ninep.LockWrite, 0), &ninep.Tgetlock{FID: 1, Lock: ninep.Lock{Type: ninep.LockWrite, ProcID: 2}}),
		"lock_waits":     after(file, lock(1, ninep.LockWrite, 0), lock(2, ninep.LockWrite, ninep.LockFlagBlock), lock(1, ninep.LockUnlock, 0)),
		"lock_flushed":   after(file, lock(1, ninep.LockWrite, 0), lock(2, ninep.LockWrite, ninep.LockFlagBlock), &ninep.Tflush{OldTag: 5}, &ninep.Tflush{OldTag: 5}),
		"lock_clunked":   after(file, lock(1, ninep.LockWrite, 0), lock(2, ninep.LockWrite, ninep.LockFlagBlock), &ninep.Tclunk{FID: 1}),
		"lock_version":   after(file, lock(1, ninep.LockWrite, 0), lock(2, ninep.LockWrite, ninep.LockFlagBlock), &ninep.Tversion{Msize: 8192, Version: n("9P2000.L")}),
		"flush_of_flush": session(fuzzLate, append(append([]ninep.Message{}, file...), append([]ninep.Message{&ninep.Tgetattr{FID: 0}}, flushes...)...)...),
		"read_only":      session(fuzzReadOnly, &ninep.Tmkdir{Name: n("d")}, &ninep.Tlopen{FID: 0, Flags: unix.O_RDWR}, &ninep.Tremove{FID: 0}),
		"pieces":         session(fuzzPieces, append(append([]ninep.Message{}, file...), &ninep.Twrite{FID: 1, Data: []byte("0123456789")}, &ninep.Tread{FID: 1, Count: 10})...),
		"little_room":    session(fuzzLittle, append(append([]ninep.Message{}, file...), &ninep.Tgetattr{FID: 0}, &ninep.Tread{FID: 1, Count: 100})...),

		"hostile_empty":              raw(0),
		"hostile_header_only":        raw(0, 7, 0, 0, 0, 110, 1, 0),
		"hostile_half_header":        raw(0, 7, 0, 0),
		"hostile_size_0":             raw(0, 0, 0, 0, 0, 120, 1, 0),
		"hostile_size_max":           raw(0, 0xff, 0xff, 0xff, 0xff, 120, 1, 0, 0, 0, 0, 0),
		"hostile_type_0":             raw(0, 7, 0, 0, 0, 0, 1, 0),
		"hostile_type_rlerror":       raw(0, 7, 0, 0, 0, 7, 1, 0),
		"hostile_walk_65535_names":   raw(0, 17, 0, 0, 0, 110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff),
		"hostile_walk_name_too_long": raw(0, 19, 0, 0, 0, 110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0xff, 0xff),
		"hostile_write_count_max":    raw(0, 23, 0, 0, 0, 118, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
		"hostile_read_count_max":     after(file, &ninep.Tread{FID: 1, Count: 1<<32 - 1}),
		"hostile_read_offset_max":    after(file, &ninep.Tread{FID: 1, Offset: 1<<64 - 1, Count: 10}),
		"hostile_write_offset_max":   after(file, &ninep.Twrite{FID: 1, Offset: 1<<63 - 5, Data: []byte("0123456789")}),
		"hostile_size_attr_max":      after(file, &ninep.Tsetattr{FID: 1, Set: ninep.SetAttr{Valid: ninep.SetSize, Size: 1<<63 - 1}}),
		"hostile_readdir_offset_max": after(dir, &ninep.Treaddir{FID: 2, Offset: 1<<64 - 1, Count: 1<<32 - 1}),
		"hostile_xattr_size_max":     session(0, &ninep.Txattrcreate{FID: 0, Name: n("user.a"), Size: 1<<64 - 1}),
		"hostile_xattr_write_beyond": session(0, &ninep.Txattrcreate{FID: 0, Name: n("user.a"), Size: 2}, &ninep.Twrite{FID: 0, Offset: 1<<64 - 1, Data: []byte("x")}, &ninep.Twrite{FID: 0, Offset: 2, Data: []byte("x")}),
		"hostile_lock_end_overflow":  after(file, &ninep.Tlock{FID: 1, Lock: ninep.Lock{Start: 1<<63 - 1, Length: 1<<63 - 1}}),
		"hostile_dotdot_name":        session(0, &ninep.Tmkdir{DFID: 0, Name: n("..")}, &ninep.Tunlinkat{DFID: 0, Name: n(".."), Flags: 0x200}, &ninep.Tlcreate{FID: 0, Name: n("../../etc/passwd")}),
		"hostile_rename_into_self":   session(0, &ninep.Tmkdir{DFID: 0, Name: n("d")}, &ninep.Twalk{NewFID: 1, Names: []ninep.Name{n("d")}}, &ninep.Trename{FID: 1, DFID: 1, Name: n("x")}),
		"hostile_xattr_fid_misused":  session(0, &ninep.Txattrwalk{FID: 0, NewFID: 1}, &ninep.Tlopen{FID: 1}, &ninep.Twalk{FID: 1, NewFID: 2}, &ninep.Tlink{DFID: 1, FID: 1, Name: n("x")}, &ninep.Tremove{FID: 1}),
		"hostile_nofid":              session(0, &ninep.Twalk{FID: 0, NewFID: ninep.NoFID}, &ninep.Tclunk{FID: ninep.NoFID}),
	}
	maps.Copy(seeds, fuzzSeedsU())
	return seeds
}

var update = flag.Bool("update", false, "write testdata/fuzz/FuzzServe")

// TestFuzzCorpus holds the committed corpus to what fuzzSeeds says.
func TestFuzzCorpus(t *testing.T) {
	folder := filepath.Join("testdata", "fuzz", "FuzzServe")
	for name, seed := range fuzzSeeds() {
		path := filepath.Join(folder, name)
		want := fmt.Sprintf("go test fuzz v1\n[]byte(%s)\n", strconv.Quote(string(seed)))
		if *update {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what fuzzSeeds says; go test -run FuzzCorpus -update", path)
		}
	}
}

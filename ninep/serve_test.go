// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// failure decodes a reply that must be an Rlerror or Rerror under the tag.
func failure(t *testing.T, reply []byte, tag uint16) unix.Errno {
	t.Helper()
	var e unix.Errno
	var r Rlerror
	got, err := ParseMessage(reply, &r)
	switch {
	case err == nil:
		e = unix.Errno(r.Ecode)
	case MsgType(reply[4]) == MsgRerror && errors.As(err, &e):
	default:
		t.Fatalf("reply % x: %v", reply, err)
	}
	if got != tag {
		t.Fatalf("tag %#x, want %#x", got, tag)
	}
	return e
}

// newRigFor is a session of the dialect that the message is of.
func newRigFor(t testing.TB, cfg Config, typ MsgType) *rig {
	d := Dialect2000L
	if !ops[opIndex[typ]].in.has(d) {
		d = Dialect2000U
	}
	return newRigOf(t, cfg, d)
}

func TestHeadersThatLie(t *testing.T) {
	r := newRigL(t, Config{Backend: &nullBackend{}})
	for _, c := range []struct {
		name string
		msg  string
		tag  uint16
	}{
		{"nothing", "", NoTag},
		{"one_byte", "07", NoTag},
		{"six_bytes", "07000000 78 01", NoTag},
		{"size_0", "00000000 78 0100 00000000", 1},
		{"size_6", "06000000 78 0100 00000000", 1},
		{"size_of_more_than_there_is", "0c000000 78 0100 00000000", 1},
		{"size_max", "ffffffff 78 0100 00000000", 1},
		{"size_negative", "00000080 78 0100 00000000", 1},
		{"size_leaves_fields_out", "07000000 78 0100 00000000", 1},
		{"size_within_a_field", "09000000 78 0100 00000000", 1},
		{"size_of_more_than_the_fields", "0c000000 78 0100 00000000 00", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := unhex(t, c.msg)
			if got := failure(t, r.raw(msg), c.tag); got != unix.EBADMSG {
				t.Errorf("got %v", got)
			}
			// Where no Rlerror fits, there is no reply.
			aim(r.c, msg, r.out[:10])
			if n := r.serve(); n != 0 {
				t.Errorf("%d bytes of reply in 10 bytes", n)
			}
		})
	}
	// What follows the message in its memory is none of its business.
	msg := append(encode(t, 1, &Tgetattr{}), "more"...)
	if _, err := ParseMessage(r.raw(msg), &Rgetattr{}); err != nil {
		t.Error(err)
	}
}

func TestCutMessages(t *testing.T) {
	// Every message, cut at every byte, its size field telling the truth.
	for _, g := range golden {
		o := &ops[opIndex[g.m.Type()]]
		if o.run == nil || g.m.Type() == MsgTversion {
			continue
		}
		msg := unhex(t, g.wire)
		r := newRigFor(t, Config{Backend: &nullBackend{}}, g.m.Type())
		for n := headerSize; n < len(msg); n++ {
			if shortForm(g.m.Type(), n) {
				continue
			}
			cut := bytes.Clone(msg[:n])
			binary.LittleEndian.PutUint32(cut, uint32(n))
			if got := failure(t, r.raw(cut), 0x0201); got != unix.EBADMSG {
				t.Errorf("%v, %d of %d bytes: %v", g.m.Type(), n, len(msg), got)
			}
		}
		if n := r.s.Stats().FIDs; n != 1 {
			t.Errorf("%v, cut: %d fids", g.m.Type(), n)
		}
	}
}

func TestStringsThatGoBeyondTheMessage(t *testing.T) {
	r := newRigL(t, Config{Backend: &nullBackend{}})
	for _, wire := range []string{
		"14000000 6e 0100 00000000 01000000 0100 ffff 61",        // Twalk, name of 65535
		"11000000 6e 0100 00000000 01000000 ffff",                // Twalk of 65535 names
		"13000000 6e 0100 00000000 01000000 0200 0000",           // Twalk of 2, one there
		"16000000 48 0100 00000000 0200 64 ed010000 05000000",    // Tmkdir, name eats the mode
		"1b000000 76 0100 00000000 0000000000000000 05000000 00", // Twrite of 5, one there
		"17000000 76 0100 00000000 0000000000000000 ffffffff",    // Twrite of 4 GiB
		"1f000000 20 0100 00000000 0700 757365722e61 0300000000000000 02000000",
	} {
		msg := unhex(t, wire)
		binary.LittleEndian.PutUint32(msg, uint32(len(msg)))
		want := []unix.Errno{unix.EBADMSG}
		if strings.Contains(wire, "ffff") && msg[4] == byte(MsgTwalk) {
			want = append(want, unix.EINVAL) // too many names
		}
		got := failure(t, r.raw(msg), 1)
		if got != want[0] && got != want[len(want)-1] {
			t.Errorf("%s: %v", wire, got)
		}
	}
}

func TestLongMessages(t *testing.T) {
	r := newRigL(t, Config{Backend: &nullBackend{}})
	// All that the limits of names allow is taken.
	long := Name(strings.Repeat("n", maxName))
	w := &Twalk{FID: 0, NewFID: 1}
	for range maxWalkNames {
		w.Names = append(w.Names, long)
	}
	r.do(w, &Rwalk{QIDs: make([]QID, 0, maxWalkNames)})
	r.do(&Tsymlink{Name: long, Target: Name(strings.Repeat("t", maxPath))}, &Rsymlink{})
	// What is longer is refused without looking at all of it.
	huge := Name(strings.Repeat("n", 40000))
	for _, m := range []Message{
		&Twalk{FID: 0, NewFID: 2, Names: []Name{huge}},
		&Tsymlink{Name: long, Target: huge},
		&Tmkdir{Name: huge},
		&Tlock{FID: 1, Lock: Lock{ClientID: huge}},
	} {
		if err := r.try(m, newMessage(m)); err != unix.ENAMETOOLONG {
			t.Errorf("%v: %v", m.Type(), err)
		}
	}
	// And what is longer than msize is not taken at all.
	r.do(&Tversion{Msize: 4096, Version: Name("9P2000.L")}, &Rversion{})
	r.do(&Tattach{AFID: NoFID}, &Rattach{})
	if err := r.try(w, &Rwalk{}); err != unix.EMSGSIZE {
		t.Errorf("Twalk of more than msize: %v", err)
	}
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	r.do(&Tlopen{FID: 1, Flags: unix.O_RDWR}, &Rlopen{})
	r.do(&Twrite{FID: 1, Data: make([]byte, 4096-writeHeader)}, &Rwrite{})
	if err := r.try(&Twrite{FID: 1, Data: make([]byte, 4096-writeHeader+1)}, &Rwrite{}); err != unix.EMSGSIZE {
		t.Errorf("Twrite of more than msize: %v", err)
	}
}

func TestRoomForTheReply(t *testing.T) {
	// An operation whose reply does not fit is not done.
	for _, g := range golden {
		typ := g.m.Type()
		o := &ops[opIndex[typ]]
		if o.run == nil || typ == MsgTversion || typ == MsgTattach {
			continue
		}
		b := &nullBackend{}
		b.file.dir = typ == MsgTreaddir
		r := newRigFor(t, Config{Backend: b}, typ)
		setUp(r, typ)
		msg := unhex(t, g.wire)
		least := 0
		for n := range 200 {
			aim(r.c, msg, r.out[:n])
			got := r.serve()
			switch {
			case got > n:
				t.Fatalf("%v: reply of %d bytes in %d", typ, got, n)
			case got == 0 && n >= rlerrorSize && n >= rerrorSize+4:
				t.Errorf("%v: no reply in %d bytes", typ, n)
			case got > 0 && uint32(got) != binary.LittleEndian.Uint32(r.out):
				t.Errorf("%v: %d bytes of reply say they are %d", typ, got, binary.LittleEndian.Uint32(r.out))
			}
			if got > 0 && MsgType(r.out[4]) == typ+1 {
				least = n
				break
			}
		}
		if least < o.reply || least == 0 {
			t.Errorf("%v: first done with room for %d bytes, want %d at least", typ, least, o.reply)
		}
	}
}

// setUp brings fid 1 into the state that the golden message of the type needs.
func setUp(r *rig, typ MsgType) {
	r.t.Helper()
	if typ == MsgTwalk {
		r.do(&Twalk{NewFID: 1}, &Rwalk{})
		return
	}
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	r.do(&Twalk{NewFID: 2}, &Rwalk{})
	kinds := ops[opIndex[typ]].kinds
	if kinds != 0 && kinds&fidPath == 0 {
		r.do(&Tlopen{FID: 1, Flags: unix.O_RDWR}, &Rlopen{})
	}
	if typ == MsgTxattrwalk {
		r.do(&Tclunk{FID: 2}, &Rclunk{})
	}
}

func TestEveryOperationSucceeds(t *testing.T) {
	for _, g := range golden {
		typ := g.m.Type()
		if o := &ops[opIndex[typ]]; o.run == nil || typ == MsgTversion || typ == MsgTattach {
			continue
		}
		b := &nullBackend{}
		b.file.dir = typ == MsgTreaddir
		r := newRigFor(t, Config{Backend: b}, typ)
		setUp(r, typ)
		reply := r.raw(unhex(t, g.wire))
		if MsgType(reply[4]) != typ+1 {
			t.Errorf("%v is answered by % x", typ, reply)
		}
	}
}

func TestZeroCopyWriteOfOldClients(t *testing.T) {
	r := newHotRig(t)
	msg := encode(t, 1, &Twrite{FID: 1, Data: make([]byte, 5000)})
	binary.LittleEndian.PutUint32(msg, writeHeader)
	var w Rwrite
	if _, err := ParseMessage(r.raw(msg), &w); err != nil || w.Count != 5000 {
		t.Errorf("count %d, %v", w.Count, err)
	}
}

// iovFile keeps what its Read and Write were given.
type iovFile struct {
	nullFile
	lens []int
}

func (f *iovFile) Attach(*Call, Name) (File, QID, error) { return f, nullQID, nil }
func (f *iovFile) Reset()                                {}
func (f *iovFile) Walk(_ *Call, names []Name, _ []QID) (File, int, error) {
	return f, len(names), nil
}

func (f *iovFile) Read(_ *Call, iov []unix.Iovec, _ uint64) (int, error) {
	f.lens = nil
	for i := range iov {
		f.lens = append(f.lens, int(iov[i].Len))
	}
	return Len(iov), nil
}

func (f *iovFile) Write(c *Call, iov []unix.Iovec, off uint64) (int, error) {
	return f.Read(c, iov, off)
}

// pieces makes iovecs of the lengths, over one buffer.
func pieces(lens ...int) ([]byte, []unix.Iovec) {
	n := 0
	for _, l := range lens {
		n += l
	}
	buf := make([]byte, n+1)
	var iov []unix.Iovec
	at := 0
	for _, l := range lens {
		v := unix.Iovec{Base: &buf[at]}
		v.SetLen(l)
		iov = append(iov, v)
		at += l
	}
	return buf, iov
}

func TestPayloadIsNotCopied(t *testing.T) {
	f := &iovFile{}
	r := newRigL(t, Config{Backend: f})
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	r.do(&Tlopen{FID: 1, Flags: unix.O_RDWR}, &Rlopen{})

	read := func(count uint32, lens ...int) []int {
		msg := encode(t, 1, &Tread{FID: 1, Count: count})
		r.c.In, r.c.InLen = iovecs(msg), len(msg)
		_, r.c.Out = pieces(lens...)
		r.c.OutLen = Len(r.c.Out)
		if n := r.serve(); n != readHeader+Len(Slice(nil, r.c.Out, readHeader, int(count))) {
			t.Errorf("Serve returned %d", n)
		}
		return f.lens
	}
	for _, c := range []struct {
		count uint32
		lens  []int
		want  []int
	}{
		{4096, []int{11, 4096}, []int{4096}}, // as Linux does it
		{5000, []int{11, 100, 4096, 4096}, []int{100, 4096, 804}},
		{4096, []int{4107}, []int{4096}},
		{100, []int{5, 0, 3, 10, 0, 50, 0, 90}, []int{7, 50, 43}},
		{0, []int{11, 100}, nil},
		{100, []int{11}, nil},
	} {
		if got := read(c.count, c.lens...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Tread of %d to %v: the backend got %v, want %v", c.count, c.lens, got, c.want)
		}
	}

	// More pieces than a system call takes.
	many := make([]int, 3000)
	for i := range many {
		many[i] = 1
	}
	msg := encode(t, 1, &Tread{FID: 1, Count: 2000})
	r.c.In, r.c.InLen = iovecs(msg), len(msg)
	_, r.c.Out = pieces(many...)
	r.c.OutLen = len(many)
	if n := r.serve(); n != readHeader+maxIovecs || len(f.lens) != maxIovecs {
		t.Errorf("Serve returned %d, the backend got %d pieces", n, len(f.lens))
	}

	// Twrite, its message in many pieces too.
	wmsg := encode(t, 1, &Twrite{FID: 1, Data: make([]byte, 300)})
	buf, iov := pieces(1, 2, 0, 3, 17, 100, 0, 200)
	copy(buf, wmsg)
	r.c.In, r.c.InLen = iov, len(wmsg)
	r.c.Out, r.c.OutLen = iovecs(r.out), len(r.out)
	r.serve()
	if want := []int{100, 200}; !reflect.DeepEqual(f.lens, want) {
		t.Errorf("Twrite: the backend got %v, want %v", f.lens, want)
	}
}

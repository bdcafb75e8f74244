// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// nullBackend has one directory, which is its own every child and holds two
// entries, and does nothing at all: what a test measures or provokes is the
// session's doing.
type nullBackend struct{ file nullFile }

func (b *nullBackend) Attach(*Call, Name) (File, QID, error) { return &b.file, nullQID, nil }
func (b *nullBackend) Reset()                                {}

var nullQID = QID{Type: QTFile, Version: 1, Path: 42}

// nullFile is the base of the test backends: what a test needs is overridden.
type nullFile struct {
	dir bool // opens as a directory
}

func (f *nullFile) Walk(_ *Call, names []Name, qids []QID) (File, int, error) {
	for i := range names {
		qids[i] = nullQID
	}
	return f, len(names), nil
}

func (f *nullFile) GetAttr(_ *Call, _ AttrMask, a *Attr) error {
	*a = Attr{Valid: AttrBasic, QID: nullQID, Mode: unix.S_IFREG | 0o644, NLink: 1}
	return nil
}

func (f *nullFile) Open(*Call, uint32) (QID, error) {
	q := nullQID
	if f.dir {
		q.Type = QTDir
	}
	return q, nil
}

func (f *nullFile) Read(_ *Call, dst []unix.Iovec, _ uint64) (int, error)  { return Len(dst), nil }
func (f *nullFile) Write(_ *Call, src []unix.Iovec, _ uint64) (int, error) { return Len(src), nil }

func (f *nullFile) ReadDir(_ *Call, off uint64, w *DirWriter) error {
	for i, name := range [...][]byte{nameOne, nameTwo} {
		if uint64(i) >= off && !w.Add(nullQID, uint64(i+1), unix.DT_REG, name) {
			break
		}
	}
	return nil
}

var nameOne, nameTwo = []byte("one"), []byte("two")

func (f *nullFile) SetAttr(*Call, *SetAttr) error                  { return nil }
func (f *nullFile) StatFS(*Call, *StatFS) error                    { return nil }
func (f *nullFile) Sync(*Call, bool) error                         { return nil }
func (f *nullFile) Link(*Call, File, Name) error                   { return nil }
func (f *nullFile) ReadLink(_ *Call, buf []byte) (int, error)      { return copy(buf, "target"), nil }
func (f *nullFile) Rename(*Call, File, Name) error                 { return nil }
func (f *nullFile) RenameAt(*Call, Name, File, Name) error         { return nil }
func (f *nullFile) UnlinkAt(*Call, Name, uint32) error             { return nil }
func (f *nullFile) Remove(*Call) error                             { return nil }
func (f *nullFile) GetXattr(*Call, Name) ([]byte, error)           { return []byte("value"), nil }
func (f *nullFile) ListXattr(*Call) ([]byte, error)                { return []byte("user.a\x00"), nil }
func (f *nullFile) SetXattr(*Call, string, []byte, int) error      { return nil }
func (f *nullFile) RemoveXattr(*Call, string) error                { return nil }
func (f *nullFile) Lock(*Call, *Lock) (LockStatus, error)          { return LockSuccess, nil }
func (f *nullFile) GetLock(_ *Call, l *Lock) error                 { l.Type = LockUnlock; return nil }
func (f *nullFile) Name(_ *Call, buf []byte) []byte                { return append(buf, "name"...) }
func (f *nullFile) Parent(*Call) (File, error)                     { return f, nil }
func (f *nullFile) Close(*Thread)                                  {}
func (f *nullFile) Mkdir(*Call, Name, uint32, uint32) (QID, error) { return nullQID, nil }
func (f *nullFile) Symlink(*Call, Name, Name, uint32) (QID, error) { return nullQID, nil }
func (f *nullFile) Mknod(*Call, Name, uint32, uint32, uint32, uint32) (QID, error) {
	return nullQID, nil
}
func (f *nullFile) Create(*Call, Name, uint32, uint32, uint32) (QID, error) { return nullQID, nil }

// rig is a transport with one Call.
type rig struct {
	t   testing.TB
	s   *Session
	c   *Call
	d   Dialect // that messages are encoded in
	out []byte
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &rig{t: t, s: NewSession(cfg), out: make([]byte, 128<<10)}
	r.c = r.s.NewCall()
	r.c.Thread = new(Thread)
	return r
}

// newRigL is a rig after Tversion and a Tattach of fid 0.
func newRigL(t testing.TB, cfg Config) *rig { return newRigOf(t, cfg, Dialect2000L) }

// newRigOf is newRigL of another dialect.
func newRigOf(t testing.TB, cfg Config, d Dialect) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.do(&Tversion{Msize: 65536, Version: Name(d.String())}, &Rversion{})
	r.d = d
	r.do(&Tattach{FID: 0, AFID: NoFID, NUName: NoFID}, &Rattach{})
	return r
}

// encode is the message m under tag.
func encode(t testing.TB, tag uint16, m Message) []byte {
	t.Helper()
	b, err := AppendMessage(nil, tag, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// aim points the Call at the message and the room for the reply.
func aim(c *Call, in, out []byte) {
	c.In, c.InLen = iovecs(in), len(in)
	c.Out, c.OutLen = iovecs(out), len(out)
}

func iovecs(b []byte) []unix.Iovec {
	if len(b) == 0 {
		return nil
	}
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	return []unix.Iovec{v}
}

// Begin is BeginLocked of a session that is not locked.
func (s *Session) Begin(c *Call) {
	s.Lock()
	defer s.Unlock()
	s.BeginLocked(c)
}

// End is EndLocked of a session that is not locked, and EndRest.
func (s *Session) End(c *Call) {
	s.Lock()
	more := s.EndLocked(c)
	s.Unlock()
	if more {
		s.EndRest(c)
	}
}

// serve is the life of one request whose reply does not come later.
func (r *rig) serve() int {
	r.s.Begin(r.c)
	n := r.s.Serve(r.c)
	r.s.End(r.c)
	return n
}

// raw sends bytes and returns the reply's.
func (r *rig) raw(msg []byte) []byte {
	aim(r.c, msg, r.out)
	n := r.serve()
	if n < 0 {
		r.t.Fatalf("Serve returned %d", n)
	}
	return r.out[:n]
}

// try sends t and decodes the reply to want.
func (r *rig) try(m, want Message) error {
	r.t.Helper()
	req, err := r.d.AppendMessage(nil, 1, m)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.d.ParseMessage(r.raw(req), want)
	return err
}

// do is try where the request must succeed.
func (r *rig) do(m, want Message) {
	r.t.Helper()
	if err := r.try(m, want); err != nil {
		r.t.Fatalf("%T: %v", m, err)
	}
}

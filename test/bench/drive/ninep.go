// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/report"
)

// Message types of 9P2000.L that are used here.
const (
	rlerror   = 7
	tlopen    = 12
	tlcreate  = 14
	tgetattr  = 24
	treaddir  = 40
	tfsync    = 50
	tmkdir    = 72
	trenameat = 74
	tunlinkat = 76
	tversion  = 100
	tattach   = 104
	twalk     = 110
	tread     = 116
	twrite    = 118
	tclunk    = 120
)

const (
	noTag   = 0xffff
	noFid   = 0xffffffff
	rootFid = 0

	replyRoom  = 4096    // for replies without payload
	replyIO    = 7 + 4   // header and count before a reply's payload
	maxListing = 500_000 // that one Treaddir or FUSE_READDIR asks for
)

// Kinds of fid that a slot has.
const (
	fileFid = iota + 1
	syncFid
	dirFid
	newFid
)

func fid(kind, slot int) uint32 { return uint32(kind<<8 | slot) }

// NineP is a server of 9P2000.L.
type NineP struct {
	ring *ring
	loop loop
	pid  int
	size int // of each read or write
}

// DialNineP connects to the vhost-user socket of a process.
func DialNineP(tb testing.TB, socket string, pid int) *NineP {
	tb.Helper()
	p := &NineP{ring: dial(tb, socket, 0, 128), pid: pid}
	p.loop = loop{tb: tb, to: p.ring, check: p.check}
	return p
}

// Pid implements Server.
func (p *NineP) Pid() int { return p.pid }

// Has implements Server.
func (p *NineP) Has(cases.Case) bool { return true }

// Prepare implements Server. It begins a new session, which ends the one before.
func (p *NineP) Prepare(c cases.Case, depth int) {
	p.begin(c)
	slots := make([]slot, depth)
	for i := range slots {
		slots[i].messages = p.messages(c, i)
		if c.Kind == cases.Mixed {
			slots[i].occasional = p.sync(i)
		}
	}
	p.loop.start(c, slots)
}

// begin begins a session, with the root attached.
func (p *NineP) begin(c cases.Case) {
	p.ring.reset()
	p.size = c.NinePSize()
	p.do(p.lay("version", noTag, tversion, encoder{}.u32(uint32(c.NinePMsize())).str("9P2000.L")))
	p.do(p.message("attach", 0, tattach, encoder{}.u32(rootFid).u32(noFid).str("root").str("").u32(0)))
}

// Run implements Server.
func (p *NineP) Run(d time.Duration) report.Round {
	r := measured(p.ring.tb, p.pid, func() report.Round { return p.loop.run(d, unlimited) })
	r.Bytes = r.Operations * int64(p.size)
	return r
}

// Count makes a number of operations of what was prepared, at least as many as are in
// flight; fewer, if that takes too long.
func (p *NineP) Count(n int64) report.Round {
	return measured(p.ring.tb, p.pid, func() report.Round { return p.loop.run(time.Minute, n) })
}

// Finish implements Server.
func (p *NineP) Finish() {}

// check reports whether a reply is of the type and the length that it should be.
func (p *NineP) check(m *message, written uint32) bool {
	switch {
	case written < 7 || m.written != 0 && written != m.written:
		return false
	case m.errno != 0:
		return m.reply[4] == rlerror && get32(m.reply, 7) == uint32(m.errno)
	}
	return m.reply[4] == m.request[4]+1
}

// do sends a message and waits for the reply.
func (p *NineP) do(m *message) {
	p.ring.tb.Helper()
	p.ring.call(m, p.check)
}

func (p *NineP) lay(name string, tag uint16, typ uint8, body encoder) *message {
	request := encoder{}.u32(uint32(7 + len(body))).u8(typ).u16(tag).raw(body)
	return p.ring.lay(name, layout{request: request, reply: replyRoom})
}

// message lays a message of a slot out.
func (p *NineP) message(name string, slot int, typ uint8, body encoder) *message {
	return p.lay(name, uint16(slot), typ, body)
}

func (p *NineP) walk(slot int, from, to uint32, names ...string) *message {
	body := encoder{}.u32(from).u32(to).u16(uint16(len(names)))
	for _, n := range names {
		body = body.str(n)
	}
	return p.message("walk", slot, twalk, body)
}

func (p *NineP) open(slot int, fid uint32, flags uint32) *message {
	return p.message("lopen", slot, tlopen, encoder{}.u32(fid).u32(flags))
}

func (p *NineP) clunk(slot int, fid uint32) *message {
	return p.message("clunk", slot, tclunk, encoder{}.u32(fid))
}

// opened walks to a file and opens it, and returns its fid.
func (p *NineP) opened(slot, kind int, name string) uint32 {
	f := fid(kind, slot)
	p.do(p.walk(slot, rootFid, f, name))
	p.do(p.open(slot, f, unix.O_RDWR))
	return f
}

// io lays a read or a write out, with the payload in pages of its own (as Linux does
// for what is longer than 1 KiB).
func (p *NineP) io(slot int, typ uint8, fid uint32, fileSize, size int, sequential bool) *message {
	const header = 7 + 4 + 8 + 4 // to the end of count
	l := layout{payload: size, reply: replyIO, fromServer: typ == tread}
	length := header
	if typ == twrite {
		length += size
	}
	l.request = encoder{}.u32(uint32(length)).u8(typ).u16(uint16(slot)).u32(fid).u64(0).u32(uint32(size))
	m := p.ring.lay(map[uint8]string{tread: "read", twrite: "write"}[typ], l)
	m.written = replyIO
	if typ == tread {
		m.written += uint32(size)
	}
	at := cases.NewPlaces(slot, fileSize, size, sequential)
	m.before = func() { put64(m.request, 11, at.Next()) }
	return m
}

// sync is an Fsync of a slot.
func (p *NineP) sync(i int) []*message {
	f := p.opened(i, syncFid, cases.SyncName(i))
	return []*message{
		p.io(i, twrite, f, cases.FileSize, page, false),
		p.message("fsync", i, tfsync, encoder{}.u32(f).u32(0)),
	}
}

// messages returns a slot's messages for one operation.
func (p *NineP) messages(c cases.Case, i int) []*message {
	fresh := fid(newFid, i)
	switch c.Kind {
	case cases.Getattr:
		f := fid(fileFid, i)
		p.do(p.walk(i, rootFid, f, cases.FileName(i)))
		return []*message{p.message("getattr", i, tgetattr, encoder{}.u32(f).u64(uint64(ninep.AttrBasic)))}
	case cases.Walk:
		return []*message{p.walk(i, rootFid, fresh, cases.Path(i, c.Names)...), p.clunk(i, fresh)}
	case cases.Missing:
		m := p.walk(i, rootFid, fresh, cases.MissingName)
		m.errno = unix.ENOENT
		return []*message{m}
	case cases.Open:
		f := fid(fileFid, i)
		p.do(p.walk(i, rootFid, f, cases.FileName(i)))
		return []*message{p.walk(i, f, fresh), p.open(i, fresh, unix.O_RDONLY), p.clunk(i, fresh)}
	case cases.Create, cases.Mkdir, cases.Rename:
		return p.changes(c.Kind, i)
	case cases.Readdir:
		dir := fid(dirFid, i)
		p.do(p.walk(i, rootFid, dir, cases.ListName))
		return []*message{p.walk(i, dir, fresh), p.open(i, fresh, unix.O_RDONLY|unix.O_DIRECTORY), p.readdir(i, fresh), p.clunk(i, fresh)}
	case cases.Fsync:
		return p.sync(i)
	}
	name, fileSize := cases.FileName(i), cases.FileSize
	if c.Streams() {
		name, fileSize = cases.StreamName(i), cases.StreamSize
	}
	typ := uint8(tread)
	if c.Kind == cases.Write {
		typ = twrite
	}
	return []*message{p.io(i, typ, p.opened(i, fileFid, name), fileSize, p.size, c.Sequential)}
}

// changes returns the messages of what changes a slot's directory.
func (p *NineP) changes(kind cases.Kind, i int) []*message {
	dir, fresh := fid(dirFid, i), fid(newFid, i)
	p.do(p.walk(i, rootFid, dir, cases.DirName(i)))
	unlink := func(flags uint32) *message {
		return p.message("unlinkat", i, tunlinkat, encoder{}.u32(dir).str(cases.NewName).u32(flags))
	}
	rename := func(from, to string) *message {
		return p.message("renameat", i, trenameat, encoder{}.u32(dir).str(from).u32(dir).str(to))
	}
	switch kind {
	case cases.Create:
		create := encoder{}.u32(fresh).str(cases.NewName).u32(unix.O_RDWR | unix.O_CREAT | unix.O_EXCL).u32(0o644).u32(0)
		return []*message{p.walk(i, dir, fresh), p.message("lcreate", i, tlcreate, create), p.clunk(i, fresh), unlink(0)}
	case cases.Mkdir:
		mkdir := encoder{}.u32(dir).str(cases.NewName).u32(0o755).u32(0)
		return []*message{p.message("mkdir", i, tmkdir, mkdir), unlink(unix.AT_REMOVEDIR)}
	}
	return []*message{rename(cases.RenameFrom, cases.RenameTo), rename(cases.RenameTo, cases.RenameFrom)}
}

// readdir reads a directory to its end.
func (p *NineP) readdir(slot int, fid uint32) *message {
	m := p.ring.lay("readdir", layout{
		request: encoder{}.u32(7 + 4 + 8 + 4).u8(treaddir).u16(uint16(slot)).u32(fid).u64(0).u32(maxListing),
		reply:   replyIO, payload: maxListing, fromServer: true,
	})
	var next uint64 // 0 again after the end: the next listing begins there
	m.before = func() { put64(m.request, 11, next) }
	m.after = func(written uint32) bool {
		entries := m.payload[:written-replyIO]
		again := len(entries) > 0
		next = 0
		for len(entries) > 0 { // qid[13] offset[8] type[1] name[s]
			next = get64(entries, 13)
			entries = entries[24+int(entries[22])+int(entries[23])<<8:]
		}
		return again
	}
	return m
}

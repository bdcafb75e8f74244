// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/report"
)

// Opcodes of FUSE that are used here.
const (
	fuseLookup      = 1
	fuseForget      = 2
	fuseGetattr     = 3
	fuseMkdir       = 9
	fuseUnlink      = 10
	fuseRmdir       = 11
	fuseOpen        = 14
	fuseRead        = 15
	fuseWrite       = 16
	fuseRelease     = 18
	fuseFsync       = 20
	fuseInit        = 26
	fuseOpendir     = 27
	fuseReaddir     = 28
	fuseReleasedir  = 29
	fuseCreate      = 35
	fuseBatchForget = 42
	fuseRename2     = 45
)

// Sizes of structures and offsets in them.
const (
	fuseIn     = 40  // fuse_in_header
	fuseOut    = 16  // fuse_out_header
	fuseEntry  = 128 // fuse_entry_out
	fuseAttr   = 104 // fuse_attr_out
	fuseOpened = 16  // fuse_open_out
	fuseWrote  = 8   // fuse_write_out
	fuseInited = 64  // fuse_init_out

	inNode = 16 // fuse_in_header.nodeid
	inFH   = fuseIn
	inOff  = fuseIn + 8 // fuse_read_in.offset and fuse_write_in's
	outArg = fuseOut    // entry_out.nodeid, open_out.fh

	fuseRoot = 1 // node id
)

// requestQueue is the first of virtio-fs's request queues. The queue before it is for
// FORGET. It is not used here: that spares the server a wake-up that it has in a guest.
const requestQueue = 1

// FUSE is a server of FUSE.
type FUSE struct {
	ring  *ring
	loop  loop
	pid   int
	size  int        // of each read or write
	taken []*message // that give back what Prepare took
}

// DialFUSE connects to the vhost-user socket of a process. The queue is as large as
// libvirt makes it: fewer entries would bound the size of messages.
func DialFUSE(tb testing.TB, socket string, pid int) *FUSE {
	tb.Helper()
	f := &FUSE{ring: dial(tb, socket, requestQueue, 1024), pid: pid}
	f.loop = loop{tb: tb, to: f.ring, check: f.check}
	const (
		major, minor = 7, 31
		readAhead    = 128 << 10
		// What Linux asks for and does not change the messages here: ASYNC_READ,
		// ATOMIC_O_TRUNC, BIG_WRITES, PARALLEL_DIROPS, MAX_PAGES.
		flags = 1<<0 | 1<<3 | 1<<5 | 1<<18 | 1<<22
	)
	f.do(f.message("init", 0, fuseInit, 0, encoder{}.u32(major).u32(minor).u32(readAhead).u32(flags), fuseInited))
	return f
}

// Pid implements Server.
func (f *FUSE) Pid() int { return f.pid }

// Has implements Server: what is about 9P's msize it has not.
func (f *FUSE) Has(c cases.Case) bool { return c.Msize == 0 }

// Prepare implements Server.
func (f *FUSE) Prepare(c cases.Case, depth int) {
	f.ring.reset()
	f.size = c.FUSESize()
	slots := make([]slot, depth)
	for i := range slots {
		slots[i].messages = f.messages(c, i)
		if c.Kind == cases.Mixed {
			slots[i].occasional = f.sync(i)
		}
	}
	f.loop.start(c, slots)
}

// Run implements Server.
func (f *FUSE) Run(d time.Duration) report.Round {
	r := measured(f.ring.tb, f.pid, func() report.Round { return f.loop.run(d, unlimited) })
	r.Bytes = r.Operations * int64(f.size)
	return r
}

// Finish implements Server.
func (f *FUSE) Finish() {
	for i := len(f.taken) - 1; i >= 0; i-- {
		f.do(f.taken[i])
	}
	f.taken = nil
}

// check reports whether a reply has the error and the length that it should have.
func (f *FUSE) check(m *message, written uint32) bool {
	switch {
	case len(m.reply) == 0: // FORGET
		return true
	case written < fuseOut || m.written != 0 && written != m.written:
		return false
	}
	return get32(m.reply, 4) == uint32(-int32(m.errno))
}

// do sends a message and waits for the reply.
func (f *FUSE) do(m *message) {
	f.ring.tb.Helper()
	f.ring.call(m, f.check)
}

func header(slot int, opcode uint32, node uint64, length int) encoder {
	return encoder{}.u32(uint32(fuseIn + length)).u32(opcode).u64(uint64(slot) + 1).u64(node).u32(0).u32(0).u32(1).u32(0)
}

// message lays a message of a slot out, whose answer has so many bytes of arguments.
func (f *FUSE) message(name string, slot int, opcode uint32, node uint64, args encoder, answer int) *message {
	m := f.ring.lay(name, layout{
		request: header(slot, opcode, node, len(args)).raw(args), requestCut: fuseIn,
		reply: fuseOut + answer, replyCut: fuseOut,
	})
	m.written = uint32(fuseOut + answer)
	return m
}

func (f *FUSE) lookup(slot int, parent uint64, name string) *message {
	return f.message("lookup", slot, fuseLookup, parent, encoder{}.cstr(name), fuseEntry)
}

// forget forgets one lookup of each of n nodes: which, stands in it at the offsets of
// forgotten.
func (f *FUSE) forget(slot, n int) *message {
	opcode, args := uint32(fuseForget), encoder{}.u64(1)
	if n > 1 {
		opcode, args = fuseBatchForget, encoder{}.u32(uint32(n)).u32(0)
		for range n {
			args = args.u64(0).u64(1)
		}
	}
	return f.ring.lay("forget", layout{request: header(slot, opcode, 0, len(args)).raw(args), requestCut: fuseIn})
}

// forgotten is where node k of n stands in a forget.
func forgotten(k, n int) int {
	if n == 1 {
		return inNode
	}
	return fuseIn + 8 + 16*k
}

// pass has a message put what it is told, a node id or a handle, into others.
func pass(from *message, off int, to ...func(v uint64)) {
	from.after = func(uint32) bool {
		v := get64(from.reply, off)
		for _, set := range to {
			set(v)
		}
		return false
	}
}

// into returns what sets 64 bits of a request.
func into(m *message, off int) func(v uint64) {
	return func(v uint64) { put64(m.request, off, v) }
}

func (f *FUSE) open(slot int, opcode uint32, node uint64, flags uint32) *message {
	return f.message("open", slot, opcode, node, encoder{}.u32(flags).u32(0), fuseOpened)
}

func (f *FUSE) release(slot int, opcode uint32, node uint64) *message {
	return f.message("release", slot, opcode, node, encoder{}.u64(0).u32(0).u32(0).u64(0), 0)
}

// node looks a name in the root up, until Finish.
func (f *FUSE) node(slot int, name string) uint64 {
	m := f.lookup(slot, fuseRoot, name)
	f.do(m)
	node := get64(m.reply, outArg)
	forget := f.forget(slot, 1)
	put64(forget.request, inNode, node)
	f.taken = append(f.taken, forget)
	return node
}

// opened opens a file until Finish.
func (f *FUSE) opened(slot int, name string) (node, fh uint64) {
	node = f.node(slot, name)
	m := f.open(slot, fuseOpen, node, unix.O_RDWR)
	f.do(m)
	fh = get64(m.reply, outArg)
	release := f.release(slot, fuseRelease, node)
	put64(release.request, inFH, fh)
	f.taken = append(f.taken, release)
	return node, fh
}

// io lays a read or a write out.
func (f *FUSE) io(slot int, opcode uint32, node, fh uint64, fileSize, size int, sequential bool) *message {
	args := encoder{}.u64(fh).u64(0).u32(uint32(size)).u32(0).u64(0).u32(unix.O_RDWR).u32(0)
	l := layout{requestCut: fuseIn, replyCut: fuseOut, payload: size, fromServer: opcode == fuseRead}
	var m *message
	if opcode == fuseRead {
		l.request, l.reply = header(slot, opcode, node, len(args)).raw(args), fuseOut
		m = f.ring.lay("read", l)
		m.written = fuseOut + uint32(size)
	} else {
		l.request, l.reply = header(slot, opcode, node, len(args)+size).raw(args), fuseOut+fuseWrote
		m = f.ring.lay("write", l)
		m.written = fuseOut + fuseWrote
	}
	at := cases.NewPlaces(slot, fileSize, size, sequential)
	m.before = func() { put64(m.request, inOff, at.Next()) }
	return m
}

// sync is an Fsync of a slot.
func (f *FUSE) sync(i int) []*message {
	node, fh := f.opened(i, cases.SyncName(i))
	return []*message{
		f.io(i, fuseWrite, node, fh, cases.FileSize, page, false),
		f.message("fsync", i, fuseFsync, node, encoder{}.u64(fh).u32(0).u32(0), 0),
	}
}

// messages returns a slot's messages for one operation.
func (f *FUSE) messages(c cases.Case, i int) []*message {
	switch c.Kind {
	case cases.Getattr:
		node := f.node(i, cases.FileName(i))
		return []*message{f.message("getattr", i, fuseGetattr, node, encoder{}.u32(0).u32(0).u64(0), fuseAttr)}
	case cases.Walk:
		return f.walk(i, cases.Path(i, c.Names))
	case cases.Missing:
		m := f.lookup(i, fuseRoot, cases.MissingName)
		m.errno, m.written = unix.ENOENT, fuseOut
		return []*message{m}
	case cases.Open:
		node := f.node(i, cases.FileName(i))
		open, release := f.open(i, fuseOpen, node, unix.O_RDONLY), f.release(i, fuseRelease, node)
		pass(open, outArg, into(release, inFH))
		return []*message{open, release}
	case cases.Create, cases.Mkdir, cases.Rename:
		return f.changes(c.Kind, i)
	case cases.Readdir:
		node := f.node(i, cases.ListName)
		open, release := f.open(i, fuseOpendir, node, unix.O_RDONLY|unix.O_DIRECTORY), f.release(i, fuseReleasedir, node)
		list := f.readdir(i, node)
		pass(open, outArg, into(list, inFH), into(release, inFH))
		return []*message{open, list, release}
	case cases.Fsync:
		return f.sync(i)
	}
	name, fileSize := cases.FileName(i), cases.FileSize
	if c.Streams() {
		name, fileSize = cases.StreamName(i), cases.StreamSize
	}
	opcode := uint32(fuseRead)
	if c.Kind == cases.Write {
		opcode = fuseWrite
	}
	node, fh := f.opened(i, name)
	return []*message{f.io(i, opcode, node, fh, fileSize, f.size, c.Sequential)}
}

// walk looks one name up after the other, and forgets what they are at once.
func (f *FUSE) walk(slot int, names []string) []*message {
	var all []*message
	forget := f.forget(slot, len(names))
	for k, name := range names {
		m := f.lookup(slot, fuseRoot, name)
		if k > 0 {
			pass(all[k-1], outArg, into(m, inNode), into(forget, forgotten(k-1, len(names))))
		}
		all = append(all, m)
	}
	last := len(names) - 1
	pass(all[last], outArg, into(forget, forgotten(last, len(names))))
	return append(all, forget)
}

// changes returns the messages of what changes a slot's directory.
func (f *FUSE) changes(kind cases.Kind, i int) []*message {
	dir := f.node(i, cases.DirName(i))
	name := encoder{}.cstr(cases.NewName)
	forget := f.forget(i, 1)
	rename := func(from, to string) *message {
		return f.message("rename2", i, fuseRename2, dir, encoder{}.u64(dir).u32(0).u32(0).cstr(from).cstr(to), 0)
	}
	switch kind {
	case cases.Create:
		args := encoder{}.u32(unix.O_RDWR | unix.O_CREAT | unix.O_EXCL).u32(unix.S_IFREG | 0o644).u32(0).u32(0).raw(name)
		create := f.message("create", i, fuseCreate, dir, args, fuseEntry+fuseOpened)
		release := f.release(i, fuseRelease, 0)
		create.after = func(uint32) bool {
			node := get64(create.reply, outArg)
			put64(release.request, inNode, node)
			put64(forget.request, inNode, node)
			put64(release.request, inFH, get64(create.reply, outArg+fuseEntry))
			return false
		}
		return []*message{create, release, f.message("unlink", i, fuseUnlink, dir, name, 0), forget}
	case cases.Mkdir:
		mkdir := f.message("mkdir", i, fuseMkdir, dir, encoder{}.u32(0o755).u32(0).raw(name), fuseEntry)
		pass(mkdir, outArg, into(forget, inNode))
		return []*message{mkdir, f.message("rmdir", i, fuseRmdir, dir, name, 0), forget}
	}
	return []*message{rename(cases.RenameFrom, cases.RenameTo), rename(cases.RenameTo, cases.RenameFrom)}
}

// readdir reads a directory to its end.
func (f *FUSE) readdir(slot int, node uint64) *message {
	args := encoder{}.u64(0).u64(0).u32(maxListing).u32(0).u64(0).u32(0).u32(0)
	m := f.ring.lay("readdir", layout{
		request: header(slot, fuseReaddir, node, len(args)).raw(args), requestCut: fuseIn,
		reply: fuseOut, payload: maxListing, fromServer: true,
	})
	var next uint64 // 0 again after the end: the next listing begins there
	m.before = func() { put64(m.request, inOff, next) }
	m.after = func(written uint32) bool {
		entries := m.payload[:written-fuseOut]
		again := len(entries) > 0
		next = 0
		for len(entries) > 0 { // ino, off, namelen, type, name, to a multiple of 8
			next = get64(entries, 8)
			entries = entries[(24+get32(entries, 16)+7)&^7:]
		}
		return again
	}
	return m
}

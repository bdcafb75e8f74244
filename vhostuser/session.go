// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
)

// numQueues is the number of queues of the device. crosvm takes the answer to GET_QUEUE_NUM
// as the number that there are.
const numQueues = 1

// session is the state of one connection, the property of one goroutine.
type session struct {
	dev   Device
	log   *slog.Logger
	stats *counters
	conn  *conn

	protocol ProtocolFeatures // acknowledged
	channel  int              // back-end channel; -1: none

	// What SET_OWNER resets.
	realized bool               // between Device.Realize and Device.Unrealize
	features virtqueue.Features // acknowledged
	mem      *virtqueue.Memory  // nil: no region
	dirty    *virtqueue.Log     // nil: none
	logFD    int                // SET_LOG_FD; -1: none
	rings    [numQueues]vring
	hinted   bool // that memory is not shared
}

func newSession(dev Device, log *slog.Logger, stats *counters, c *conn) *session {
	s := &session{dev: dev, log: log, stats: stats, conn: c, channel: -1, logFD: -1}
	for i := range s.rings {
		s.rings[i] = vring{s: s, index: i, kick: -1, call: -1, err: -1}
	}
	return s
}

// answer says how a request is answered.
type answer uint8

const (
	answerIfWanted answer = iota // u64 0 or 1, if need_reply is set and REPLY_ACK was negotiated
	answerAlways                 // u64 0 or 1
	answerOwn                    // a payload of its own, empty for an error
)

// row is what is known of a request.
type row struct {
	minSize, maxSize int // of the payload
	minFDs, maxFDs   int
	answer           answer
	// handle carries the request out, and returns the payload of an answerOwn. It takes
	// the fds that it keeps with takeFD. nil: the request is not supported.
	handle func(*session, *message) ([]byte, error)
}

var dispatch = [numRequests]row{
	RequestGetFeatures:         {answer: answerOwn, handle: (*session).getFeatures},
	RequestSetFeatures:         {minSize: 8, maxSize: 8, handle: (*session).setFeatures},
	RequestSetOwner:            {handle: (*session).setOwner},
	RequestResetOwner:          {handle: (*session).resetOwner},
	RequestSetMemTable:         {minSize: 8, maxSize: maxPayload, maxFDs: maxFDs, handle: (*session).setMemTable},
	RequestSetLogBase:          {minSize: 16, maxSize: 16, minFDs: 1, maxFDs: 1, answer: answerAlways, handle: (*session).setLogBase},
	RequestSetLogFD:            {maxSize: 8, minFDs: 1, maxFDs: 1, handle: (*session).setLogFD},
	RequestSetVringNum:         {minSize: vringStateSize, maxSize: vringStateSize, handle: (*session).setVringNum},
	RequestSetVringAddr:        {minSize: ringAddrSize, maxSize: ringAddrSize, handle: (*session).setVringAddr},
	RequestSetVringBase:        {minSize: vringStateSize, maxSize: vringStateSize, handle: (*session).setVringBase},
	RequestGetVringBase:        {minSize: vringStateSize, maxSize: vringStateSize, answer: answerOwn, handle: (*session).getVringBase},
	RequestSetVringKick:        {minSize: 8, maxSize: 8, maxFDs: 1, handle: (*session).setVringKick},
	RequestSetVringCall:        {minSize: 8, maxSize: 8, maxFDs: 1, handle: (*session).setVringCall},
	RequestSetVringErr:         {minSize: 8, maxSize: 8, maxFDs: 1, handle: (*session).setVringErr},
	RequestGetProtocolFeatures: {answer: answerOwn, handle: (*session).getProtocolFeatures},
	RequestSetProtocolFeatures: {minSize: 8, maxSize: 8, handle: (*session).setProtocolFeatures},
	RequestGetQueueNum:         {answer: answerOwn, handle: (*session).getQueueNum},
	RequestSetVringEnable:      {minSize: vringStateSize, maxSize: vringStateSize, handle: (*session).setVringEnable},
	RequestSetBackendReqFD:     {minFDs: 1, maxFDs: 1, handle: (*session).setBackendReqFD},
	RequestGetConfig:           {minSize: configHeaderSize, maxSize: configHeaderSize + maxConfigSize, answer: answerOwn, handle: (*session).getConfig},
	RequestSetConfig:           {minSize: configHeaderSize, maxSize: configHeaderSize + maxConfigSize, handle: (*session).setConfig},
	RequestResetDevice:         {handle: (*session).resetDevice},
	RequestGetMaxMemSlots:      {answer: answerOwn, handle: (*session).getMaxMemSlots},
	RequestAddMemReg:           {minSize: 8 + memRegionSize, maxSize: 8 + memRegionSize, minFDs: 1, maxFDs: 1, handle: (*session).addMemReg},
	// No fd should come with it; one is to be accepted and closed.
	RequestRemMemReg: {minSize: 8 + memRegionSize, maxSize: 8 + memRegionSize, maxFDs: 1, handle: (*session).remMemReg},

	// What is not offered, but whose sender would wait for an answer.
	RequestIOTLBMsg:            {answer: answerAlways},
	RequestCreateCryptoSession: {answer: answerOwn},
	RequestPostcopyAdvise:      {answer: answerOwn},
	RequestPostcopyEnd:         {answer: answerAlways},
	RequestGetInflightFD:       {answer: answerOwn},
	RequestGetStatus:           {answer: answerOwn},
	RequestGetSharedObject:     {answer: answerOwn},
	RequestSetDeviceStateFD:    {answer: answerAlways},
	RequestCheckDeviceState:    {answer: answerAlways},
}

var errUnsupported = errors.New("request is not supported")

// check checks what a row says of a message.
func (r *row) check(m *message) error {
	switch {
	case r.handle == nil:
		return errUnsupported
	case m.flags&flagReply != 0:
		return errors.New("reply bit set in a request")
	case len(m.payload) < r.minSize || len(m.payload) > r.maxSize:
		return fmt.Errorf("payload of %d bytes, not %d to %d", len(m.payload), r.minSize, r.maxSize)
	case m.badFDs:
		return errors.New("file descriptors lost or misplaced")
	case len(m.fds) < r.minFDs || len(m.fds) > r.maxFDs:
		return fmt.Errorf("%d file descriptors, not %d to %d", len(m.fds), r.minFDs, r.maxFDs)
	}
	return nil
}

// run serves the connection until it ends. It returns nil at its end of file and on a
// shutdown.
func (s *session) run() error {
	// A page of guest memory that is gone (a truncated file) is a panic then, and not the end
	// of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	err := s.serve()
	if errors.Is(err, errFraming) {
		s.stats.framingErrors.Add(1)
		s.log.Error("connection lost its framing, discarding what follows", "error", err)
		s.attempt(s.stopRings)
		err = s.discard()
	}
	reason := "disconnected"
	if errors.Is(err, errShutdown) {
		reason = "shutdown"
	}
	s.attempt(func() { s.end(reason) })
	closeFD(&s.channel)
	if errors.Is(err, io.EOF) || errors.Is(err, errShutdown) {
		err = nil
	}
	return err
}

// serve carries out requests until something else comes.
func (s *session) serve() error {
	var m message
	for {
		channelClosed, err := s.conn.wait(unix.POLLIN, s.channel)
		if err != nil {
			return err
		}
		if channelClosed {
			s.attempt(s.channelClosed)
			continue
		}
		if err = s.conn.receive(&m); err == nil {
			err = s.request(&m)
		}
		m.close()
		if err != nil {
			return err
		}
	}
}

// discard waits for the front end to hang up.
func (s *session) discard() error {
	for {
		channelClosed, err := s.conn.wait(unix.POLLIN, s.channel)
		if err != nil {
			return err
		}
		if channelClosed {
			s.attempt(s.channelClosed)
			continue
		}
		if err := s.conn.discard(); err != nil {
			return err
		}
	}
}

// request carries one request out and answers it. Its errors are the connection's.
func (s *session) request(m *message) error {
	r := &dispatch[0] // answered if wanted, not supported
	if m.request < numRequests {
		r = &dispatch[m.request]
	}
	s.stats.message(m.request)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("request", "request", m.request, "flags", m.flags, "size", m.size, "fds", len(m.fds))
	}
	protocol := s.protocol
	var reply []byte
	err := r.check(m)
	if err == nil {
		err = s.guard(func() (err error) {
			reply, err = r.handle(s, m)
			return err
		})
	}
	if err != nil {
		s.stats.nacks.Add(1)
		s.log.Warn("request refused", "request", m.request, "error", err)
	}

	protocol |= s.protocol
	if m.request == RequestSetProtocolFeatures && len(m.payload) == 8 {
		// UML wants an answer to the very message that acknowledges REPLY_ACK.
		protocol |= ProtocolFeatures(m.u64(0))
	}
	switch {
	case r.answer == answerOwn:
		if err != nil {
			reply = nil
		}
	case r.answer == answerAlways && (m.request != RequestSetLogBase || protocol.Has(ProtocolLogShmfd)),
		m.flags&flagNeedReply != 0 && protocol.Has(ProtocolReplyAck):
		reply = u64Payload(0)
		if err != nil {
			reply = u64Payload(1)
		}
	default:
		return nil
	}
	return s.conn.reply(m.request, reply)
}

// guard runs f, and makes an error of a panic: the front end, whose life hangs on this
// process, gets a refusal.
func (s *session) guard(f func() error) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		s.stats.panics.Add(1)
		if fault, ok := r.(runtime.Error); ok {
			if _, ok := fault.(interface{ Addr() uintptr }); ok {
				err = errors.New("page of shared memory is gone")
				return
			}
		}
		err = fmt.Errorf("panic: %v", r)
		s.log.Error("panic in a request", "panic", r, "stack", string(debug.Stack()))
	}()
	return f()
}

// attempt is guard for what nobody is told of.
func (s *session) attempt(f func()) {
	if err := s.guard(func() error { f(); return nil }); err != nil {
		s.log.Error("session could not be wound up", "error", err)
	}
}

// realize begins a session. It is also called when a ring is to run without a session:
// cloud-hypervisor does not repeat SET_OWNER when it activates a device again.
func (s *session) realize() {
	if !s.realized {
		s.realized = true
		s.log.Info("session begins")
		s.dev.Realize()
	}
}

// unrealize stops the rings and ends the session, if there is one.
func (s *session) unrealize(reason string) {
	s.stopRings()
	if s.realized {
		s.realized = false
		s.log.Info("session ends", "reason", reason)
		s.dev.Unrealize(reason)
	}
}

// end is unrealize, and drops all that belongs to a session.
func (s *session) end(reason string) {
	s.unrealize(reason)
	for i := range s.rings {
		s.rings[i].reset()
	}
	s.features, s.hinted = 0, false
	if s.mem != nil {
		s.mem.Unref()
		s.mem = nil
	}
	if s.dirty != nil {
		s.dirty.Unref()
		s.dirty = nil
	}
	closeFD(&s.logFD)
}

func (s *session) stopRings() {
	for i := range s.rings {
		s.rings[i].stop()
	}
}

// closeFD closes an fd that the session owns, if there is one.
func closeFD(fd *int) { replaceFD(fd, -1) }

// replaceFD takes the ownership of with, and closes what was there.
func replaceFD(fd *int, with int) {
	if *fd >= 0 {
		_ = unix.Close(*fd)
	}
	*fd = with
}

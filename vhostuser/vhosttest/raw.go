// SPDX-License-Identifier: Apache-2.0

package vhosttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
)

// Header flags.
const (
	FlagVersion   = 0x1
	FlagReply     = 0x4
	FlagNeedReply = 0x8
)

// Message is a message on the main socket.
type Message struct {
	Request vhostuser.Request
	Flags   uint32
	Payload []byte
	FDs     []int
}

// Bytes returns the message as it is sent, but for its fds.
func (m *Message) Bytes() []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(m.Request))
	b = binary.NativeEndian.AppendUint32(b, m.Flags)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(m.Payload)))
	return append(b, m.Payload...)
}

// SendRaw sends bytes with fds, which stay the caller's.
func (fe *FrontEnd) SendRaw(b []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := fe.conn.SetDeadline(time.Now().Add(fe.opts.Timeout)); err != nil {
		return err
	}
	n, _, err := fe.conn.WriteMsgUnix(b, oob, nil)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// Send sends a message, whatever it is.
func (fe *FrontEnd) Send(m Message) error {
	if fe.opts.Trace != nil {
		fe.opts.Trace(m)
	}
	return fe.SendRaw(m.Bytes(), m.FDs...)
}

// Receive reads the next message from the back end.
func (fe *FrontEnd) Receive() (Message, error) {
	if err := fe.conn.SetReadDeadline(time.Now().Add(fe.opts.Timeout)); err != nil {
		return Message{}, err
	}
	var hdr [12]byte
	if _, err := io.ReadFull(fe.conn, hdr[:]); err != nil {
		return Message{}, err
	}
	m := Message{Request: vhostuser.Request(binary.NativeEndian.Uint32(hdr[:])), Flags: binary.NativeEndian.Uint32(hdr[4:])}
	size := binary.NativeEndian.Uint32(hdr[8:])
	if size > 4096 {
		return m, fmt.Errorf("answer of %d bytes", size)
	}
	m.Payload = make([]byte, size)
	_, err := io.ReadFull(fe.conn, m.Payload)
	return m, err
}

// Silent reports whether nothing comes from the back end for a time.
func (fe *FrontEnd) Silent(d time.Duration) bool {
	if err := fe.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false
	}
	var b [1]byte
	_, err := fe.conn.Read(b[:])
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answer reads the answer to a request as strictly as QEMU does.
func (fe *FrontEnd) answer(r vhostuser.Request) ([]byte, error) {
	m, err := fe.Receive()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%v: %w", r, err)
	case m.Flags != FlagVersion|FlagReply:
		return nil, fmt.Errorf("%v: answer with flags %#x", r, m.Flags)
	case m.Request != r:
		return nil, fmt.Errorf("%v: answer to %v", r, m.Request)
	}
	return m.Payload, nil
}

// get sends a request that has an answer of its own, of size bytes.
func (fe *FrontEnd) get(r vhostuser.Request, payload []byte, size int) ([]byte, error) {
	if err := fe.Send(Message{Request: r, Flags: FlagVersion, Payload: payload}); err != nil {
		return nil, fmt.Errorf("%v: %w", r, err)
	}
	b, err := fe.answer(r)
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, &AckError{Request: r}
	case len(b) != size:
		return nil, fmt.Errorf("%v: answer of %d bytes, not %d", r, len(b), size)
	}
	return b, nil
}

func (fe *FrontEnd) getU64(r vhostuser.Request) (uint64, error) {
	b, err := fe.get(r, nil, 8)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint64(b), nil
}

// set sends a request that is acknowledged if that was negotiated and is wanted.
func (fe *FrontEnd) set(r vhostuser.Request, payload []byte, fds ...int) error {
	m := Message{Request: r, Flags: FlagVersion, Payload: payload, FDs: slices.DeleteFunc(slices.Clone(fds), func(fd int) bool { return fd < 0 })}
	ack := fe.Protocol.Has(vhostuser.ProtocolReplyAck) && fe.opts.NeedReply(r)
	if ack {
		m.Flags |= FlagNeedReply
	}
	if err := fe.Send(m); err != nil {
		return fmt.Errorf("%v: %w", r, err)
	}
	if !ack {
		return nil
	}
	return fe.Ack(r)
}

// Ack reads an acknowledgement.
func (fe *FrontEnd) Ack(r vhostuser.Request) error {
	b, err := fe.answer(r)
	switch {
	case err != nil:
		return err
	case len(b) == 0:
		return &AckError{Request: r}
	case len(b) != 8:
		return fmt.Errorf("%v: acknowledgement of %d bytes", r, len(b))
	}
	if v := binary.NativeEndian.Uint64(b); v != 0 {
		return &AckError{Request: r, Value: v}
	}
	return nil
}

func words(v ...uint64) []byte {
	var b []byte
	for _, w := range v {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

func halves(v ...uint32) []byte {
	var b []byte
	for _, w := range v {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

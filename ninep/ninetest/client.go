// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// ErrNoReply is what a request gets that the server gave back without a reply.
var ErrNoReply = errors.New("ninetest: request given back without a reply")

// Client sends requests and decodes replies. It may be used by several goroutines
// at once. Methods return a unix.Errno where the server answered Rlerror.
type Client struct {
	// Timeout is how long a reply may take. If not set, 10 s.
	Timeout time.Duration
	// Msize is what Version agreed to; before, 4096.
	Msize uint32

	t    Transport
	tags chan uint16
	fid  atomic.Uint32

	dialect atomic.Uint32
}

// firstFID is where NewFID begins, so that tests can use small numbers themselves.
const firstFID = 1000

// NewClient returns a client of the server at the other end of t.
func NewClient(t Transport) *Client {
	c := &Client{Msize: ninep.MinMsize, t: t, tags: make(chan uint16, 1024)}
	c.fid.Store(firstFID)
	for i := range cap(c.tags) {
		// Odd numbers of both halves of the range: a server that takes tags for
		// signed numbers fails.
		c.tags <- uint16(i*61 + 1)
	}
	return c
}

// Dialect returns what Version agreed to; before, none.
func (c *Client) Dialect() ninep.Dialect { return ninep.Dialect(c.dialect.Load()) }

// NewFID returns a number that was not returned before.
func (c *Client) NewFID() uint32 { return c.fid.Add(1) }

// Request is one that was sent.
type Request struct {
	Tag  uint16
	c    *Client
	d    ninep.Dialect
	wait func(context.Context) ([]byte, error)
}

// Start sends m and leaves waiting to Wait. The room for the reply is what the
// Linux client gives.
func (c *Client) Start(m ninep.Message) (*Request, error) {
	return c.StartSpace(m, c.replySpace(m))
}

// StartSpace is Start with room for a reply of space bytes.
func (c *Client) StartSpace(m ninep.Message, space int) (*Request, error) {
	tag := ninep.NoTag
	if m.Type() != ninep.MsgTversion {
		tag = <-c.tags
	}
	d := c.Dialect()
	req, err := d.AppendMessage(nil, tag, m)
	if err != nil {
		return nil, err
	}
	wait, err := c.t.Send(req, space)
	if err != nil {
		return nil, err
	}
	return &Request{Tag: tag, c: c, d: d, wait: wait}, nil
}

// Wait waits for the reply and decodes it to r. The tag is free again after.
func (q *Request) Wait(r ninep.Message) error {
	timeout := q.c.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	reply, err := q.wait(ctx)
	if err != nil {
		return err // and the server may still use the tag
	}
	if q.Tag != ninep.NoTag {
		q.c.tags <- q.Tag
	}
	if len(reply) == 0 {
		return ErrNoReply
	}
	tag, err := q.d.ParseMessage(reply, r)
	if tag != q.Tag {
		return fmt.Errorf("ninetest: reply with tag %#x to a request with tag %#x", tag, q.Tag)
	}
	return err
}

// Do sends m and decodes the reply to r.
func (c *Client) Do(m, r ninep.Message) error { return c.DoSpace(m, r, c.replySpace(m)) }

// DoSpace is Do with room for a reply of space bytes.
func (c *Client) DoSpace(m, r ninep.Message, space int) error {
	q, err := c.StartSpace(m, space)
	if err != nil {
		return err
	}
	return q.Wait(r)
}

// Raw sends bytes and returns those of the reply.
func (c *Client) Raw(req []byte, space int) ([]byte, error) {
	wait, err := c.t.Send(req, space)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return wait(ctx)
}

// replySpace is the room that the Linux client gives (p9_msg_buf_size): for an error
// at least, which has a text in other dialects than its own.
func (c *Client) replySpace(m ninep.Message) int {
	failure := 11
	if d := c.Dialect(); d == ninep.Dialect2000U || d == ninep.Dialect2000 {
		failure = 7 + 2 + 128 + 4
	}
	switch m := m.(type) {
	case *ninep.Twalk:
		return max(failure, 9+13*len(m.Names))
	case *ninep.Tread:
		return max(failure, 11+int(min(m.Count, 64<<20)))
	case *ninep.Treaddir:
		return max(failure, 11+int(min(m.Count, 64<<20)))
	case *ninep.Treadlink, *ninep.Tstat:
		return 8192
	}
	return 4096
}

// Version begins a session and notes the msize.
func (c *Client) Version(msize uint32, version string) (uint32, string, error) {
	var r ninep.Rversion
	err := c.Do(&ninep.Tversion{Msize: msize, Version: ninep.Name(version)}, &r)
	if err == nil {
		c.Msize = r.Msize
		agreed := ninep.DialectNone
		for d := ninep.Dialect2000L; d <= ninep.Dialect2000; d++ {
			if string(r.Version) == d.String() {
				agreed = d
			}
		}
		c.dialect.Store(uint32(agreed))
	}
	return r.Msize, string(r.Version), err
}

// Attach makes fid the root that aname selects, for the user uid.
func (c *Client) Attach(fid, uid uint32, aname string) (ninep.QID, error) {
	var r ninep.Rattach
	m := ninep.Tattach{FID: fid, AFID: ninep.NoFID, AName: ninep.Name(aname), NUName: uid}
	if c.Dialect() == ninep.Dialect2000 {
		m.UName = strconv.AppendUint(nil, uint64(uid), 10)
	}
	err := c.Do(&m, &r)
	return r.QID, err
}

// Flush asks for the end of the request under tag.
func (c *Client) Flush(tag uint16) error {
	return c.Do(&ninep.Tflush{OldTag: tag}, &ninep.Rflush{})
}

// Walk returns the QIDs of as many elements as could be walked; newfid exists only
// if those are all.
func (c *Client) Walk(fid, newfid uint32, names ...string) ([]ninep.QID, error) {
	m := ninep.Twalk{FID: fid, NewFID: newfid}
	for _, n := range names {
		m.Names = append(m.Names, ninep.Name(n))
	}
	r := ninep.Rwalk{QIDs: make([]ninep.QID, 0, len(names))}
	err := c.Do(&m, &r)
	return r.QIDs, err
}

// WalkTo walks to a new fid and returns it; a walk that ends early is ENOENT, as
// the Linux client has it.
func (c *Client) WalkTo(fid uint32, names ...string) (uint32, error) {
	newfid := c.NewFID()
	qids, err := c.Walk(fid, newfid, names...)
	if err == nil && len(qids) != len(names) {
		err = unix.ENOENT
	}
	return newfid, err
}

// Clunk forgets fid.
func (c *Client) Clunk(fid uint32) error {
	return c.Do(&ninep.Tclunk{FID: fid}, &ninep.Rclunk{})
}

// Remove removes fid's file and forgets fid.
func (c *Client) Remove(fid uint32) error {
	return c.Do(&ninep.Tremove{FID: fid}, &ninep.Rremove{})
}

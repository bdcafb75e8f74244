// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue/virtqtest"
)

const (
	patience = 10 * time.Second

	// Where the guest's messages are in its memory.
	requestAddr = 1 << 20
	replyAddr   = 2 << 20
	maxMessage  = 1 << 20

	rootFID = 1
	noUser  = ^uint32(0)
)

// guest is a front end with a driver, as the daemon sees a virtual machine: a connection to
// its socket, a ring, and a 9P client. It has one request at a time.
type guest struct {
	*vhosttest.FrontEnd
	*ninetest.Client
	t testing.TB
}

// connect plays a virtual machine that boots: up to a driver that is ready.
func connect(t testing.TB, socket string) *guest {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	return boot(t, c)
}

func boot(t testing.TB, c *net.UnixConn) *guest {
	t.Helper()
	return bootWith(t, c, vhosttest.Options{NeedReply: vhosttest.NeedReplyQEMU})
}

func bootWith(t testing.TB, c *net.UnixConn, opts vhosttest.Options) *guest {
	t.Helper()
	g := &guest{FrontEnd: vhosttest.New(t, c, opts), t: t}
	g.Client = ninetest.NewClient(ninetest.RoundTripFunc(g.roundTrip))
	if err := g.Setup(); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guest) roundTrip(_ context.Context, req []byte, space int) ([]byte, error) {
	copy(g.Driver.Bytes(requestAddr, maxMessage), req)
	g.Driver.Add(
		[]virtqtest.Buf{{Addr: requestAddr, Len: uint32(len(req))}},
		[]virtqtest.Buf{{Addr: replyAddr, Len: uint32(space)}})
	if g.Driver.NeedKick() {
		g.Kick()
	}
	for {
		if _, n, ok := g.Driver.Take(); ok {
			return append([]byte(nil), g.Driver.Bytes(replyAddr, int(n))...), nil
		}
		if !g.Driver.EnableInterrupts() && !g.WaitCall(patience) {
			return nil, errors.New("no reply")
		}
	}
}

// mount agrees on a version and attaches the root as rootFID, whose QID it returns.
func (g *guest) mount() ninep.QID {
	g.t.Helper()
	if _, version, err := g.Version(512000, "9P2000.L"); err != nil || version != "9P2000.L" {
		g.t.Fatalf("version: %q, %v", version, err)
	}
	qid, err := g.Attach(rootFID, noUser, "")
	if err != nil {
		g.t.Fatalf("attach: %v", err)
	}
	return qid
}

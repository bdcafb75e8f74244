// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
)

// TestConnections serves front ends one after the other, and sends a second one away while the
// first is there.
func TestConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	defer func() { _ = l.Close() }()
	dev := newFake()
	srv := vhostuser.NewServer(dev, vhostuser.Config{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), l) }()
	connect := func() *vhosttest.FrontEnd {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
		must(t, err)
		return vhosttest.New(t, c, vhosttest.Options{})
	}

	for range 3 {
		fe := connect()
		must(t, fe.Setup())
		echo(t, fe, "hello")
		fe.Close()
	}
	first := connect()
	must(t, first.Setup())
	second := connect()
	if _, err := second.GetFeatures(); err == nil {
		t.Error("second front end is served")
	}
	echo(t, first, "undisturbed")

	// A guest that reboots under UML: the old connection is closed, but has not been wound up when
	// the new one comes.
	dev.hold.Lock()
	before := dev.popped.Load()
	send(first, "held", outAddr, inAddr)
	dev.waitPopped(t, before+1)
	first.Close()
	third := connect()
	time.AfterFunc(20*time.Millisecond, dev.hold.Unlock)
	must(t, third.Setup())

	st := srv.Stats()
	if st.Connections != 5 || st.Refused != 1 || !st.Connected || st.Messages[vhostuser.RequestSetOwner] != 5 {
		t.Errorf("stats %+v", st)
	}
	dev.take()
	must(t, srv.Close())
	must(t, srv.Close())
	must(t, <-served)
	wantEvents(t, dev, "stop 0", "unrealize: shutdown")
	if _, err := third.GetFeatures(); err == nil {
		t.Error("served after Close")
	}
	if srv.Stats().Connected {
		t.Error("connected after Close")
	}
	must(t, srv.Serve(context.Background(), l)) // closed: returns at once
}

// TestShutdown drains the ring before the device is told.
func TestShutdown(t *testing.T) {
	dev := newFake()
	dev.hold.Lock()
	front, back := vhosttest.Pair(t)
	fe := vhosttest.New(t, front, vhosttest.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- vhostuser.NewServer(dev, vhostuser.Config{}).ServeConn(ctx, back) }()
	must(t, fe.Setup())
	send(fe, "held", outAddr, inAddr)
	dev.waitPopped(t, 1)
	cancel()
	select {
	case err := <-done:
		t.Fatalf("ended with a chain in flight: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	dev.hold.Unlock()
	must(t, <-done)
	receive(t, fe, "held", inAddr)
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "unrealize: shutdown")
}

// TestDrain: what ends the use of guest memory is answered only when the chains that were taken
// have been given back.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(fe *vhosttest.FrontEnd) error
	}{
		{"get_vring_base", func(fe *vhosttest.FrontEnd) error { _, err := fe.GetVringBase(0); return err }},
		{"vring_enable_0", func(fe *vhosttest.FrontEnd) error { return fe.SetVringEnable(0, false) }},
		{"rem_mem_reg", func(fe *vhosttest.FrontEnd) error { return fe.RemMemReg(fe.Memory.Regions[1]) }},
		{"set_mem_table", func(fe *vhosttest.FrontEnd) error { return fe.SetMemTable(fe.Memory.Regions[0]) }},
		{"set_owner", func(fe *vhosttest.FrontEnd) error { return fe.SetOwner() }},
		{"reset_device", func(fe *vhosttest.FrontEnd) error { return fe.ResetDevice() }},
		{"reset_owner", func(fe *vhosttest.FrontEnd) error { return fe.ResetOwner() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := newFake()
			dev.hold.Lock()
			fe := vhosttest.Start(t, dev, vhosttest.Options{})
			must(t, fe.Setup())
			send(fe, "held", outAddr, inAddr)
			dev.waitPopped(t, 1)
			done := make(chan error, 1)
			go func() { done <- c.stop(fe) }()
			select {
			case err := <-done:
				t.Fatalf("answered with a chain in flight: %v", err)
			case <-time.After(20 * time.Millisecond):
			}
			dev.hold.Unlock()
			must(t, <-done)
			if _, _, ok := fe.Driver.Take(); !ok {
				t.Error("answered before the chain was given back")
			}
		})
	}
}

// TestListenerGone: the front end that is served does not suffer.
func TestListenerGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- vhostuser.NewServer(newFake(), vhostuser.Config{}).Serve(context.Background(), l) }()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
	must(t, err)
	fe := vhosttest.New(t, c, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, l.Close())
	echo(t, fe, "undisturbed")
	select {
	case err := <-served:
		t.Fatalf("ended: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	fe.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestWaitInLine: a second ServeConn waits for the end of the first, and for its own.
func TestWaitInLine(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	front, back := vhosttest.Pair(t)
	second := vhosttest.New(t, front, vhosttest.Options{Timeout: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fe.Server.ServeConn(ctx, back) }()
	if _, err := second.GetFeatures(); err == nil {
		t.Error("two are served at once")
	}
	cancel()
	must(t, <-done)
	echo(t, fe, "undisturbed")
}

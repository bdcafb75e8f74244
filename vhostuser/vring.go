// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"errors"
	"fmt"

	"vhost-user-9p/virtqueue"
)

// vring is one ring: what the front end said of it, and the Queue while it runs.
//
// It runs while it is wanted and has memory. It is wanted from the time that it has been
// kicked off (SET_VRING_KICK), is enabled, and has a size and an address.
type vring struct {
	s     *session
	index int

	size    int      // SET_VRING_NUM; 0: not set
	addr    ringAddr // SET_VRING_ADDR
	hasAddr bool
	base    uint32 // where it goes on: SET_VRING_BASE, or where it was stopped
	started bool   // SET_VRING_KICK came
	enabled bool   // SET_VRING_ENABLE

	kick, call, err int // owned; -1: none

	queue *virtqueue.Queue // nil: not running
}

func (v *vring) wanted() bool {
	enabled := v.enabled || !v.s.features.Has(virtqueue.FeatureProtocol)
	return v.started && enabled && v.size != 0 && v.hasAddr
}

var errNoMemory = errors.New("no memory region")

// newQueue makes a queue of what is known of the ring, with base as where it goes on.
func (v *vring) newQueue(base uint32) (*virtqueue.Queue, error) {
	if v.s.mem == nil {
		return nil, errNoMemory
	}
	return virtqueue.NewQueue(v.s.mem, virtqueue.Config{
		Size:        v.size,
		Features:    v.s.features,
		DescAddr:    v.addr.desc,
		AvailAddr:   v.addr.avail,
		UsedAddr:    v.addr.used,
		Base:        base,
		LogUsed:     v.addr.flags&ringAddrLog != 0,
		UsedLogAddr: v.addr.log,
	})
}

// update starts the ring if it is wanted and does not run.
func (v *vring) update() error {
	if v.queue != nil || !v.wanted() {
		return nil
	}
	q, err := v.newQueue(v.base)
	if err == nil {
		if err = q.SetKick(v.kick); err != nil {
			_ = q.Close()
		}
	}
	if err != nil {
		v.s.stats.ringFailures.Add(1)
		return fmt.Errorf("ring %d cannot run: %w", v.index, err)
	}
	v.s.realize()
	q.SetErr(v.err)
	q.SetLog(v.s.activeLog())
	q.SetCall(v.call)
	v.queue = q
	v.s.stats.ringStarts.Add(1)
	v.s.log.Debug("ring starts", "ring", v.index, "size", v.size, "next_avail", q.NextAvail(), "features", v.s.features)
	v.s.dev.Start(v.index, q)
	return nil
}

// start is update for requests that configure the ring: what fails is told by the error fd as
// well. The ring keeps its configuration, and can be given another.
func (v *vring) start() error {
	err := v.update()
	if err != nil {
		v.signalErr()
		if errors.Is(err, errNoMemory) {
			v.s.hint()
		}
	}
	return err
}

// stop drains the ring, if it runs: when it returns all that was taken has been given back,
// and nobody touches guest memory for this ring any more.
func (v *vring) stop() {
	q := v.queue
	if q == nil {
		return
	}
	v.s.dev.Stop(v.index)
	v.queue = nil
	v.base = q.Base()
	if err := q.Close(); err != nil {
		v.s.log.Error("closing a ring failed", "ring", v.index, "error", err)
	}
	v.s.log.Debug("ring stops", "ring", v.index, "next_avail", q.NextAvail())
}

// halt stops the ring until it is kicked off again. Its error fd stays: QEMU sends that once,
// when the device is realized.
func (v *vring) halt() {
	v.stop()
	v.started = false
	closeFD(&v.kick)
	closeFD(&v.call)
}

// reset forgets all that the front end said of the ring.
func (v *vring) reset() {
	v.halt()
	closeFD(&v.err)
	*v = vring{s: v.s, index: v.index, kick: -1, call: -1, err: -1}
}

// signalErr tells the front end that the ring does not work.
func (v *vring) signalErr() {
	virtqueue.Signal(v.err)
}

func (s *session) running() bool {
	for i := range s.rings {
		if s.rings[i].queue != nil {
			return true
		}
	}
	return false
}

// updateRings starts the rings that are wanted and do not run.
func (s *session) updateRings() error {
	var errs []error
	for i := range s.rings {
		errs = append(errs, s.rings[i].start())
	}
	return errors.Join(errs...)
}

// SPDX-License-Identifier: Apache-2.0

package vhosttest

import (
	"errors"
	"fmt"
	"slices"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// NeedReplyQEMU is what QEMU 11 asks an acknowledgement for.
func NeedReplyQEMU(r vhostuser.Request) bool {
	return slices.Contains([]vhostuser.Request{
		vhostuser.RequestSetBackendReqFD,
		vhostuser.RequestSetVringCall, vhostuser.RequestSetVringErr, vhostuser.RequestSetVringKick,
		vhostuser.RequestSetVringEnable,
		vhostuser.RequestSetMemTable, vhostuser.RequestAddMemReg, vhostuser.RequestRemMemReg,
	}, r)
}

// uml is the protocol features that UML knows.
const uml = vhostuser.ProtocolReplyAck | vhostuser.ProtocolBackendReq | vhostuser.ProtocolConfig

// Setup performs QEMU's order: Realize, and StartDriver at 0.
func (fe *FrontEnd) Setup() error {
	if err := fe.Realize(); err != nil {
		return err
	}
	return fe.StartDriver(0)
}

// Realize is what QEMU does when the device is made, without memory or ring.
func (fe *FrontEnd) Realize() error {
	err := fe.negotiate(^vhostuser.ProtocolFeatures(0), func() error {
		if fe.Protocol.Has(vhostuser.ProtocolMQ) {
			if _, err := fe.GetQueueNum(); err != nil {
				return err
			}
		}
		if fe.Protocol.Has(vhostuser.ProtocolConfigureMemSlots) {
			if _, err := fe.GetMaxMemSlots(); err != nil {
				return err
			}
		}
		if err := fe.openChannel(); err != nil {
			return err
		}
		return fe.SetOwner()
	})
	if err != nil {
		return err
	}
	if _, err := fe.GetFeatures(); err != nil {
		return err
	}
	closePair(&fe.call)
	fe.call = fe.event(0, fe.opts.SocketCall)
	if err := fe.SetVringCall(fe.opts.Queue, fe.call[1]); err != nil {
		return err
	}
	closePair(&fe.err)
	fe.err = fe.event(0, fe.opts.SocketCall)
	return fe.SetVringErr(fe.opts.Queue, fe.err[1])
}

// negotiate asks for the features and acknowledges protocol features, of those in known; then
// comes what the front end does next.
func (fe *FrontEnd) negotiate(known vhostuser.ProtocolFeatures, next func() error) error {
	var err error
	if fe.Offered, err = fe.GetFeatures(); err != nil {
		return err
	}
	fe.Features = fe.Offered &^ virtqueue.FeatureLogAll
	if fe.opts.Features != 0 {
		fe.Features = fe.Offered & fe.opts.Features
	}
	if !fe.opts.Packed {
		fe.Features &^= virtqueue.FeatureRingPacked
	}
	if !fe.Offered.Has(virtqueue.FeatureProtocol) {
		return next()
	}
	fe.Features |= virtqueue.FeatureProtocol
	offered, err := fe.GetProtocolFeatures()
	if err != nil {
		return err
	}
	ack := offered & known
	if fe.opts.ProtocolFeatures != 0 {
		ack &= fe.opts.ProtocolFeatures
	}
	if err := fe.SetProtocolFeatures(ack); err != nil {
		return err
	}
	return next()
}

func (fe *FrontEnd) openChannel() error {
	if !fe.Protocol.Has(vhostuser.ProtocolBackendReq) {
		return nil
	}
	fe.CloseChannel()
	fe.channel = fe.event(0, true)
	if err := fe.SetBackendReqFD(fe.channel[1]); err != nil {
		return err
	}
	// The back end's copy must be the only one, or it would not see that ours is closed.
	sent := [2]int{fe.channel[1], -1}
	fe.channel[1] = -1
	closePair(&sent)
	return nil
}

// StartDriver is what QEMU does when the guest's driver is ready (DRIVER_OK), or goes on. Base 0
// is a new driver, with an empty ring.
func (fe *FrontEnd) StartDriver(base uint32) error {
	if base == 0 {
		fe.NewDriver()
		base = fe.Driver.Base() // of a packed ring: the wrap counters are 1
	}
	if err := fe.SetFeatures(fe.Features); err != nil {
		return err
	}
	if err := fe.ShareMemory(); err != nil {
		return err
	}
	return fe.StartRing(base)
}

// NewDriver empties the ring and makes a new Driver for it, on the first region.
func (fe *FrontEnd) NewDriver() {
	r := fe.Memory.Regions[0]
	layoutAt := virtqtest.LayoutAt
	if fe.Features.Has(virtqueue.FeatureRingPacked) {
		layoutAt = virtqtest.PackedLayoutAt
	}
	fe.Layout, _ = layoutAt(fe.Layout.Desc, fe.Layout.Size)
	fe.Driver = virtqtest.New(r.Bytes, r.GuestAddr, fe.Layout, fe.Features.Has(virtqueue.FeatureEventIdx))
}

// ShareMemory sends all regions, by whichever messages were negotiated.
func (fe *FrontEnd) ShareMemory() error {
	if !fe.Protocol.Has(vhostuser.ProtocolConfigureMemSlots) {
		return fe.SetMemTable(fe.Memory.Regions...)
	}
	for _, r := range fe.Memory.Regions {
		if r.shared {
			continue // QEMU sends what has changed
		}
		if err := fe.AddMemReg(r); err != nil {
			return err
		}
		r.shared = true
	}
	return nil
}

// StartRing sets the ring up and starts it, in QEMU's order. Its kick eventfd has a kick in it
// from the beginning.
func (fe *FrontEnd) StartRing(base uint32) error {
	fe.closeRingFDs()
	fe.kick = fe.event(1, false)[0]
	fe.call = fe.event(0, fe.opts.SocketCall)
	steps := []func() error{
		func() error { return fe.SetVringNum(fe.opts.Queue, uint32(fe.opts.RingSize)) },
		func() error { return fe.SetVringBase(fe.opts.Queue, base) },
		func() error { return fe.SetVringAddr(fe.RingAddr()) },
		func() error { return fe.SetVringKick(fe.opts.Queue, fe.kick) },
		func() error { return fe.SetVringCall(fe.opts.Queue, fe.call[1]) },
	}
	if fe.Features.Has(virtqueue.FeatureProtocol) {
		steps = append(steps, func() error { return fe.SetVringEnable(fe.opts.Queue, true) })
	}
	steps = append(steps, func() error { return fe.SetVringCall(fe.opts.Queue, fe.call[1]) })
	return inOrder(steps...)
}

func inOrder(steps ...func() error) error {
	for _, f := range steps {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// StopDriver is what QEMU does when the guest resets the device or is stopped. It returns the
// ring's position, with which StartDriver goes on.
func (fe *FrontEnd) StopDriver() (base uint32, err error) {
	if fe.Features.Has(virtqueue.FeatureProtocol) {
		if err := fe.SetVringEnable(fe.opts.Queue, false); err != nil {
			return 0, err
		}
	}
	return fe.GetVringBase(fe.opts.Queue)
}

// Reboot is a guest that starts anew: StopDriver, and StartDriver with an empty ring.
func (fe *FrontEnd) Reboot() error {
	if _, err := fe.StopDriver(); err != nil {
		return err
	}
	return fe.StartDriver(0)
}

// Unplug is device_del: the driver is stopped and the back-end channel closed, while the main
// socket stays open. A Realize may follow.
func (fe *FrontEnd) Unplug() error {
	if _, err := fe.StopDriver(); err != nil {
		return err
	}
	fe.CloseChannel()
	for _, r := range fe.Memory.Regions {
		r.shared = false
	}
	return nil
}

// SetupUML performs the order of User Mode Linux 7.3 up to the probe of the device, whose
// configuration space has tagLen bytes behind its length.
func (fe *FrontEnd) SetupUML(tagLen int) error {
	if err := fe.SetOwner(); err != nil {
		return err
	}
	if err := fe.negotiate(uml, fe.openChannel); err != nil {
		return err
	}
	if _, err := fe.GetQueueNum(); err != nil {
		return err
	}
	fe.NewDriver()
	fe.kick = fe.event(0, false)[0]
	fe.call = fe.event(0, true)
	addr := fe.RingAddr()
	addr.Log = ^uint64(0)
	err := inOrder(
		func() error { return fe.SetFeatures(fe.Features) },
		func() error { return fe.SetMemTable(fe.Memory.Regions...) },
		func() error { return fe.SetVringCall(fe.opts.Queue, fe.call[1]) },
		func() error { return fe.SetVringNum(fe.opts.Queue, uint32(fe.opts.RingSize)) },
		func() error { return fe.SetVringBase(fe.opts.Queue, 0) },
		func() error { return fe.SetVringAddr(addr) },
		func() error { return fe.SetVringKick(fe.opts.Queue, fe.kick) },
		func() error { return fe.SetVringEnable(fe.opts.Queue, true) },
	)
	if err != nil {
		return err
	}
	for n := 2; n <= 2+tagLen; n++ {
		if _, err := fe.GetConfig(0, uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

// StopUML is how User Mode Linux stops a ring: it has no GET_VRING_BASE.
func (fe *FrontEnd) StopUML() error {
	if err := fe.SetVringEnable(fe.opts.Queue, false); err != nil {
		return err
	}
	_, err := fe.GetFeatures()
	return err
}

// Refused returns nil if err is a refusal by the back end, else an error that says what it is.
// Tests use it for messages that must be refused.
func Refused(err error) error {
	var refused *AckError
	switch {
	case errors.As(err, &refused):
		return nil
	case err == nil:
		return errors.New("was not refused")
	}
	return fmt.Errorf("was not refused, but failed: %w", err)
}

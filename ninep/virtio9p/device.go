// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"vhost-user-9p/ninep"
	"vhost-user-9p/virtqueue"
)

// FeatureMountTag says that the configuration space holds a mount tag; without it the
// Linux driver refuses the device.
const FeatureMountTag virtqueue.Features = 1 << 0 // VIRTIO_9P_MOUNT_TAG

// MaxTagLen is the longest mount tag in bytes: QEMU's generic device has 256 bytes of
// configuration space, two of which hold the length.
const MaxTagLen = 254

// SpareProcs is how many processors Go should be told of (runtime.GOMAXPROCS) besides one for each
// request that is executed at a time (Config.Running). Go lets as many threads run its code,
// those included that have just entered a system call. The spare ones are for the worker that
// waits for requests, for the thread that watches the others, for the workers that wait for
// the disk, and for whatever else there is to do. If none is left over, each call that takes
// long is looked after by a thread that is woken for it.
const SpareProcs = 8

// Config says how to serve the device.
type Config struct {
	// Tag is the mount tag, by which the guest names the share. 1 to MaxTagLen bytes.
	Tag string

	// Session answers the messages. Not nil.
	Session *ninep.Session

	// Realized is called when a front end takes the device, Unrealized when it has
	// given it up, Suspended when it has stopped the queue: what must outlive the
	// session is loaded in the first and made durable in the others. Each may be nil.
	Realized   func()
	Unrealized func(reason string)
	Suspended  func()

	// Running is the number of workers that execute at a time, those that block not
	// counted. If 0, the number of processors Go may use.
	Running int

	// MaxThreads bounds the worker threads of the queue, those that block included.
	// If 0, 256. It is never more than the ring has entries.
	MaxThreads int

	// Poll is the longest time for which a worker looks at the ring, after it was empty,
	// before it waits for the driver's kick. 0: not at all.
	Poll time.Duration

	// Packed offers packed virtqueues (VIRTIO_F_RING_PACKED). A driver that does not know
	// them goes on with a split one.
	Packed bool

	// Logger gets what an operator should know. If nil, nothing is logged.
	Logger *slog.Logger
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Session == nil:
		return errors.New("virtio9p: no session")
	case c.Tag == "":
		return errors.New("the mount tag is empty")
	case len(c.Tag) > MaxTagLen:
		return fmt.Errorf("the mount tag has %d bytes, at most %d are possible", len(c.Tag), MaxTagLen)
	case c.Running < 0 || c.MaxThreads < 0:
		return errors.New("virtio9p: negative number of threads")
	case c.Poll < 0:
		return errors.New("virtio9p: negative time to poll")
	}
	return nil
}

// Device is a virtio-9p device. It implements vhostuser.Device.
type Device struct {
	cfg   Config
	log   *slog.Logger
	space []byte // configuration space: le16 tag_len, tag
	stats Stats

	lastBad int64 // when a bad chain was last logged; of who takes chains

	mu      sync.Mutex
	service *service // nil: the queue is stopped
}

// New returns a device.
func New(cfg Config) (*Device, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Running == 0 {
		cfg.Running = runtime.GOMAXPROCS(0)
	}
	if cfg.MaxThreads == 0 {
		cfg.MaxThreads = 256
	}
	d := &Device{cfg: cfg, log: cfg.Logger}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.space = binary.LittleEndian.AppendUint16(nil, uint16(len(cfg.Tag)))
	d.space = append(d.space, cfg.Tag...)
	return d, nil
}

// Features implements vhostuser.Device.
func (d *Device) Features() virtqueue.Features {
	f := FeatureMountTag | virtqueue.FeatureIndirectDesc | virtqueue.FeatureEventIdx | virtqueue.FeatureVersion1
	if d.cfg.Packed {
		f |= virtqueue.FeatureRingPacked
	}
	return f
}

// ReadConfig implements vhostuser.Device.
func (d *Device) ReadConfig(p []byte, offset uint32) {
	clear(p)
	if uint64(offset) < uint64(len(d.space)) {
		copy(p, d.space[offset:])
	}
}

// Realize implements vhostuser.Device.
func (d *Device) Realize() {
	d.cfg.Session.Reset()
	if d.cfg.Realized != nil {
		d.cfg.Realized()
	}
}

// Unrealize implements vhostuser.Device.
func (d *Device) Unrealize(reason string) {
	d.cfg.Session.Reset()
	if d.cfg.Unrealized != nil {
		d.cfg.Unrealized(reason)
	}
}

// Reset implements vhostuser.Device.
func (d *Device) Reset() { d.cfg.Session.Reset() }

// Start implements vhostuser.Device.
func (d *Device) Start(_ int, q *virtqueue.Queue) {
	s := newService(d, q)
	d.mu.Lock()
	d.service = s
	d.mu.Unlock()
	d.log.Info("queue started", "layout", q.Layout(), "ring_size", q.Size(), "next_avail", q.NextAvail())
	s.start()
}

// Stop implements vhostuser.Device.
func (d *Device) Stop(int) {
	d.mu.Lock()
	s := d.service
	d.service = nil
	d.mu.Unlock()
	if s == nil {
		return
	}
	s.stop()
	d.log.Info("queue stopped", "next_avail", s.q.NextAvail())
}

// Suspended implements vhostuser.Device.
func (d *Device) Suspended(int) {
	if d.cfg.Suspended != nil {
		d.cfg.Suspended()
	}
}

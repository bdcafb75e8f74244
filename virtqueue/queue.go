// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// MaxSize is the largest number of entries of a ring.
const MaxSize = 32768

// ErrBroken is what Pop returns for a queue that cannot be trusted any more. Break says why.
var ErrBroken = errors.New("virtqueue is broken")

// Config says where a ring lies and what was negotiated for it. It is packed if
// FeatureRingPacked is among the features, else split.
type Config struct {
	Size     int      // entries, 1 to MaxSize; of a split ring a power of two
	Features Features // acknowledged by the driver

	// Addresses in the front end's address space: of the descriptor table, the available
	// ring and the used ring, 16-, 2- and 4-aligned; in a packed ring of the descriptor
	// ring, the driver area and the device area, 16-, 4- and 4-aligned.
	DescAddr, AvailAddr, UsedAddr uint64

	// Where the ring goes on, as SET_VRING_BASE has it: the index of the next chain to take;
	// in a packed ring the places of the next descriptor to take (bits 0-14 index, bit 15
	// wrap counter) and of the next to use (bits 16-30 and 31).
	Base uint32

	// If set, writes to the used ring are logged at this guest-physical address
	// (VHOST_VRING_F_LOG). In a packed ring that is the device area, and the used
	// descriptors are logged as well.
	LogUsed     bool
	UsedLogAddr uint64
}

// Validate checks what can be checked without the memory.
func (c *Config) Validate() error {
	if c.Features.Has(FeatureRingPacked) {
		return c.validatePacked()
	}
	switch {
	case c.Size < 1 || c.Size > MaxSize || c.Size&(c.Size-1) != 0:
		return fmt.Errorf("ring size %d is not a power of two from 1 to %d", c.Size, MaxSize)
	case c.DescAddr%16 != 0:
		return fmt.Errorf("descriptor table at %#x is not aligned to 16 bytes", c.DescAddr)
	case c.AvailAddr%2 != 0:
		return fmt.Errorf("available ring at %#x is not aligned to 2 bytes", c.AvailAddr)
	case c.UsedAddr%4 != 0:
		return fmt.Errorf("used ring at %#x is not aligned to 4 bytes", c.UsedAddr)
	case c.Base > math.MaxUint16:
		return fmt.Errorf("ring index %d out of range", c.Base)
	}
	return nil
}

// Layout of the available ring: le16 flags, le16 idx, le16 ring[size], le16 used_event;
// of the used ring: le16 flags, le16 idx, {le32 id, le32 len} ring[size], le16 avail_event.
const (
	availFlags = 0
	availIdx   = 2
	availRing  = 4
	usedFlags  = 0
	usedRing   = 4

	availNoInterrupt = 1 // VIRTQ_AVAIL_F_NO_INTERRUPT
	usedNoNotify     = 1 // VIRTQ_USED_F_NO_NOTIFY
)

// Queue is the device side of a virtqueue, split or packed. Which one is looked at once in
// each call, not for each descriptor.
//
// What is called with the queue locked says so. Everything else may be called by any thread, and
// locks it where needed.
type Queue struct {
	lock sync.Locker // see SetLock

	packed *packedRing // nil: the ring is split

	size, mask  uint16
	eventIdx    bool
	desc        descTable
	avail, used shared

	waiter *waiter
	broken atomic.Bool

	// Under lock.
	memory      *Memory
	log         *Log
	nextAvail   uint16
	availSeen   uint16 // avail.idx as last read
	chains      uint64 // taken by Pop, bad ones not included
	walker      walker
	usedIdx     uint16
	signalled   uint16 // usedIdx when the driver was last told
	everSignal  bool   // signalled means something
	noNotify    bool   // used.flags as we last wrote it
	errFd       notifier
	logUsed     bool
	usedLogAddr uint64

	callMu sync.RWMutex
	call   notifier

	onBad  func(head uint16, err error)
	onDead func(err error)

	stats Stats
}

// Stats counts what happened on a queue.
type Stats struct {
	BadChains  atomic.Uint64 // given back with length 0 because they were malformed
	Kicks      atomic.Uint64 // returns of Wait because of the kick fd
	Interrupts atomic.Uint64 // notifications of the driver
}

// NewQueue sets up a ring in mem: it checks that each part lies in one region, and takes
// over the used index that stands there. The Queue holds a reference on mem until Close.
func NewQueue(mem *Memory, cfg Config) (q *Queue, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	defer func() {
		if v := recover(); v != nil {
			q, err = nil, fault(v)
		}
	}()
	q = &Queue{
		lock:        new(sync.Mutex),
		size:        uint16(cfg.Size), // 32768 fits
		eventIdx:    cfg.Features.Has(FeatureEventIdx),
		walker:      walker{indirect: cfg.Features.Has(FeatureIndirectDesc)},
		call:        notifier{fd: -1},
		errFd:       notifier{fd: -1},
		logUsed:     cfg.LogUsed,
		usedLogAddr: cfg.UsedLogAddr,
	}
	if cfg.Features.Has(FeatureRingPacked) {
		q.packed, err = newPackedRing(mem, &cfg)
	} else {
		err = q.setUpSplit(mem, &cfg)
	}
	if err != nil {
		return nil, err
	}
	// After the first look at shared memory: a fault there leaves nothing behind.
	if q.waiter, err = newWaiter(); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	mem.Ref()
	q.memory = mem
	return q, nil
}

func (q *Queue) setUpSplit(mem *Memory, cfg *Config) (err error) {
	size := uint64(cfg.Size)
	desc, err := mem.part("descriptor table", cfg.DescAddr, descSize*size, descAlign)
	if err != nil {
		return err
	}
	q.desc = desc.descTable()
	event := uint64(0)
	if q.eventIdx {
		event = 2
	}
	if q.avail, err = mem.part("available ring", cfg.AvailAddr, availRing+2*size+event, 2); err != nil {
		return err
	}
	if q.used, err = mem.part("used ring", cfg.UsedAddr, usedRing+8*size+event, 4); err != nil {
		return err
	}
	q.mask = q.size - 1
	q.nextAvail = uint16(cfg.Base)
	q.availSeen = q.nextAvail
	word := q.used.load32(usedFlags)
	q.usedIdx = uint16(word >> 16)
	// 2.7.10.2: with the event index the flags are 0, whatever a device before us left.
	q.noNotify = word&usedNoNotify != 0 && !q.eventIdx
	return nil
}

// part returns a part of a ring, which must lie in one region.
func (m *Memory) part(name string, addr, n uint64, align uintptr) (shared, error) {
	b, err := m.user(addr, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// Front-end addresses are aligned; ours are as well, unless a region's offset is odd.
	if !shared(b).aligned(align) {
		return nil, fmt.Errorf("memory region maps the %s at an unaligned address", name)
	}
	return b, nil
}

// Close releases the queue's memory. The device has stopped using it. Further calls do
// nothing.
func (q *Queue) Close() error {
	q.waiter.close()
	q.SetLog(nil)
	q.Lock()
	m := q.memory
	q.memory = nil
	q.Unlock()
	if m != nil {
		m.Unref()
	}
	return nil
}

// SetLock makes the queue's lock that of the device, which has more to order by it than the ring.
// It is called before service begins.
func (q *Queue) SetLock(l sync.Locker) { q.lock = l }

// Lock locks the queue.
func (q *Queue) Lock() { q.lock.Lock() }

// Unlock undoes Lock.
func (q *Queue) Unlock() { q.lock.Unlock() }

// OnTrouble sets functions that are told of malformed chains and of the queue's end, before
// service begins. They run on the thread that found it.
func (q *Queue) OnTrouble(bad func(head uint16, err error), dead func(err error)) {
	q.onBad, q.onDead = bad, dead
}

// Size returns the number of entries of the ring.
func (q *Queue) Size() int { return int(q.size) }

// Stats returns the queue's counters.
func (q *Queue) Stats() *Stats { return &q.stats }

// Chains returns how many chains Pop has taken, bad ones not included. The queue is locked.
func (q *Queue) Chains() uint64 { return q.chains }

// Layout returns "packed" or "split".
func (q *Queue) Layout() string {
	if q.packed != nil {
		return "packed"
	}
	return "split"
}

// NextAvail returns the index of the next chain that Pop would take, in a packed ring that of
// its first descriptor. It is valid when the device has stopped.
func (q *Queue) NextAvail() uint16 {
	if q.packed != nil {
		return q.packed.nextIndex()
	}
	return q.nextAvail
}

// Base returns where the ring goes on (GET_VRING_BASE), as Config has it. It is valid when the
// device has stopped.
func (q *Queue) Base() uint32 {
	if q.packed != nil {
		return q.packed.base()
	}
	return uint32(q.nextAvail)
}

// SetMemory replaces the snapshot by one that contains the regions of the present one, and
// takes a reference on it. Chains in flight stay valid.
func (q *Queue) SetMemory(mem *Memory) {
	mem.Ref()
	q.Lock()
	old := q.memory
	q.memory = mem
	q.Unlock()
	if old != nil {
		old.Unref()
	}
}

// SetLog begins logging to l, of which it takes a reference; nil ends it.
func (q *Queue) SetLog(l *Log) {
	if l != nil {
		l.Ref()
	}
	q.Lock()
	old := q.log
	q.log = l
	q.Unlock()
	if old != nil {
		old.Unref()
	}
}

// SetUsedLog says whether writes to the used ring are logged, and as which
// guest-physical address.
func (q *Queue) SetUsedLog(on bool, addr uint64) {
	q.Lock()
	defer q.Unlock()
	q.logUsed, q.usedLogAddr = on, addr
}

// SetKick names the fd that kicks come from; -1: none, the ring is polled. The fd stays the
// caller's, who keeps it open until it is replaced or the queue closed.
func (q *Queue) SetKick(fd int) error {
	if err := q.waiter.setKick(fd); err != nil {
		return fmt.Errorf("kick fd: %w", err)
	}
	q.waiter.interrupt() // whoever waits looks at the ring, and at the new fd
	return nil
}

// Kick wakes the queue as a kick does.
func (q *Queue) Kick() { q.waiter.interrupt() }

// SetCall names the fd that notifications go to; -1: none. The fd stays the caller's, who
// keeps it open until this has returned for another. The new one is signalled once: the
// driver may have missed a notification that went to the old one.
func (q *Queue) SetCall(fd int) {
	n := newNotifier(fd)
	q.callMu.Lock()
	defer q.callMu.Unlock()
	q.call = n
	q.call.signal()
}

// SetErr names the fd that is told when the queue breaks; -1: none.
func (q *Queue) SetErr(fd int) {
	n := newNotifier(fd)
	q.Lock()
	defer q.Unlock()
	q.errFd = n
}

// survive is deferred where the ring is looked at or written to: a page of it that is gone ends
// the queue, and not the process. It sets *err, unless err is nil, to ErrBroken then. The queue is
// locked.
func (q *Queue) survive(err *error) {
	if v := recover(); v != nil {
		q.Break(fault(v))
		if err != nil {
			*err = ErrBroken
		}
	}
}

// fault turns what recover returned into an error if it is a fault in memory that the front end
// shares, and panics again if it is anything else.
func fault(v any) error {
	var at interface{ Addr() uintptr }
	if err, ok := v.(error); ok && errors.As(err, &at) {
		return fmt.Errorf("fault in shared memory at %#x", at.Addr())
	}
	panic(v)
}

// Broken reports whether the queue has been given up.
func (q *Queue) Broken() bool { return q.broken.Load() }

// Break gives the queue up, for the reason err. The first call counts: from then on nothing
// touches shared memory any more. The queue is locked.
func (q *Queue) Break(err error) {
	if q.broken.Swap(true) {
		return
	}
	q.errFd.signal()
	if q.onDead != nil {
		q.onDead(err)
	}
}

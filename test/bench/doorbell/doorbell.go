// SPDX-License-Identifier: Apache-2.0

// Package doorbell is what is left of a virtqueue when nothing is to be said but how many
// requests there are: two counters in memory that a driver and a server share, two eventfds,
// and on each side a mark that it sleeps. The payload lies behind, a piece for each slot.
//
// Request n is of slot n modulo the number of slots, and all are answered in order.
package doorbell

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Size is how much memory is shared.
const Size = offset + 64<<20

// offset is where payload begins.
const offset = 4096

// Doorbell is one side.
type Doorbell struct {
	*counters
	Kick, Call int // eventfds: wake the server, and the driver

	memory []byte
	word   [8]byte
}

// counters are the first page of the memory. Each has a cache line.
type counters struct {
	Produced     atomic.Uint32 // by the driver
	_            [60]byte
	Consumed     atomic.Uint32 // by the server
	_            [60]byte
	serverSleeps atomic.Uint32
	_            [60]byte
	driverSleeps atomic.Uint32
	_            [60]byte
	Stop         atomic.Uint32 // the server is to leave
}

// Payload returns the memory of a slot, of so many bytes.
func (d *Doorbell) Payload(slot, size int) []byte {
	return d.memory[offset+slot*size:][:size:size]
}

// Produce makes requests known and wakes the server if it sleeps.
func (d *Doorbell) Produce(n uint32) {
	d.Produced.Add(n)
	d.wake(&d.serverSleeps, d.Kick)
}

// Leave has the server's wait return, with Stop set.
func (d *Doorbell) Leave() {
	d.Stop.Store(1)
	d.serverSleeps.Store(1)
	d.wake(&d.serverSleeps, d.Kick)
}

// Consume says that all requests up to a number are answered and wakes the driver if it
// sleeps.
func (d *Doorbell) Consume(upTo uint32) {
	d.Consumed.Store(upTo)
	d.wake(&d.driverSleeps, d.Call)
}

func (d *Doorbell) wake(sleeps *atomic.Uint32, fd int) {
	if sleeps.Load() != 0 && sleeps.Swap(0) != 0 {
		Write(fd, &one)
	}
}

var one = [8]byte{1}

// WaitRequest sleeps until more than the known requests are there, or Stop. One blocking
// read is the cheapest way: with epoll_wait a request costs the server 0.1 us more.
func (d *Doorbell) WaitRequest(known uint32) {
	d.serverSleeps.Store(1)
	if d.Produced.Load() == known && d.Stop.Load() == 0 {
		Read(d.Kick, &d.word)
	}
	d.serverSleeps.Store(0)
}

// WaitAnswer sleeps until more than the known answers are there, or the driver is woken
// for another reason.
func (d *Doorbell) WaitAnswer(known uint32) {
	d.driverSleeps.Store(1)
	if d.Consumed.Load() == known {
		Read(d.Call, &d.word)
	}
	d.driverSleeps.Store(0)
}

// Reset begins anew, when the server is not there.
func (d *Doorbell) Reset() {
	d.Produced.Store(0)
	d.Consumed.Store(0)
	d.Stop.Store(0)
}

// Close unmaps the memory. The fds stay the caller's.
func (d *Doorbell) Close() { _ = unix.Munmap(d.memory) }

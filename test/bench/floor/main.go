// SPDX-License-Identifier: Apache-2.0

// Command floor makes the system calls that operations on files cannot do without, and
// nothing else: for each request that a driver counts in shared memory those of its
// message, then it says once how many were answered. It has one thread, and no ring or
// protocol.
//
// usage: floor DIR, with shared memory as fd 3 and the eventfds of a doorbell as 4 and 5.
// On standard input it is told what to do:
//
//	serve CASE DEPTH     answers "ready MESSAGES", the number of messages that are an
//	                     operation, and "done" when the driver has it leave
//	loop CASE DEPTH NS   makes the calls for so long, without waiting for requests, and
//	                     answers "done OPERATIONS NS CPU-NS"
//
// CASE is a number, the index in cases.All.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/doorbell"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run() error {
	runtime.LockOSThread()
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: floor DIR")
	}
	d, err := doorbell.Map(3, 4, 5)
	if err != nil {
		return err
	}
	w, err := newWorld(os.Args[1], d)
	if err != nil {
		return err
	}
	for {
		var what string
		var index, depth int
		if _, err := fmt.Scan(&what); err != nil {
			return nil // the driver has gone
		}
		if _, err := fmt.Scan(&index, &depth); err != nil {
			return err
		}
		slots, err := w.slots(cases.All[index], depth)
		if err != nil {
			return err
		}
		answer := []any{"done"}
		switch what {
		case "serve":
			fmt.Println("ready", len(slots[0].messages))
			w.serve(slots)
		case "loop":
			var d time.Duration
			if _, err := fmt.Scan((*int64)(&d)); err != nil {
				return err
			}
			n, took, cpu := loop(slots, d)
			answer = append(answer, n, took.Nanoseconds(), cpu.Nanoseconds())
		}
		for _, s := range slots {
			s.close()
		}
		if failed != nil {
			return failed
		}
		fmt.Println(answer...)
	}
}

// serve makes the calls of each request, as they come.
func (w *world) serve(slots []*slot) {
	d := w.doorbell
	depth := uint32(len(slots))
	var done, turn uint32 // turn: how often all slots have had one
	at := uint32(0)       // the slot whose turn it is
	for d.Stop.Load() == 0 {
		n := d.Produced.Load()
		if n == done {
			d.WaitRequest(done)
			continue
		}
		for ; done != n; done++ {
			s := slots[at]
			s.messages[turn%uint32(len(s.messages))](s)
			if at++; at == depth {
				at = 0
				turn++
			}
		}
		d.Consume(done)
	}
}

// loop makes the calls of one operation after the other, for a time.
func loop(slots []*slot, d time.Duration) (operations int64, took, cpu time.Duration) {
	began, clock := time.Now(), cpuTime()
	for took < d {
		for _, s := range slots {
			for _, m := range s.messages {
				m(s)
			}
		}
		operations += int64(len(slots))
		took = time.Since(began)
	}
	return operations, took, cpuTime() - clock
}

func cpuTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}

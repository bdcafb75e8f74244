// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Placement says which processors the driver and the servers run on. Where the scheduler puts
// the two, on one processor or on two, makes a difference of several times to how long it
// takes to wake one another, and chance decides it anew each time.
type Placement string

const (
	// Together is one processor for both: none has to wake another one by an interrupt,
	// which takes a virtual machine long, and not always equally long.
	Together Placement = "together"
	// Apart is a processor for the driver, and the others for the servers.
	Apart Placement = "apart"
	// Free leaves it to the scheduler.
	Free Placement = "free"
)

// ErrOneProcessor is returned by Place where there are not two to be apart.
var ErrOneProcessor = errors.New("this process may use one processor only")

var (
	// usable are the processors that this process was started with.
	usable unix.CPUSet
	// driverCPU is where loops run; nil: where this process's other threads do.
	driverCPU *unix.CPUSet
)

// Place is about the loops that run from now on, and the servers that are started from now on.
func Place(p Placement) error {
	if usable.Count() == 0 {
		if err := unix.SchedGetaffinity(0, &usable); err != nil {
			return err
		}
	}
	driverCPU = nil
	servers := usable
	switch p {
	case Free:
	case Together:
		// Not the first one: it has the most to do for the machine's devices.
		servers = only(processors(usable)[usable.Count()-1])
	case Apart:
		if usable.Count() < 2 {
			return ErrOneProcessor
		}
		first := processors(usable)[0]
		servers.Clear(first)
		driver := only(first)
		driverCPU = &driver
	default:
		return fmt.Errorf("no placement is called %q", p)
	}
	return pin(servers)
}

func only(cpu int) (set unix.CPUSet) {
	set.Set(cpu)
	return set
}

// processors lists a set.
func processors(set unix.CPUSet) (list []int) {
	for cpu := 0; len(list) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}

// pin moves all threads of this process. Those that are made later, and other processes, are
// like the thread that makes them.
func pin(set unix.CPUSet) error {
	for done := map[int]bool{}; ; {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		before := len(done)
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH { // it has ended
				return err
			}
			done[tid] = true
		}
		if len(done) == before { // no new one was made meanwhile
			return nil
		}
	}
}

// pinDriver moves the present thread, which is locked, to the driver's processor until undo
// is called.
func pinDriver() (undo func()) {
	var before unix.CPUSet
	if driverCPU == nil || unix.SchedGetaffinity(0, &before) != nil {
		return func() {}
	}
	_ = unix.SchedSetaffinity(0, driverCPU)
	return func() { _ = unix.SchedSetaffinity(0, &before) }
}

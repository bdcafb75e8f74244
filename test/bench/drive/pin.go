// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// driverCPU is where loops run, once PinApart was called.
var driverCPU *unix.CPUSet

// PinApart gives the driver a processor of its own, the first that there is, and leaves the
// others to this process's other threads and to the servers that are started from now on.
// Where the scheduler puts the two, on one processor or on two, makes a difference of
// several times to how long it takes to wake one another, and chance decides it anew each time.
func PinApart() error {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	if all.Count() < 2 {
		return nil
	}
	first := 0
	for !all.IsSet(first) {
		first++
	}
	all.Clear(first)
	driverCPU = new(unix.CPUSet)
	driverCPU.Set(first)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &all); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
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

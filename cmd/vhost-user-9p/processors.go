// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/virtio9p"
)

// maxCPU is the largest number of a processor that a set holds.
const maxCPU = len(unix.CPUSet{})*bits.UintSize - 1

// parseCPUs reads a list such as 0-3,8, the form of taskset, numactl and the kernel.
func parseCPUs(s string) (set unix.CPUSet, err error) {
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 32)
		b, err2 := strconv.ParseUint(last, 10, 32)
		if err1 != nil || err2 != nil || a > b || b > uint64(maxCPU) {
			return set, fmt.Errorf("is not a list of processors, needed are numbers from 0 to %d such as 0-3,8", maxCPU)
		}
		for ; a <= b; a++ {
			set.Set(int(a))
		}
	}
	return set, nil
}

// nodeCPUs returns the processors of a NUMA node.
func nodeCPUs(node int) (set unix.CPUSet, err error) {
	list, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/node/node%d/cpulist", node))
	if errors.Is(err, os.ErrNotExist) {
		return set, errors.New("is not a NUMA node of this machine")
	}
	if err != nil {
		return set, err
	}
	text := strings.TrimSpace(string(list))
	if text == "" {
		return set, errors.New("is a NUMA node without processors")
	}
	return parseCPUs(text)
}

// setProcessors keeps the daemon to the processors that were asked for, and says how many
// requests are executed at once, if that was left to it. Memory follows: the kernel takes
// it from the node of the thread that uses it first.
func (o *options) setProcessors() error {
	n := runtime.GOMAXPROCS(0)
	cpus, flag := o.cpus, "--cpus"
	if o.node >= 0 {
		var err error
		flag = fmt.Sprintf("--numa-node %d", o.node)
		if cpus, err = nodeCPUs(o.node); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	if cpus.Count() > 0 {
		if err := pin(&cpus); err != nil {
			return fmt.Errorf("%s: none of these processors may be used: %w", flag, err)
		}
		var allowed unix.CPUSet
		if err := unix.SchedGetaffinity(0, &allowed); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
		n = min(n, allowed.Count())
	}
	if o.threads == 0 {
		o.threads = min(n, maxThreads)
	}
	runtime.GOMAXPROCS(o.threads + virtio9p.SpareProcs)
	return nil
}

// pin keeps all threads of this process to a set of processors. Those that are made later
// are like the one that makes them.
func pin(set *unix.CPUSet) error {
	for done := map[string]bool{}; ; {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		found := false
		for _, t := range tasks {
			if done[t.Name()] {
				continue
			}
			done[t.Name()], found = true, true
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH { // it has ended
				return err
			}
		}
		if !found {
			return nil
		}
	}
}

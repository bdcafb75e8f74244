// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// measure has threads make the requests of a case, each in a folder of its own, for a time.
func measure(dir, name string, threads int, period time.Duration, ready func() error) (outcome, error) {
	c, ok := cases[name]
	if !ok {
		return outcome{}, fmt.Errorf("no such case: %s", name)
	}
	steps := make([]step, threads)
	for n := range steps {
		one, done, err := c(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			return outcome{}, err
		}
		defer done()
		steps[n] = one
	}

	// With a P to spare for each thread the scheduler takes none away from a thread that waits
	// in a system call.
	runtime.GOMAXPROCS(threads + 2)
	var stop atomic.Bool
	var operations, bytes atomic.Int64
	begin := make(chan struct{})
	errs := make([]error, threads)
	var started, ended sync.WaitGroup
	for n, one := range steps {
		started.Add(1)
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			<-begin
			var made, moved int64
			for !stop.Load() {
				size, err := one()
				if err != nil {
					errs[n] = err
					break
				}
				made++
				moved += int64(size)
			}
			operations.Add(made)
			bytes.Add(moved)
		})
	}
	started.Wait()
	err := ready()
	began := time.Now()
	close(begin)
	if err == nil {
		time.Sleep(period)
	}
	stop.Store(true)
	ended.Wait()
	return outcome{operations.Load(), bytes.Load(), time.Since(began)}, errors.Join(append(errs, err)...)
}

// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"fmt"
	"runtime/debug"
)

// onOwnThread runs f on a goroutine of its own and waits for it. The caller may
// be locked to a thread that has a guest user's credentials; the Go runtime
// never starts other goroutines there, nor threads with its credentials, so f
// runs with those of the process. A panic of f is the caller's.
func onOwnThread(f func()) {
	failed := make(chan any, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				failed <- fmt.Sprintf("%v\n%s", r, debug.Stack())
			}
			close(failed)
		}()
		f()
	}()
	if r := <-failed; r != nil {
		panic(r)
	}
}

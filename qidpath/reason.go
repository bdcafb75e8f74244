// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"fmt"
)

// Reason says why a store or a load failed.
type Reason uint8

const (
	ReasonIO          Reason = iota // the storage failed, or the error has no reason of its own
	ReasonLocked                    // someone else held the lock too long
	ReasonReadOnly                  // the store must not, or cannot, write
	ReasonDenied                    // the process lacks the permission
	ReasonNoSpace                   // the storage is full, or one file's share of it
	ReasonUnsupported               // the storage cannot hold a table
	ReasonRejected                  // what is stored is damaged and none of it is used
	ReasonVersion                   // what is stored has an unknown version and is left alone
	ReasonConflict                  // what is stored contradicts the elements in use
	ReasonFull                      // the table has as many elements as may be stored
	ReasonClosed                    // the table or the store is closed

	reasonCount
)

var reasonNames = [reasonCount]string{
	ReasonIO:          "io",
	ReasonLocked:      "locked",
	ReasonReadOnly:    "read_only",
	ReasonDenied:      "denied",
	ReasonNoSpace:     "no_space",
	ReasonUnsupported: "unsupported",
	ReasonRejected:    "rejected",
	ReasonVersion:     "version",
	ReasonConflict:    "conflict",
	ReasonFull:        "full",
	ReasonClosed:      "closed",
}

// String returns the reason as metrics and logs name it, in snake_case.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%#x)", uint8(r))
}

// StoreError is an error of a Store with its reason.
type StoreError struct {
	Op     string // what failed, such as "load" or "append"
	Reason Reason
	Err    error
}

func (e *StoreError) Error() string { return e.Op + ": " + e.Err.Error() }

func (e *StoreError) Unwrap() error { return e.Err }

// ReasonOf returns the reason of the StoreError in err's chain, and ReasonIO if
// there is none.
func ReasonOf(err error) Reason {
	var e *StoreError
	if errors.As(err, &e) && e.Reason < reasonCount {
		return e.Reason
	}
	return ReasonIO
}

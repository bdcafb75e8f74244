// SPDX-License-Identifier: Apache-2.0

package qmp

import "fmt"

// Event is an event of QEMU, by its name there.
type Event int

// The events that matter here: what the guest has seen should be durable after each of
// them but Other.
const (
	Other       Event = iota // all that are not below
	Shutdown                 // SHUTDOWN
	Suspend                  // SUSPEND
	SuspendDisk              // SUSPEND_DISK
	Powerdown                // POWERDOWN
	Stop                     // STOP
	eventCount
)

var eventNames = [eventCount]string{"other", "SHUTDOWN", "SUSPEND", "SUSPEND_DISK", "POWERDOWN", "STOP"}

// String returns QEMU's name, or "other".
func (e Event) String() string {
	if e < 0 || e >= eventCount {
		return fmt.Sprintf("Event(%d)", int(e))
	}
	return eventNames[e]
}

// eventOf returns the event that QEMU calls so.
func eventOf(name string) Event {
	for e := Other + 1; e < eventCount; e++ {
		if name == eventNames[e] {
			return e
		}
	}
	return Other
}

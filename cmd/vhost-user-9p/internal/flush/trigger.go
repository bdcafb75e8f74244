// SPDX-License-Identifier: Apache-2.0

package flush

import "fmt"

// Trigger is why the table is flushed.
type Trigger int

// The triggers. Those with QMP are events of QEMU's monitor, the others are seen on the
// vhost-user connection or by the daemon itself.
const (
	Suspended      Trigger = iota // the queue was stopped (GET_VRING_BASE)
	Disconnected                  // the front end has hung up
	NewOwner                      // the front end began anew (SET_OWNER)
	Unplugged                     // the device was unplugged
	Unrealized                    // the front end gave the device up for another reason
	DaemonEnd                     // the daemon was told to end
	QMPShutdown                   // SHUTDOWN
	QMPSuspend                    // SUSPEND
	QMPSuspendDisk                // SUSPEND_DISK
	QMPPowerdown                  // POWERDOWN
	QMPStop                       // STOP
	triggerCount
)

var triggerNames = [triggerCount]string{
	"suspended", "disconnected", "new_owner", "unplugged", "unrealized", "daemon_end",
	"qmp_shutdown", "qmp_suspend", "qmp_suspend_disk", "qmp_powerdown", "qmp_stop",
}

func (t Trigger) String() string {
	if t < 0 || t >= triggerCount {
		return fmt.Sprintf("Trigger(%d)", int(t))
	}
	return triggerNames[t]
}

// ByReason returns the trigger for the end of a session, which vhostuser gives as a text.
func ByReason(reason string) Trigger {
	switch reason {
	case "disconnected":
		return Disconnected
	case "new owner":
		return NewOwner
	case "back-end channel closed":
		return Unplugged
	case "shutdown":
		return DaemonEnd
	default:
		return Unrealized
	}
}

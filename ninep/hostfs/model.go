// SPDX-License-Identifier: Apache-2.0

package hostfs

import "golang.org/x/sys/unix"

// Model says where the owners, modes and types of the guest's files are kept. The names,
// and what is on the disk, are those of QEMU's security_model.
type Model uint8

// The security models.
const (
	// Passthrough: in the host's inodes. Giving files to others takes a privileged
	// daemon.
	Passthrough Model = iota
	// None: in the host's inodes too, but what the daemon may not give away stays its
	// own, and the guest is told nothing.
	None
)

// modelNames has what each model is called, besides QEMU's second name for mapped-xattr.
var modelNames = [...]string{
	Passthrough: "passthrough",
	None:        "none",
}

func (m Model) String() string {
	if int(m) < len(modelNames) {
		return modelNames[m]
	}
	return "unknown"
}

// ParseModel returns the model of that name.
func ParseModel(name string) (Model, bool) {
	for m, n := range modelNames {
		if n == name {
			return Model(m), true
		}
	}
	return 0, false
}

// keepsOwner reports whether the owner may stay as it is after e said that the daemon
// cannot change it: it may not, or its user namespace lacks the ID.
func (fs *FS) keepsOwner(e unix.Errno) bool {
	return fs.model == None && (e == unix.EPERM || e == unix.EINVAL)
}

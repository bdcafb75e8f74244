// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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
	// MappedXattr: in extended attributes of the host's files, which are the daemon's own.
	MappedXattr
	// MappedFile: in files beside the host's files, which are the daemon's own.
	MappedFile
)

// modelNames has what each model is called, besides QEMU's second name for mapped-xattr.
var modelNames = [...]string{
	Passthrough: "passthrough",
	None:        "none",
	MappedXattr: "mapped-xattr",
	MappedFile:  "mapped-file",
}

func (m Model) String() string {
	if int(m) < len(modelNames) {
		return modelNames[m]
	}
	return "unknown"
}

// ParseModel returns the model of that name.
func ParseModel(name string) (Model, bool) {
	if name == "mapped" {
		return MappedXattr, true
	}
	for m, n := range modelNames {
		if n == name {
			return Model(m), true
		}
	}
	return 0, false
}

// Mapped reports whether the host's files are the daemon's own, and what the guest sees of
// them is kept apart.
func (m Model) Mapped() bool { return m >= MappedXattr }

// Privileged reports whether the process may give files to others.
func Privileged() bool { return processCredentials().impersonate }

// DefaultModel returns the model for an export when nobody has chosen one: Passthrough, if
// the process may give files to others; else MappedXattr, if the export's file system has
// extended attributes; else None.
func DefaultModel(root *os.File) Model {
	switch {
	case Privileged():
		return Passthrough
	case TakesXattrs(root) == nil:
		return MappedXattr
	}
	return None
}

// TakesXattrs returns an error if the file system has no extended attributes user.*.
func TakesXattrs(root *os.File) error {
	var v [4]byte
	_, err := unix.Fgetxattr(int(root.Fd()), defaultHiddenXattrPrefix+"uid", v[:])
	if err == unix.ENODATA || err == unix.ERANGE {
		return nil
	}
	return err
}

// openModel sets the model up.
func (fs *FS) openModel(root *os.File) error {
	if !fs.model.Mapped() {
		return nil
	}
	if !fs.creds.impersonate && (fs.fileMode&0o600 != 0o600 || fs.dirMode&0o700 != 0o700) {
		return errors.New("hostfs: modes on the host without which the daemon cannot use its own files: it needs 0600 and 0700 at least")
	}
	if fs.model == MappedFile {
		fs.files = &fileMeta{fs: fs, records: records{of: make(map[*node]*record)}}
		fs.meta = fs.files
		return nil
	}
	if err := TakesXattrs(root); err != nil {
		return fmt.Errorf("hostfs: extended attributes of the export: %w", err)
	}
	fs.meta = xattrMeta{fs}
	return nil
}

// keepsOwner reports whether the owner may stay as it is after e said that the daemon
// cannot change it: it may not, or its user namespace lacks the ID.
func (fs *FS) keepsOwner(e unix.Errno) bool {
	return fs.model == None && (e == unix.EPERM || e == unix.EINVAL)
}

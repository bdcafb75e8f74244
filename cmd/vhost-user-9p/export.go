// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/hostfs"
)

// openExport opens the root of what is served.
func openExport(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Faccessat(fd, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
			_ = unix.Close(fd)
		}
	}
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), dir), nil
	case unix.ENOENT:
		return nil, fmt.Errorf("--shared-dir %q: no such directory", dir)
	case unix.ENOTDIR:
		return nil, fmt.Errorf("--shared-dir %q: not a directory", dir)
	case unix.EACCES:
		return nil, fmt.Errorf("--shared-dir %q: the daemon's user must be able to read and search it: %w", dir, err)
	default:
		return nil, fmt.Errorf("--shared-dir %q: %w", dir, err)
	}
}

// chooseModel sets the security model if it was not given, and finds what the daemon's
// user and the export do not allow.
func (o *options) chooseModel(root *os.File, log *slog.Logger) error {
	xattrs := hostfs.TakesXattrs(root)
	if !o.modelSet {
		// Who says which users of the host those of the guest are wants it to have them.
		if !o.uids.IsSet() && !o.gids.IsSet() {
			o.model = hostfs.DefaultModel(root)
		}
		if err := o.checkModel(); err != nil {
			return fmt.Errorf("%w, which is the default here", err)
		}
		if o.model == hostfs.None {
			log.Warn("owners are not kept: the daemon is not privileged, and the file system has no attributes user.*",
				"security_model", o.model.String(), "error", xattrs)
		}
	}
	if o.model == hostfs.MappedXattr && xattrs != nil {
		return fmt.Errorf("--security-model %s: --shared-dir %q: its file system has no attributes user.*: %w", o.model, o.sharedDir, xattrs)
	}
	if o.model.Mapped() && !hostfs.Privileged() {
		if o.fileMode != 0 && o.fileMode&0o600 != 0o600 {
			return fmt.Errorf("--fmode %04o: a daemon without privileges can use its files only with 0600 at least", o.fileMode)
		}
		if o.dirMode != 0 && o.dirMode&0o700 != 0o700 {
			return fmt.Errorf("--dmode %04o: a daemon without privileges can use its directories only with 0700 at least", o.dirMode)
		}
	}
	return nil
}

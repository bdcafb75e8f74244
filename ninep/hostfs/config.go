// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"vhost-user-9p/qidpath"
)

// QIDPaths gives each file of the export the path of its QID: the same for the
// same file for as long as the FS lives, and never the same for two. It is a
// *qidpath.Table.
type QIDPaths interface {
	// PathUnsettled returns the path of the file ino on the file system that has
	// the number dev, which is st_dev as makedev(3) builds it. If that is not known,
	// the error is qidpath.ErrUnknownDevice. No guest may see the path before Settle
	// has returned.
	PathUnsettled(dev, ino uint64) (uint64, error)
	Settle()

	// Span returns what tells the paths of ino and its like for as long as the file system
	// that has the number dev keeps it, or nothing. Settle is for them too.
	Span(dev, ino uint64) qidpath.Span

	// Bind says which file system has the number dev now: its identity, zero if
	// it has none, and the other numbers under which there is that identity.
	Bind(dev uint64, id qidpath.Identity, twins []uint64)

	// Forget says that file systems may have other numbers now.
	Forget()
}

// Config says what an FS serves and how.
//
// The process's umask must be 0 (modes are the guest's business), and its limit of
// open files bounds how many distinct files guests can have fids on.
type Config struct {
	// Root is the exported directory. It must be set; New duplicates it.
	Root *os.File

	// QIDPaths makes the paths of QIDs. It must be set.
	QIDPaths QIDPaths

	// ReadOnly makes the FS refuse to open files for writing, also for itself. That
	// requests do not change anything is seen to by the session.
	ReadOnly bool

	// Model is the security model. If not set: Passthrough.
	Model Model

	// FileMode and DirMode are the modes that files and directories of mapped models have
	// on the host. If not set: 0600 and 0700. A daemon without privileges needs the rights
	// that these give.
	FileMode, DirMode uint32

	// UIDs and GIDs say which users and groups of the host those of the guest are. If not
	// set, the same.
	UIDs, GIDs IDMap
	// MultiDevs says how files on other devices are told from those on the root's. If not
	// set: Remap.
	MultiDevs MultiDevs

	// WriteOut has what is written sent to the disk at once, though not waited for: it does
	// not stay in the host's memory twice.
	WriteOut bool

	// HiddenXattrPrefix starts the names of the extended attributes that guests can
	// neither see nor change. If not set: "user.virtfs.".
	HiddenXattrPrefix string

	// XattrMap renames extended attributes. If not set, they have the same names on the
	// host as in the guest.
	XattrMap *XattrMap

	// StatFSType is what guests are told to be the type of all file systems, statfs(2)'s
	// f_type. If not set, each has its own.
	StatFSType uint32

	// MaxDescriptors bounds how many descriptors the FS uses, for as long as there are some
	// that nobody does. If not set: most of the process's limit of open files at the time
	// of New.
	MaxDescriptors int

	// MaxLockedFiles bounds on how many files locks are held, or asked for, at a time:
	// each takes a descriptor. Beyond, ENOLCK. If not set: 1024, and never more than a
	// quarter of MaxDescriptors.
	MaxLockedFiles int

	// ProcSelfFD is the directory /proc/self/fd, and MountInfo the file
	// /proc/self/mountinfo, of this very process, opened before a sandbox hid them. If
	// not set, New opens them. New duplicates them.
	ProcSelfFD *os.File
	MountInfo  *os.File

	// Logger gets what an operator should know. If not set: slog.Default.
	Logger *slog.Logger
}

const (
	defaultHiddenXattrPrefix = "user.virtfs."
	defaultMaxLockedFiles    = 1024
)

// Validate reports what New would refuse.
func (c *Config) Validate() error {
	switch {
	case c.Root == nil:
		return errors.New("hostfs: no root directory")
	case c.QIDPaths == nil:
		return errors.New("hostfs: no QID paths")
	case c.MaxDescriptors < 0:
		return errors.New("hostfs: negative number of descriptors")
	case int(c.Model) >= len(modelNames):
		return errors.New("hostfs: no such security model")
	case int(c.MultiDevs) >= len(multiDevsNames):
		return errors.New("hostfs: no such way with several devices")
	case c.MaxLockedFiles < 0:
		return errors.New("hostfs: negative number of locked files")
	case (c.FileMode != 0 || c.DirMode != 0) && !c.Model.Mapped():
		return errors.New("hostfs: modes on the host are for mapped security models")
	case (c.UIDs.IsSet() || c.GIDs.IsSet()) && c.Model.Mapped():
		return errors.New("hostfs: mapped security models keep the IDs of the guest as they are")
	case (c.FileMode|c.DirMode)&^0o777 != 0:
		return errors.New("hostfs: modes on the host are permissions alone")
	}
	for name, m := range map[string]*IDMap{"users": &c.UIDs, "groups": &c.GIDs} {
		if err := m.Validate(); err != nil {
			return fmt.Errorf("hostfs: map of %s: %w", name, err)
		}
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.HiddenXattrPrefix == "" {
		c.HiddenXattrPrefix = defaultHiddenXattrPrefix
	}
	if c.MaxDescriptors == 0 {
		c.MaxDescriptors = descriptorBudget()
	}
	if c.MaxLockedFiles == 0 {
		c.MaxLockedFiles = defaultMaxLockedFiles
	}
	c.MaxLockedFiles = min(c.MaxLockedFiles, max(1, c.MaxDescriptors/4))
	if c.FileMode == 0 {
		c.FileMode = 0o600
	}
	if c.DirMode == 0 {
		c.DirMode = 0o700
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

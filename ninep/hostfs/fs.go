// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// FS is an exported directory. It serves one session at a time.
type FS struct {
	log      *slog.Logger
	qidPaths QIDPaths
	readOnly bool
	model    Model
	meta     metaStore // nil unless the model is mapped
	files    *fileMeta // meta, if the model is MappedFile
	xattrs   xattrNames

	fileMode, dirMode uint32 // on the host, in mapped models

	uids, gids ids
	writeOut   bool // to the disk, at once

	statfsType uint32 // 0: the host's

	procFD   int32 // O_PATH on /proc/self/fd
	topFD    int32 // the root
	creds    credentials
	mounts   mounts
	devices  devices
	fds      descriptors
	handles  fileHandles
	moves    moves
	nodes    nodeTable
	attaches attaches
	locks    lockTable

	lingering lingering

	// What the kernel was found to lack.
	noFchmodat2 atomic.Bool
	noXattrAt   atomic.Bool
	noTmpFile   atomic.Bool // or one of the file systems
}

var _ ninep.Backend = (*FS)(nil)

// New returns an FS that serves cfg.Root. It needs Linux 5.8.
func New(cfg Config) (*FS, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	fs := &FS{
		log:        cfg.Logger,
		qidPaths:   cfg.QIDPaths,
		readOnly:   cfg.ReadOnly,
		model:      cfg.Model,
		uids:       newIDs(&cfg.UIDs),
		gids:       newIDs(&cfg.GIDs),
		xattrs:     newXattrNames(cfg.HiddenXattrPrefix, cfg.XattrMap, cfg.Model),
		writeOut:   cfg.WriteOut,
		statfsType: cfg.StatFSType,
		fileMode:   cfg.FileMode,
		dirMode:    cfg.DirMode,
		procFD:     -1,
		topFD:      -1,
		creds:      processCredentials(),
	}
	fs.mounts.fd, fs.attaches.rootFD = -1, -1
	fs.mounts.forget = cfg.QIDPaths.Forget
	fs.fds.max = int64(cfg.MaxDescriptors)
	fs.handles.fs = fs
	fs.nodes.init(fs)
	fs.lingering.init(fs)
	fs.devices.how = cfg.MultiDevs
	fs.locks.init(fs, cfg.MaxLockedFiles)
	if err := fs.open(&cfg); err != nil {
		_ = fs.Close()
		return nil, err
	}
	return fs, nil
}

func (fs *FS) open(cfg *Config) error {
	fd, err := dupOrOpen(cfg.ProcSelfFD, "/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	fs.procFD = fd
	if fd, err = dupOrOpen(cfg.MountInfo, "/proc/thread-self/mountinfo", unix.O_RDONLY); err != nil {
		fs.log.Warn("mount table not readable, directories are read slowly", "error", err)
	} else {
		fs.mounts.fd = fd
	}

	if fs.topFD, err = dupOrOpen(cfg.Root, "the root", 0); err != nil {
		return err
	}
	if err := fs.openModel(cfg.Root); err != nil {
		return err
	}
	t := &thread{fs: fs}
	fd, e := openat2(t, int32(cfg.Root.Fd()), dot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0, resolveName)
	if e != 0 {
		return fmt.Errorf("hostfs: opening the root of the export: %w", e)
	}
	if e := statx(t, fd, empty, unix.AT_EMPTY_PATH, statxIdentity); e != 0 {
		fs.fds.close(fd)
		return fmt.Errorf("hostfs: looking at the root of the export: %w", e)
	}
	if t.stx.Mask&unix.STATX_MNT_ID == 0 {
		fs.fds.close(fd)
		return fmt.Errorf("hostfs: statx reports no mounts (Linux 5.8 does): %w", unix.ENOSYS)
	}
	fs.attaches.root.fs, fs.attaches.rootFD = fs, fd
	key := keyOf(&t.stx)
	fs.devices.root, fs.lingering.mnt, fs.lingering.dev = key.dev, key.mnt, key.dev
	return nil
}

// dupOrOpen returns a descriptor of its own for f, or for path if f is nil.
func dupOrOpen(f *os.File, path string, flags int) (int32, error) {
	if f != nil {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return -1, fmt.Errorf("hostfs: duplicating %s: %w", path, err)
		}
		return int32(fd), nil
	}
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("hostfs: opening %s: %w", path, err)
	}
	return int32(fd), nil
}

// Reset implements ninep.Backend.
func (fs *FS) Reset() {
	fs.locks.reset()
	fs.lingering.dropAll()
}

// Close gives back what the FS holds. All its files must have been closed.
func (fs *FS) Close() error {
	fs.Reset()
	fs.lingering.close()
	if root := fs.attaches.root.root; root != nil {
		fs.attaches.root.root = nil
		root.unpin()
		fs.nodes.put(root)
	}
	fs.handles.close()
	if fs.attaches.rootFD >= 0 {
		fs.fds.close(fs.attaches.rootFD)
		fs.attaches.rootFD = -1
	}
	for _, fd := range []*int32{&fs.procFD, &fs.topFD, &fs.mounts.fd} {
		if *fd >= 0 {
			closeFD(*fd)
			*fd = -1
		}
	}
	return nil
}

// willBlock tells the transport that the request is about to take long.
func willBlock(c *ninep.Call) {
	if c.Transport != nil {
		c.Transport.WillBlock(c)
	}
}

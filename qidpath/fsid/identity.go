// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// Identity is what tells a file system from all others; all zero is none.
type Identity = [16]byte

// Of returns the identity of the file system of the file that fd is open on,
// which O_PATH is enough for. To be asked, the file is opened once more: it must be
// a directory or a regular file, and the process must be allowed to read it. Else,
// and where there is no identity, it is zero. procFD is the directory /proc/self/fd,
// or -1 to find it by its name.
//
// An error means that the question could be answered at another time.
func Of(fd, procFD int) (Identity, error) {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return Identity{}, passing(err)
	}
	if uint32(fs.Type) == unix.BTRFS_SUPER_MAGIC {
		return ofBtrfs(&fs), nil
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return Identity{}, passing(err)
	}
	if unix.Major(st.Dev) == 0 { // on no block device
		return Identity{}, nil
	}
	readable, err := open(fd, procFD, st.Mode)
	if err != nil {
		return Identity{}, passing(err)
	}
	if readable < 0 {
		return Identity{}, nil
	}
	defer unix.Close(readable)
	return uuid(readable, uint32(fs.Type)), nil
}

// ofBtrfs makes an identity of what statfs(2) says: f_fsid is made of the UUID and
// the subvolume's number.
func ofBtrfs(fs *unix.Statfs_t) (id Identity) {
	binary.LittleEndian.PutUint32(id[0:], uint32(fs.Type))
	binary.LittleEndian.PutUint32(id[8:], uint32(fs.Fsid.Val[0]))
	binary.LittleEndian.PutUint32(id[12:], uint32(fs.Fsid.Val[1]))
	return id
}

// open opens what fd is open on so that it can be asked, or returns -1 if it is
// nothing to open.
func open(fd, procFD int, mode uint32) (int, error) {
	dir, name, flags := fd, ".", unix.O_DIRECTORY
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFREG:
		dir, name, flags = procFD, strconv.Itoa(fd), unix.O_NONBLOCK
		if procFD < 0 {
			dir, name = unix.AT_FDCWD, "/proc/self/fd/"+name
		}
	default:
		return -1, nil
	}
	opened := -1
	err := retry(func() (err error) {
		opened, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		return err
	})
	return opened, err
}

// uuid asks in the ways that kernels have: the first since Linux 6.9.
func uuid(fd int, fsType uint32) Identity {
	id, ok := getFSUUID(fd)
	if !ok {
		switch fsType {
		case unix.EXT4_SUPER_MAGIC:
			id, _ = ext4UUID(fd)
		case unix.XFS_SUPER_MAGIC:
			id, _ = xfsUUID(fd)
		}
	}
	return id
}

// passing returns err if it may be gone the next time.
func passing(err error) error {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO, unix.ESTALE, unix.ETIMEDOUT} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

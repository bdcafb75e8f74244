// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fsTypes are the file systems that --statfs-type knows by name, with their f_type of
// statfs(2).
var fsTypes = []struct {
	name  string
	magic uint32
}{
	{"bcachefs", unix.BCACHEFS_SUPER_MAGIC},
	{"btrfs", unix.BTRFS_SUPER_MAGIC},
	{"ceph", unix.CEPH_SUPER_MAGIC},
	{"cifs", unix.CIFS_SUPER_MAGIC},
	{"ext2", unix.EXT2_SUPER_MAGIC},
	{"ext3", unix.EXT3_SUPER_MAGIC},
	{"ext4", unix.EXT4_SUPER_MAGIC},
	{"f2fs", unix.F2FS_SUPER_MAGIC},
	{"fuse", unix.FUSE_SUPER_MAGIC},
	{"nfs", unix.NFS_SUPER_MAGIC},
	{"overlayfs", unix.OVERLAYFS_SUPER_MAGIC},
	{"ramfs", unix.RAMFS_MAGIC},
	{"smb2", unix.SMB2_SUPER_MAGIC},
	{"tmpfs", unix.TMPFS_MAGIC},
	{"v9fs", unix.V9FS_MAGIC},
	{"xfs", unix.XFS_SUPER_MAGIC},
	{"zfs", 0x2fc12fc1},
}

// fsTypeHost is the default: what the host says.
const fsTypeHost = "host"

func parseFSType(o *options, s string) error {
	if s == fsTypeHost {
		o.fsType = 0
		return nil
	}
	var names []string
	for _, t := range fsTypes {
		if t.name == s {
			o.fsType = t.magic
			return nil
		}
		names = append(names, t.name)
	}
	if digits, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		if n, err := strconv.ParseUint(digits, 16, 32); err == nil && n != 0 {
			o.fsType = uint32(n)
			return nil
		}
	}
	return fmt.Errorf("is no type of file system, needed is %s, one of %s, or a number from 0x1 to 0xffffffff", fsTypeHost, strings.Join(names, ", "))
}

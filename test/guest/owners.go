// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// owners makes files of all kinds and owners, as several users. What it makes is seen by
// describeOwners.
func owners(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	steps := []error{
		os.Mkdir(at("all"), 0),
		os.Chmod(at("all"), 0o777|os.ModeSticky),
	}
	child := exec.Command("/proc/self/exe", "ownersfiles", at("all"))
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1001}}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	steps = append(steps, child.Run(), os.Mkdir(at("own"), 0o755), ownersFiles(at("own")))

	for name, mode := range map[string]uint32{
		"chr": unix.S_IFCHR | 0o620, "blk": unix.S_IFBLK | 0o640, "fifo": unix.S_IFIFO | 0o604, "sock": unix.S_IFSOCK | 0o755,
	} {
		dev := 0
		if name == "chr" || name == "blk" {
			dev = int(unix.Mkdev(0xabc, 0x12345))
		}
		steps = append(steps, unix.Mknod(at("own/"+name), mode, dev), unix.Lchown(at("own/"+name), 70000, 4_000_000_000))
	}
	steps = append(steps,
		os.WriteFile(at("own/setid"), []byte("program"), 0o755), unix.Chown(at("own/setid"), 5, 6), unix.Chmod(at("own/setid"), 0o6755),
		os.WriteFile(at("own/closed"), []byte("secret"), 0o600), unix.Chmod(at("own/closed"), 0),
		unix.Lchown(at("own/link"), 11, 12),
		os.Mkdir(at("own/group"), 0o755), unix.Chown(at("own/group"), 0, 2000), unix.Chmod(at("own/group"), 0o2775),
		os.WriteFile(at("own/group/file"), nil, 0o644), os.Mkdir(at("own/group/dir"), 0o755),
		os.WriteFile(at("own/xattrs"), nil, 0o644), unix.Setxattr(at("own/xattrs"), "user.test", []byte("value\x00"), 0),
		// What a name, and the metadata with it, can go through.
		os.WriteFile(at("own/first"), []byte("1"), 0o600), unix.Chown(at("own/first"), 21, 21),
		os.WriteFile(at("own/second"), []byte("2"), 0o640), unix.Chown(at("own/second"), 22, 22),
		os.Rename(at("own/first"), at("own/second")),
		os.Link(at("own/second"), at("own/group/third")), unix.Chown(at("own/group/third"), 23, 23),
		os.Symlink("x", at("own/gone")), os.Remove(at("own/gone")), os.WriteFile(at("own/gone"), nil, 0o644),
		unix.Chown(dir, 3, 4), unix.Chmod(dir, 0o751),
	)
	return errors.Join(steps...)
}

// ownersACLs adds access control lists to what owners has made.
func ownersACLs(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		os.WriteFile(at("own/acl"), nil, 0o644), unix.Setxattr(at("own/acl"), "system.posix_acl_access", acl(1234), 0),
		os.Mkdir(at("own/acldir"), 0o750), unix.Setxattr(at("own/acldir"), "system.posix_acl_default", acl(4321), 0),
		os.WriteFile(at("own/acldir/file"), nil, 0o666), os.Mkdir(at("own/acldir/dir"), 0o777))
}

// ownersFiles makes what every user can.
func ownersFiles(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		os.WriteFile(at("file"), []byte("content"), 0o640),
		os.WriteFile(at("a name \xff\n"+strings.Repeat("n", 200)), []byte("content"), 0o604),
		os.Mkdir(at("dir"), 0o711),
		os.WriteFile(at("dir/file"), nil, 0o600),
		os.Symlink("no/such target", at("link")),
		os.Symlink(strings.Repeat("long/", 800), at("longlink")),
		unix.Mkfifo(at("userfifo"), 0o622),
		os.Link(at("file"), at("dir/hardlink")),
		os.Chmod(at("dir/hardlink"), 0o644),
	)
}

// acl lets a user read and write.
func acl(user uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, noOne}, {2, 6, user}, {4, 4, noOne}, {0x10, 6, noOne}, {0x20, 0, noOne}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

const noOne = 0xffffffff

// changeOwners changes what owners has made.
func changeOwners(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		unix.Chown(at("own/setid"), 50000, 50001), unix.Chmod(at("own/setid"), 0o4711),
		unix.Chmod(at("own/chr"), 0o600), unix.Lchown(at("own/blk"), 0, 0),
		unix.Lchown(at("own/link"), 99, 98),
		os.Rename(at("own/fifo"), at("all/moved fifo")),
		os.Rename(at("all/dir"), at("own/group/moved dir")),
		unix.Chown(at("own/group/third"), 31, 32), // second too
		os.Link(at("own/second"), at("own/fourth")),
		os.Remove(at("own/group/third")),
		os.Rename(at("own/sock"), at("own/closed")),
		os.Remove(at("own/longlink")),
		os.Remove(at("own/dir/file")), os.Remove(at("own/dir/hardlink")), os.Remove(at("own/dir")),
		unix.Removexattr(at("own/xattrs"), "user.test"), unix.Setxattr(at("own/xattrs"), "user.other", []byte("other"), 0),
		unix.Chown(dir, 7, 8),
	)
}

// changeOwnersACLs changes what ownersACLs has made.
func changeOwnersACLs(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	return errors.Join(
		unix.Setxattr(at("own/acl"), "system.posix_acl_access", acl(777), 0),
		unix.Removexattr(at("own/acldir"), "system.posix_acl_default"),
	)
}

// describeOwners prints a line for each file below dir, and for dir itself, with what a
// security model keeps.
func describeOwners(dir string) error {
	numbers := map[uint64]int{} // of inodes with several names, in the order in which they come
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%q mode %o owner %d:%d", name, st.Mode, st.Uid, st.Gid)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprintf(" device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size %d target %q", st.Size, target)
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size %d content %q", st.Size, content)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			line += fmt.Sprintf(" links %d", st.Nlink)
			if st.Nlink > 1 {
				if numbers[st.Ino] == 0 {
					numbers[st.Ino] = len(numbers) + 1
				}
				line += fmt.Sprintf(" inode %d", numbers[st.Ino])
			}
		}
		if typ := st.Mode & unix.S_IFMT; typ == unix.S_IFREG || typ == unix.S_IFDIR {
			attrs, err := xattrsOf(path)
			if err != nil {
				return err
			}
			line += attrs
		}
		fmt.Println(line)
		return nil
	})
}

// xattrsOf returns the extended attributes of a file, access control lists included.
func xattrsOf(path string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return "", fmt.Errorf("listing the attributes of %s: %w", path, err)
	}
	names := strings.FieldsFunc(string(buf[:max(0, n)]), func(r rune) bool { return r == 0 })
	// Of the guest's kernel, and of the server, where another one shows it.
	names = slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "user.virtfs.")
	})
	// Whatever the list says.
	names = append(names, "system.posix_acl_access", "system.posix_acl_default")
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		n, err := unix.Lgetxattr(path, name, buf)
		switch {
		case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		case err != nil:
			return "", fmt.Errorf("%s of %s: %w", name, path, err)
		default:
			fmt.Fprintf(&b, " %s=%s", name, hex.EncodeToString(buf[:n]))
		}
	}
	return b.String(), nil
}

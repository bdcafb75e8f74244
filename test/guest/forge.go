// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// hostNames are attributes in which a server keeps what is not the guest's, and some that
// begin as those do.
var hostNames = []string{
	"user.virtfs.system.qidp.0", "user.virtfs.system.qidf.0",
	"user.virtfs.system.qidp.1", "user.virtfs.system.qidf.1", "user.virtfs.system.qidp.00",
	"user.virtfs.system.qidp.bad.00000000.0", "user.virtfs.system.qidp.", "user.virtfs.new", "user.virtfs.",
}

// spellings are names that a server could take for a name of the host's.
func spellings(name string) []string {
	rest, _ := strings.CutPrefix(name, "user.")
	short, _ := strings.CutPrefix(rest, "virtfs.")
	return []string{
		"trusted." + rest, "security." + rest, "system." + rest,
		"trusted." + name, "security." + name, "user." + name,
		"trusted." + short, "user." + short, "system." + short, "user.a." + short,
		"user..virtfs." + short, "user.virtfs/" + short, "user.VIRTFS." + short, "User." + rest, rest, short,
		"user.virtfs.\n" + short,
	}
}

// forge tries to read, list, remove and write the server's attributes on the root of a
// share, whose mount point is root, and on files there. Each attempt must fail. The names
// that may be others to the server are removed and written, too, whatever comes of it: the
// server's must be as they were, which is for the host to see.
func forge(root string) error {
	dir, err := os.MkdirTemp(root, "forge-")
	if err != nil {
		return err
	}
	file, sub := filepath.Join(dir, "file"), filepath.Join(dir, "sub")
	symlink, hard := filepath.Join(dir, "symlink"), filepath.Join(dir, "hard")
	if err := errors.Join(os.WriteFile(file, nil, 0o644), os.Mkdir(sub, 0o755), os.Symlink(root, symlink), os.Link(file, hard)); err != nil {
		return err
	}
	if err := os.Link(root, filepath.Join(dir, "root")); err == nil {
		return errors.New("the root of the share has a second name")
	}
	if err := os.Rename(root, filepath.Join(dir, "root")); err == nil {
		return errors.New("the root of the share was renamed")
	}
	var c checks
	for _, path := range []string{root, symlink, file, hard, sub} {
		for _, name := range hostNames {
			c.check(path+" "+name, func() error { return forgeOne(path, name) })
		}
	}
	for _, path := range []string{root, sub + "/../..", hard} {
		for _, name := range hostNames[:2] {
			for _, other := range spellings(name) {
				_ = unix.Removexattr(path, other)
				_ = unix.Setxattr(path, other, []byte("forged"), 0)
				_ = unix.Setxattr(path, other, []byte("forged again"), unix.XATTR_REPLACE)
			}
			c.check(path+" lists, after "+name, func() error { return hidden(path) })
		}
	}
	return c.err()
}

// forgeOne tries one of the server's names.
func forgeOne(path, name string) error {
	buf := make([]byte, 64<<10)
	if n, err := unix.Getxattr(path, name, nil); !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("asking for its size: %d, %w", n, err)
	}
	if n, err := unix.Lgetxattr(path, name, buf); !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("reading it: %d bytes, %w", n, err)
	}
	if err := hidden(path); err != nil {
		return err
	}
	for _, flags := range []int{0, unix.XATTR_CREATE, unix.XATTR_REPLACE} {
		for _, value := range [][]byte{nil, []byte("forged"), buf[:4000]} {
			if err := unix.Setxattr(path, name, value, flags); !errors.Is(err, unix.EACCES) {
				return fmt.Errorf("setting it to %d bytes, flags %d: %w", len(value), flags, err)
			}
		}
	}
	if err := unix.Removexattr(path, name); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("removing it: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fsetxattr(int(f.Fd()), name, []byte("forged"), 0); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("setting it on an open file: %w", err)
	}
	if err := unix.Fremovexattr(int(f.Fd()), name); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("removing it from an open file: %w", err)
	}
	return nil
}

// hidden returns an error if one of the server's names is listed.
func hidden(path string) error {
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, buf)
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if strings.HasPrefix(name, "user.virtfs.") {
			return fmt.Errorf("%s is listed", name)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package qtest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// models are the security models that the local tests run in; QEMU's run in
// mapped-xattr.
var models = []string{"passthrough", "none", "mapped-xattr", "mapped-file"}

func TestLocal(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			for _, test := range []struct {
				name string
				run  func(*machine)
			}{
				{"config", func(m *machine) { config(m.t, m) }},
				{"create_dir", createDir},
				{"unlinkat_dir", unlinkatDir},
				{"create_file", createFile},
				{"unlinkat_file", unlinkatFile},
				{"symlink_file", symlinkFile},
				{"unlinkat_symlink", unlinkatSymlink},
				{"hardlink_file", hardlinkFile},
				{"unlinkat_hardlink", unlinkatHardlink},
				{"use_after_unlink", useAfterUnlink},
				{"use_dir_after_unlink", useDirAfterUnlink},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(attached(t, "--security-model", model)) })
			}
		})
	}
}

func (m *machine) mkdir(name string) {
	m.t.Helper()
	_, err := m.Mkdir(root, name, 0o755, uint32(os.Getgid()))
	m.ok(err)
	if st := m.lstat(name); st.Mode&unix.S_IFMT != unix.S_IFDIR {
		m.t.Errorf("%s has the mode %o", name, st.Mode)
	}
}

// lcreate makes a regular file and returns a fid that has it open.
func (m *machine) lcreate(dir, name string) uint32 {
	m.t.Helper()
	fid := m.walk(dir)
	_, err := m.Lcreate(fid, name, unix.O_RDWR, 0o750, uint32(os.Getgid()))
	m.ok(err)
	if st := m.lstat(dir, name); st.Mode&unix.S_IFMT != unix.S_IFREG {
		m.t.Errorf("%s/%s has the mode %o", dir, name, st.Mode)
	}
	return fid
}

func createDir(m *machine) { m.mkdir("01") }

func unlinkatDir(m *machine) {
	m.mkdir("02")
	m.ok(m.Unlinkat(root, "02", unix.AT_REMOVEDIR))
	m.gone("02")
}

func createFile(m *machine) {
	m.mkdir("03")
	m.lcreate("03", "1st_file")
}

func unlinkatFile(m *machine) {
	m.mkdir("04")
	m.lcreate("04", "doa_file")
	m.ok(m.Unlinkat(m.walk("04"), "doa_file", 0))
	m.gone("04", "doa_file")
}

func (m *machine) symlink(dir string) {
	m.t.Helper()
	m.mkdir(dir)
	m.lcreate(dir, "real_file")
	_, err := m.Symlink(m.walk(dir), "symlink_file", "real_file", uint32(os.Getgid()))
	m.ok(err)
	m.lstat(dir, "symlink_file")
	target, err := m.Readlink(m.walk(dir, "symlink_file"))
	m.ok(err)
	if target != "real_file" {
		m.t.Errorf("the symlink leads to %q", target)
	}
}

func symlinkFile(m *machine) { m.symlink("05") }

func unlinkatSymlink(m *machine) {
	m.symlink("06")
	m.ok(m.Unlinkat(m.walk("06"), "symlink_file", 0))
	m.gone("06", "symlink_file")
	m.lstat("06", "real_file")
}

func (m *machine) hardlink(dir string) {
	m.t.Helper()
	m.mkdir(dir)
	m.lcreate(dir, "real_file")
	m.ok(m.Link(m.walk(dir), m.walk(dir, "real_file"), "hardlink_file"))
	a, b := m.lstat(dir, "real_file"), m.lstat(dir, "hardlink_file")
	if a.Dev != b.Dev || a.Ino != b.Ino {
		m.t.Errorf("the inodes are %d:%d and %d:%d", a.Dev, a.Ino, b.Dev, b.Ino)
	}
}

func hardlinkFile(m *machine) { m.hardlink("07") }

func unlinkatHardlink(m *machine) {
	m.hardlink("08")
	m.ok(m.Unlinkat(m.walk("08"), "hardlink_file", 0))
	m.gone("08", "hardlink_file")
	m.lstat("08", "real_file")
}

func useAfterUnlink(m *machine) {
	m.mkdir("09")
	m.ok(m.Clunk(m.lcreate("09", "09_file")))
	fid := m.walk("09", "09_file")
	_, _, err := m.Lopen(fid, unix.O_WRONLY)
	m.ok(err)
	m.ok(m.Unlinkat(m.walk("09"), "09_file", 0))
	m.gone("09", "09_file")
	_, err = m.Getattr(fid, ninep.AttrBasic)
	m.ok(err)
	n, err := m.Write(fid, 0, make([]byte, 2048))
	m.ok(err)
	if n != 2048 {
		m.t.Errorf("%d bytes written", n)
	}
	m.ok(m.Setattr(fid, ninep.SetAttr{Valid: ninep.SetSize, Size: 2001}))
	a, err := m.Getattr(fid, ninep.AttrSize)
	m.ok(err)
	if a.Size != 2001 {
		m.t.Errorf("the size is %d", a.Size)
	}
}

// useDirAfterUnlink is a test that QEMU has given up, for some file systems fail the
// read, as they may.
func useDirAfterUnlink(m *machine) {
	m.mkdir("10")
	fid := m.walk("10")
	_, _, err := m.Lopen(fid, unix.O_DIRECTORY)
	m.ok(err)
	m.ok(m.Unlinkat(root, "10", unix.AT_REMOVEDIR))
	m.gone("10")
	list, err := m.Readdir(fid, 0, msize-11)
	if err != nil && err != unix.ENOENT || len(list) > 2 {
		m.t.Errorf("%d entries, %v", len(list), err)
	}
	_, err = m.Getattr(fid, ninep.AttrBasic)
	m.ok(err)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
	"vhost-user-9p/xattrstore"
)

func needMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount file systems")
	}
	for _, program := range []string{"mkfs.ext4", "losetup"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
}

func runProgram(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// ext4Image makes a file with a file system in it.
func ext4Image(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 16<<20)); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "mkfs.ext4", "-q", path)
	return path
}

// mount mounts what is in an image, or a tmpfs, at a directory that is made.
func mount(t *testing.T, image, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	source, fsType := "tmpfs", "tmpfs"
	if image != "" {
		source, fsType = runProgram(t, "losetup", "--find", "--show", image), "ext4"
		t.Cleanup(func() { runProgram(t, "losetup", "--detach", source) })
	}
	if err := unix.Mount(source, path, fsType, 0, ""); err != nil {
		t.Fatalf("mount -t %s: %v", fsType, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// elementAt is the element of the file system that path is on, whose properties are named
// in what is compared.
func (r *qidRig) elementAt(path, name string) qidpath.Element {
	r.t.Helper()
	dir := r.open(path)
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		r.t.Fatal(err)
	}
	id, err := fsid.Of(int(dir.Fd()), -1)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = dir.Close()
	if id != (fsid.Identity{}) {
		r.places[qidpath.Identity(id).String()] = "IDENTITY-" + name
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		r.t.Fatal(err)
	}
	for m := range fsid.Mounts(text) {
		if m.Dev == st.Dev && m.Source != "tmpfs" {
			r.places[m.Source+")"] = "SOURCE-" + name + ")"
		}
	}
	dev := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for _, end := range []string{"  ", ",", ")"} {
		r.places[dev+end] = "DEVICE-" + name + end
	}
	return elementOf(id, st.Dev)
}

// TestQIDMounted looks at a table of file systems that are mounted: below the export,
// twice, elsewhere, and not any more.
func TestQIDMounted(t *testing.T) {
	needMounts(t)
	base := t.TempDir()
	export, elsewhere := filepath.Join(base, "export"), filepath.Join(base, "elsewhere")
	image := ext4Image(t)
	mount(t, image, export)
	r := newQIDRig(t, export)
	r.places[elsewhere] = "ELSEWHERE"
	delete(r.places, fmt.Sprintf("%d:%d", unix.Major(r.own.Dev), unix.Minor(r.own.Dev)))
	delete(r.places, fmt.Sprintf("label %#x", r.own.Dev))

	data := ext4Image(t)
	mount(t, data, filepath.Join(export, "data"))
	mount(t, "", filepath.Join(export, "memory"))
	mount(t, ext4Image(t), elsewhere)
	elements := []qidpath.Element{
		r.elementAt(export, "own"),
		r.elementAt(filepath.Join(export, "data"), "data"),
		r.elementAt(filepath.Join(export, "memory"), "memory"),
		r.elementAt(elsewhere, "elsewhere"),
	}
	r.append(xattrstore.ModeAuto, elements...)
	r.golden("mounted.txt", []string{"dump"}, []string{"check"})

	copied := filepath.Join(t.TempDir(), "image")
	runProgram(t, "cp", "--sparse=always", data, copied)
	mount(t, copied, filepath.Join(export, "copy"))
	r.elementAt(filepath.Join(export, "copy"), "copy")
	r.golden("copied.txt", []string{"dump"}, []string{"check"})

	for _, name := range []string{"copy", "data", "memory"} {
		if err := unix.Unmount(filepath.Join(export, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Unmount(elsewhere, 0); err != nil {
		t.Fatal(err)
	}
	r.golden("unmounted.txt", []string{"dump"}, []string{"check"})

	// The state of a table on ext4, whose attributes are in smaller chunks.
	r.set("qidf.1", make([]byte, 16))
	r.set("qidp.1", make([]byte, 10))
	r.want(exitFailure, "check")
	if err := unix.Mount("", export, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	r.want(exitFailure, "check")
	for _, dry := range []bool{true, false} {
		args := []string{"repair"}
		if dry {
			args = append(args, "--dry-run")
		}
		got := r.qid(args...)
		failed := strings.Contains(got.stdout, "failed: xattr: ") && strings.Contains(got.stdout, "read-only file system\n") &&
			strings.Contains(got.stdout, "left: torn-append: xattr: ")
		if got.status == exitOK != dry || failed == dry {
			t.Errorf("%q on a read-only mount: %+v", args, got)
		}
	}
	if err := unix.Mount("", export, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	r.want(exitOK, "repair")
	r.want(exitOK, "check")
	if got := r.load(); len(got) != 4 || got[1] != elements[1] {
		t.Errorf("loaded %v, want %v", got, elements)
	}
}

// TestQIDOfDaemon looks at what a daemon has stored, while it serves.
func TestQIDOfDaemon(t *testing.T) {
	state := t.TempDir()
	p := startDaemon(t, "--state-dir", state)
	g := connect(t, p.socket)
	g.mount()
	dump := runArgs(t, "qid", "dump", "--state-dir", state, p.share)
	if dump.status != exitOK || !strings.Contains(dump.stdout, "1 entry of 32766") {
		t.Errorf("%+v", dump)
	}
	if got := runArgs(t, "qid", "check", "--state-dir", state, p.share); got.status != exitOK || !strings.Contains(got.stdout, "\nok: 1 entry") && !strings.HasPrefix(got.stdout, "ok: 1 entry") {
		t.Errorf("%+v", got)
	}
}

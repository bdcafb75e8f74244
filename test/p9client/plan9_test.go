// SPDX-License-Identifier: Apache-2.0

package p9client

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"9fans.net/go/plan9"
	plan9client "9fans.net/go/plan9/client"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// plan9Share is a daemon and what Plan 9's client is attached to, by 9P2000.
func plan9Share(t *testing.T, uname, aname string, fill func(export string)) (export string, fsys *plan9client.Fsys) {
	t.Helper()
	export = rig.Export(t)
	fill(export)
	conn, err := plan9client.NewConn(rig.DialRing(t, rig.StartDaemon(t, export).Socket, 1))
	must(t, "version", err)
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Auth(uname, aname); err == nil {
		t.Error("the daemon wants authentication")
	}
	fsys, err = conn.Attach(nil, uname, aname)
	must(t, "attach", err)
	return export, fsys
}

// says fails the test unless err has the text of the errno.
func says(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func plan9Create(t *testing.T, fsys *plan9client.Fsys, name string, mode uint8, perm plan9.Perm) *plan9client.Fid {
	t.Helper()
	fid, err := fsys.Create(name, mode, perm)
	must(t, "create "+name, err)
	return fid
}

func TestPlan9(t *testing.T) {
	export, fsys := plan9Share(t, fmt.Sprint(os.Getuid()), "", func(string) {})
	content := make([]byte, 1_000_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	fid := plan9Create(t, fsys, "file", plan9.ORDWR, 0o640)
	n, err := fid.WriteAt(content, 0)
	if err != nil || n != len(content) {
		t.Fatalf("write: %d bytes, %v", n, err)
	}
	got := make([]byte, len(content))
	if n, err := fid.ReadFull(got); err != nil || !bytes.Equal(got[:n], content) {
		t.Errorf("read: %d bytes, %v", n, err)
	}
	must(t, "close", fid.Close())
	if host, err := os.ReadFile(filepath.Join(export, "file")); err != nil || !bytes.Equal(host, content) {
		t.Errorf("on the host the file has %d other bytes, %v", len(host), err)
	}

	d, err := fsys.Stat("/file")
	must(t, "stat", err)
	st := hostStat(t, export, "file")
	if d.Name != "file" || d.Length != uint64(st.Size) || uint32(d.Mode) != st.Mode&0o777 || int64(d.Mtime) != st.Mtim.Sec ||
		d.Uid != fmt.Sprint(st.Uid) || d.Gid != fmt.Sprint(st.Gid) || d.Qid.Type != plan9.QTFILE {
		t.Errorf("stat: %v", d)
	}

	// A new name, mode, time and length, each in a message of its own and in one.
	var null plan9.Dir
	null.Null()
	w := null
	w.Name = "renamed"
	must(t, "wstat of the name", fsys.Wstat("file", &w))
	w = null
	w.Mode, w.Mtime, w.Length = 0o600, 1234567890, 5
	must(t, "wstat of all else", fsys.Wstat("renamed", &w))
	st = hostStat(t, export, "renamed")
	if st.Mode != unix.S_IFREG|0o600 || st.Mtim.Sec != 1234567890 || st.Size != 5 {
		t.Errorf("on the host: mode %o, time %d, %d bytes", st.Mode, st.Mtim.Sec, st.Size)
	}
	must(t, "wstat of nothing", fsys.Wstat("renamed", &null))
	w = null
	w.Name = "../up"
	says(t, "a name with a slash", fsys.Wstat("renamed", &w), "No such file or directory")
	w = null
	w.Uid = "0x"
	if fsys.Wstat("renamed", &w) == nil {
		t.Error("the owner was changed")
	}

	// Directories.
	dir := plan9Create(t, fsys, "dir", plan9.OREAD, plan9.DMDIR|0o755)
	must(t, "close", dir.Close())
	var names []string
	for i := range 1000 {
		name := fmt.Sprintf("%0*d", 4+i%100, i)
		names = append(names, name)
		must(t, "close", plan9Create(t, fsys, "dir/"+name, plan9.OWRITE, 0o644).Close())
	}
	dir, err = fsys.Open("dir", plan9.OREAD)
	must(t, "open", err)
	list, err := dir.Dirreadall()
	must(t, "reading the directory", err)
	must(t, "close", dir.Close())
	var listed []string
	for _, d := range list {
		listed = append(listed, d.Name)
		if d.Length != 0 || d.Mode != 0o644 {
			t.Errorf("listed: %v", d)
		}
	}
	slices.Sort(names)
	slices.Sort(listed)
	if !slices.Equal(listed, names) {
		t.Errorf("the directory has %d names, want %d", len(listed), len(names))
	}

	// Refusals, and files that go when they are closed.
	_, err = fsys.Create("renamed", plan9.OREAD, 0o644)
	says(t, "creating what exists", err, "File exists")
	_, err = fsys.Open("nothing", plan9.OREAD)
	says(t, "opening nothing", err, "No such file or directory")
	_, err = fsys.Open("dir", plan9.OWRITE)
	says(t, "writing a directory", err, "Is a directory")
	_, err = fsys.Create("log", plan9.OWRITE, plan9.DMAPPEND|0o644)
	says(t, "an append-only file", err, "Operation not supported")
	says(t, "removing a full directory", fsys.Remove("dir"), "Directory not empty")
	fid = plan9Create(t, fsys, "scratch", plan9.ORDWR|plan9.ORCLOSE, 0o600)
	hostStat(t, export, "scratch")
	must(t, "close", fid.Close())
	for _, name := range names {
		must(t, "remove", fsys.Remove("dir/"+name))
	}
	must(t, "remove", fsys.Remove("dir"))
	if got := hostList(t, export); !slices.Equal(got, []string{"renamed"}) {
		t.Errorf("at the end the host has %q", got)
	}
}

// TestPlan9Subtree attaches to a directory, for a user whom only the client knows.
func TestPlan9Subtree(t *testing.T) {
	rig.NeedRoot(t)
	export, fsys := plan9Share(t, "glenda", "/sub/tree", func(export string) {
		must(t, "mkdir", os.MkdirAll(filepath.Join(export, "sub", "tree"), 0o755))
	})
	must(t, "close", plan9Create(t, fsys, "file", plan9.OWRITE, 0o666).Close())
	st := hostStat(t, export, "sub", "tree", "file")
	if st.Uid != 65534 || st.Mode != unix.S_IFREG|0o644 { // the directory's permissions bound it
		t.Errorf("the file belongs to user %d and has the mode %o", st.Uid, st.Mode)
	}
	above, err := fsys.Stat("/../../..")
	must(t, "stat above the root", err)
	if root, err := fsys.Stat("/"); err != nil || above.Qid != root.Qid || root.Name != "/" {
		t.Errorf("the root is %v (%v), above it is %v", root, err, above)
	}
}

// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// attach returns the root of a daemon's share, for the rest of the test.
func attach(t *testing.T, d *rig.Daemon) p9.File {
	t.Helper()
	client, err := p9.NewClient(rig.DialRing(t, d.Socket, 1))
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.KeepAlive(root) })
	return root
}

// TestMultiDevs walks to another file system.
func TestMultiDevs(t *testing.T) {
	export := rig.Export(t)
	rig.MountDisk(t, filepath.Join(export, "disk"))
	path := filepath.Join(export, "disk", "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]struct {
		err error
		ino bool
		log bool
	}{
		"remap":  {nil, false, false},
		"forbid": {unix.ENODEV, false, true},
		"warn":   {nil, true, true},
	} {
		d := rig.StartDaemon(t, export, "--multidevs", how)
		qids, _, err := attach(t, d).Walk([]string{"disk", "file"})
		if fmt.Sprint(err) != fmt.Sprint(want.err) { // the client has an Errno of its own
			t.Errorf("--multidevs %s: %v, want %v", how, err, want.err)
		}
		if err == nil && (qids[1].Path == st.Ino) != want.ino {
			t.Errorf("--multidevs %s: path %#x of the inode %#x", how, qids[1].Path, st.Ino)
		}
		if n := strings.Count(d.Log(), "multidevs="+how); (n == 1) != want.log {
			t.Errorf("--multidevs %s: log:\n%s", how, d.Log())
		}
	}
}

// TestWriteOut looks at what becomes of what is written, on ext4.
func TestWriteOut(t *testing.T) {
	export := rig.Export(t)
	disk := filepath.Join(export, "disk")
	rig.MountDisk(t, disk)
	for i, args := range [][]string{nil, {"--writeout", "immediate"}} {
		d := rig.StartDaemon(t, disk, args...)
		name := fmt.Sprint("file", i)
		f, _, _, err := attach(t, d).Create(name, p9.WriteOnly, 0o644, p9.NoUID, p9.GID(os.Getgid()))
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 256<<10)
		if n, err := f.WriteAt(data, 0); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		if got := delayed(t, filepath.Join(disk, name)); got != (args == nil) {
			t.Errorf("%q: waits in memory: %v", args, got)
		}
		runtime.KeepAlive(f)
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// filesScript is what a guest does in both dialects, in a share that fill has filled.
const filesScript = `
files() {
	mkdir work work/empty
	cp host/big work/copy
	cmp host/big work/copy
	echo one >work/file
	echo two >>work/file
	[ "$(cat work/file)" = "$(printf 'one\ntwo')" ]
	printf X | dd of=work/file bs=1 seek=1 conv=notrunc status=none
	truncate -s 5 work/file
	[ "$(cat work/file)" = "$(printf 'oXe\nt')" ]
	: >work/file
	[ ! -s work/file ]
	echo content >work/file
	mv work/file work/renamed
	[ ! -e work/file ]
	[ "$(cat work/renamed)" = content ]
	mv work/renamed moved # to another folder: a copy, in these dialects
	[ "$(cat moved)" = content ]
	chmod 640 moved
	touch -d @1234567890 moved
	[ "$(stat -c '%a %Y' moved)" = '640 1234567890' ]
	mv work/empty work/folder
	mkdir work/folder/sub
	if rmdir work/folder; then false; fi
	rmdir work/folder/sub work/folder
	exec 3<>moved
	rm moved
	echo more >&3
	[ "$(stat -L -c %s /proc/self/fd/3)" = 8 ]
	exec 3>&-
	[ ! -e moved ]
	for i in $(seq 500); do echo "$i" >work/many-$i; done
	[ "$(ls work | wc -l)" = 501 ]
	rm work/many-*
	[ "$(ls work)" = copy ]
	echo durable | dd of=work/synced conv=fsync status=none
	[ "$(cat work/synced)" = durable ]
}
`

// fill makes a folder on the host that both dialects can show in full.
func fill(t *testing.T, export string) {
	t.Helper()
	for _, dir := range []string{"host", "host/sub", "host/sub/below", "host/many"} {
		if err := os.Mkdir(filepath.Join(export, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, strings.Repeat("0123456789abcde\n", 200_000), export, "host", "big")
	for i := range 700 {
		write(t, strings.Repeat("x", i), export, "host", "many", fmt.Sprintf("%0*d", 3+i%200, i))
	}
	for i, name := range []string{"a file", "-rf", "\xff\xfe", "名前", "back\\slash"} {
		path := filepath.Join(export, "host", "sub", "below", name)
		write(t, name, path)
		if err := os.Chmod(path, 0o600|os.FileMode(i)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1e9+int64(i), 0), time.Unix(1e9-int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUMLDotU(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	fill(t, export)
	special := filepath.Join(export, "host", "special")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(special, 0o1777))
	must(os.Chmod(special, 0o777|os.ModeSticky))
	must(os.Symlink("../big", filepath.Join(special, "link")))
	must(os.Symlink(strings.Repeat("t", 4000), filepath.Join(special, "long")))
	must(os.Link(filepath.Join(export, "host", "big"), filepath.Join(special, "second name")))
	for name, n := range map[string]struct {
		mode uint32
		dev  uint64
	}{
		"null": {unix.S_IFCHR | 0o666, unix.Mkdev(1, 3)}, "disk": {unix.S_IFBLK | 0o660, unix.Mkdev(259, 70000)},
		"fifo": {unix.S_IFIFO | 0o600, 0}, "socket": {unix.S_IFSOCK | 0o755, 0}, "program": {unix.S_IFREG | 0o755, 0},
	} {
		must(unix.Mknod(filepath.Join(special, name), n.mode, int(n.dev)))
	}
	must(os.Lchown(filepath.Join(special, "program"), 1000, 2000))
	must(os.Chmod(filepath.Join(special, "program"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(os.Lchown(filepath.Join(special, "link"), 1000, 2000))

	d := rig.StartDaemon(t, export)
	g := rig.UML(t, d, rig.GuestConfig{Version: "9p2000.u", Script: filesScript + `
special() {
	mkdir names
	ln -s ../target names/symlink
	[ "$(readlink names/symlink)" = ../target ]
	echo content >names/file
	ln names/file names/hard
	[ "$(stat -c %h names/file)" = 2 ]
	[ names/file -ef names/hard ]
	echo more >>names/hard
	[ "$(wc -l <names/file)" = 2 ]
	echo new >names/other
	mv -f names/other names/hard # replaces it
	[ "$(cat names/hard)" = new ]
	[ "$(stat -c %h names/file)" = 1 ]
	mknod names/null c 1 3
	mknod names/disk b 259 70000
	mkfifo names/fifo
	[ "$(stat -c '%t:%T' names/disk)" = 103:11170 ]
	echo through >names/fifo &
	[ "$(cat names/fifo)" = through ]
	[ "$(head -c 0 names/null)" = '' ]
	chown 1000:2000 names/file names/null
	chown -h 1000:2000 names/symlink
	chmod 6755 names/file
	chmod 1777 names
	touch -d @987654321 names/file
	[ "$(stat -c '%u:%g %a %Y' names/file)" = '1000:2000 6755 987654321' ]
	cp -a host/special copied
	# As another user: an attach of its own.
	mkdir -m 777 user
	setpriv --reuid=1234 --regid=1234 --clear-groups sh -c 'echo mine >user/file; mkdir user/folder; ln -s x user/link'
	[ "$(stat -c %u user/file user/folder user/link | sort -u)" = 1234 ]
	if setpriv --reuid=1234 --regid=1234 --clear-groups sh -c 'echo x >names/hard'; then false; fi
}
list() { (cd "$1" && LC_ALL=C ls -lRn --time-style=+%s . | grep -av '^total '); }
part files files
part special special
mkdir lists
list host >lists/host
list names >lists/names
list copied >lists/copied
`})
	g.Part("files", time.Minute)
	g.Part("special", time.Minute)
	g.Wait(time.Minute)
	for _, name := range []string{"host", "names", "copied"} {
		sameLines(t, name, hostList(t, filepath.Join(export, name)), read(t, export, "lists", name))
	}
	var st unix.Stat_t
	must(unix.Lstat(filepath.Join(export, "names", "disk"), &st))
	if st.Rdev != unix.Mkdev(259, 70000) || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		t.Errorf("the host has the mode %o and the device %#x", st.Mode, st.Rdev)
	}
	must(unix.Lstat(filepath.Join(export, "user", "file"), &st))
	if st.Uid != 1234 {
		t.Errorf("what user 1234 has made belongs to user %d on the host", st.Uid)
	}
}

// TestUMLPlain mounts by the protocol of Plan 9, which shows names, sizes, permissions
// and times.
func TestUMLPlain(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	fill(t, export)
	d := rig.StartDaemon(t, export)
	g := rig.UML(t, d, rig.GuestConfig{Version: "9p2000", Script: filesScript + `
refused() {
	echo one >one
	echo two >two
	if mv -f one two 2>errors; then false; fi # it may not replace a file
	grep -q 'File exists' errors
	if ln -s x link; then false; fi
	if mknod null c 1 3; then false; fi
	if ln one link; then false; fi
	[ "$(cat one two)" = "$(printf 'one\ntwo')" ]
	mkdir -m 750 bounded
	(umask 0 && echo >bounded/file && mkdir bounded/folder)
	[ "$(stat -c %a bounded/file bounded/folder | tr '\n' ' ')" = '640 750 ' ]
}
part files files
part refused refused
mkdir lists
(cd host && find . -printf '%P %y %m %T@\n' | LC_ALL=C sort) >lists/host
(cd host && find . -type f -printf '%P %s\n' | LC_ALL=C sort) >lists/sizes
(cd host && LC_ALL=C md5sum big many/* sub/below/*) >lists/sums
`})
	g.Part("files", time.Minute)
	g.Part("refused", time.Minute)
	g.Wait(time.Minute)
	for name, command := range map[string]string{
		"host":  `find . -printf '%P %y %m %Ts.0000000000\n' | LC_ALL=C sort`,
		"sizes": `find . -type f -printf '%P %s\n' | LC_ALL=C sort`,
		"sums":  `LC_ALL=C md5sum big many/* sub/below/*`,
	} {
		sameLines(t, name, shell(t, filepath.Join(export, "host"), command), read(t, export, "lists", name))
	}
}

func shell(t *testing.T, dir, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func hostList(t *testing.T, dir string) string {
	t.Helper()
	return shell(t, dir, `LC_ALL=C ls -lRn --time-style=+%s . | grep -av '^total '`)
}

// sameLines compares what host and guest say.
func sameLines(t *testing.T, what, host, guest string) {
	t.Helper()
	if host == guest {
		return
	}
	h, g := strings.Split(host, "\n"), strings.Split(guest, "\n")
	for i := range max(len(h), len(g)) {
		if i >= len(h) || i >= len(g) || h[i] != g[i] {
			t.Errorf("%s: from line %d on the host has\n%s\nand the guest\n%s", what, i+1,
				strings.Join(h[min(i, len(h)):min(i+8, len(h))], "\n"), strings.Join(g[min(i, len(g)):min(i+8, len(g))], "\n"))
			return
		}
	}
}

// TestUMLAname mounts a folder of the share.
func TestUMLAname(t *testing.T) {
	export := rig.Export(t)
	fill(t, export)
	d := rig.StartDaemon(t, export)
	g := rig.UML(t, d, rig.GuestConfig{Options: "aname=/host/sub", Script: `
[ "$(ls)" = below ]
[ "$(cd below/../.. && pwd)" = / ]
cat 'below/a file' >copy
if ln -s /host/big below/absolute && cat below/absolute; then false; fi
ln -s ../../../host/big below/relative
if cat below/relative; then false; fi
`})
	g.Wait(time.Minute)
	if got := read(t, export, "host", "sub", "copy"); got != "a file" {
		t.Errorf("the guest has written %q", got)
	}
}

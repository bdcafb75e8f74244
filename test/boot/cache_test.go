// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// changing is an export whose files the host changes while a guest looks. What they hold
// is letters, of which each change brings the next.
type changing struct {
	t     *testing.T
	dir   string
	turns string // where the guest is told that it may go on
	times int    // changes so far

	program string // says which command it does not know
}

const (
	changedSize = 20_000 // several pages, and a part of one
	grownBy     = 5_000
	letters     = "ABCDEFGH"
)

func newChanging(t *testing.T) *changing {
	t.Helper()
	program, err := os.ReadFile(rig.Program(t, "test/guest"))
	if err != nil {
		t.Fatal(err)
	}
	c := &changing{t: t, program: string(program), dir: rig.Export(t), turns: rig.Dir(t), times: -1}
	for _, name := range []string{"rewritten", "replaced", "grown", "script", "held", "binary", "followed"} {
		write(t, "", c.dir, name)
	}
	for _, name := range []string{"script", "binary"} {
		if err := os.Chmod(filepath.Join(c.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.change()
	return c
}

// over writes over what a file has, without a change of its size, and sets its modification
// time back: only the change time tells.
func (c *changing) over(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *changing) change() {
	c.t.Helper()
	c.times++
	letter := letters[c.times : c.times+1]
	all := strings.Repeat(letter, changedSize)
	c.over("rewritten", all)
	c.over("held", all)
	c.over("script", "#!/bin/sh\necho "+letter+"\n")
	c.over("binary", strings.ReplaceAll(c.program, "no such command", "no such comman"+letter))
	write(c.t, all, c.dir, "replacement")
	if err := os.Rename(filepath.Join(c.dir, "replacement"), filepath.Join(c.dir, "replaced")); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range []string{"grown", "followed"} {
		f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		_, err = f.WriteString(strings.Repeat(letter, grownBy))
		_ = f.Close()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	write(c.t, "", c.dir, "new-"+letter)
}

// next waits until the guest has looked, and lets it go on. It returns what was seen.
func (c *changing) next(g *rig.Guest, turn int, change bool) map[string]string {
	c.t.Helper()
	g.WaitFor(fmt.Sprint("turn ", turn), 1, time.Minute)
	seen := map[string]string{}
	for _, m := range regexp.MustCompile(fmt.Sprintf(`(?m)^%d ([^:]*): (.*)$`, turn)).FindAllStringSubmatch(g.Stdout(), -1) {
		seen[m[1]] = m[2]
	}
	if change {
		c.change()
	}
	write(c.t, "", c.turns, fmt.Sprint(turn))
	return seen
}

// after says what there is to be seen after n changes.
func after(n int) map[string]string {
	letter := letters[n : n+1]
	var grown []string
	for _, l := range letters[:n+1] {
		grown = append(grown, fmt.Sprintf("%dx%c", grownBy, l))
	}
	whole := fmt.Sprintf("%dx%s", changedSize, letter)
	return map[string]string{
		"rewritten": "read " + whole + " mapped " + whole,
		"replaced":  "read " + whole + " mapped " + whole,
		"grown":     "read " + strings.Join(grown, "+") + " mapped " + strings.Join(grown, "+"),
		"script":    letter,
		"binary":    "guest: no such comman" + letter + ": x",
		"size":      fmt.Sprint(grownBy * (n + 1)),
		"new":       fmt.Sprint(n + 1),
	}
}

// looking is what the guest does: "all N" looks at everything, by names.
func (c *changing) looking() string {
	return `
mkdir /tmp/turns
busybox mount -t hostfs -o ` + c.turns + ` none /tmp/turns
turn() {
	echo "turn $1"
	while [ ! -e "/tmp/turns/$1" ]; do sleep 0.02; done
}
all() {
	for name in rewritten replaced grown; do
		echo "$1 $2$name: $("$guest" look $name </dev/null)"
	done
	echo "$1 $2script: $(./script)"
	echo "$1 $2binary: $(./binary x 2>&1)"
	echo "$1 $2size: $(stat -c %s grown)"
	echo "$1 $2new: $(ls | grep -c ^new-)"
}
`
}

// TestUMLCaches has the host change files while guests look that cache in each of the
// ways that Linux has. What must be seen follows from what the driver keeps:
//
//   - none, readahead and mmap keep nothing once a file is closed, so that whoever opens
//     it sees what it holds then;
//   - loose keeps everything until memory is needed for something else. What it shows
//     may be old, but has been true at one time; after drop_caches it is what is.
//
// A file that is open all the time may be shown as it was when it was first read.
func TestUMLCaches(t *testing.T) {
	const changes = 4
	for _, mode := range []string{"none", "readahead", "mmap", "loose"} {
		t.Run(mode, func(t *testing.T) {
			c := newChanging(t)
			d := rig.StartDaemon(t, c.dir)
			g := rig.UML(t, d, rig.GuestConfig{Cache: mode, Script: c.looking() + fmt.Sprintf(`
tail ---disable-inotify -s 0.1 -n +1 -f followed >/tmp/tailed &
coproc holder { exec "$guest" look held; }
for n in {0..%d}; do
	all $n ""
	read -r line <&${holder[0]}
	echo "$n held: $line"
	echo >&${holder[1]} # and it looks again
	echo 3 >/proc/sys/vm/drop_caches
	all $n dropped-
	turn $n
done
follow=%s
for try in {1..100}; do
	[ $follow = none ] || break # the driver shows zeros behind where the last page ended
	if cmp -s followed /tmp/tailed; then echo "all has been followed"; break; fi
	sleep 0.1
done
`, changes, mode)})
			previous := map[string]int{}
			for n := range changes + 1 {
				seen := c.next(g, n, n < changes)
				for name, want := range after(n) {
					if got := seen["dropped-"+name]; got != want {
						t.Errorf("%s, after change %d and drop_caches: %s, want %s", name, n, got, want)
					}
					got := seen[name]
					if mode != "loose" {
						if got != want {
							t.Errorf("%s, after change %d: %s, want %s", name, n, got, want)
						}
						continue
					}
					// As it was once, and not before what was seen before.
					at := -1
					for k := previous[name]; k <= n; k++ {
						if got == after(k)[name] {
							at = k
						}
					}
					if at < 0 {
						t.Errorf("%s, after change %d: %s, which it was at no time since change %d", name, n, got, previous[name])
						continue
					}
					previous[name] = n // drop_caches
				}
				held := seen["held"]
				if !regexp.MustCompile(fmt.Sprintf(`^read %dx[%s] mapped %[1]dx[%s]$`, changedSize, letters[:n+1], letters[:n+1])).MatchString(held) {
					t.Errorf("held open, after change %d: %s, a mixture", n, held)
				}
			}
			out := g.Wait(time.Minute)
			if mode == "none" && !strings.Contains(out, "all has been followed") {
				t.Error("tail -f has not shown what was appended")
			}
		})
	}
}

// TestUMLFSCache has a guest keep what it reads in a cache on a disk of its own, over
// several mounts: what the host has not changed comes from there, and nothing that it
// has, although neither size nor modification time tell.
func TestUMLFSCache(t *testing.T) {
	if rig.Peer() {
		return // others have no metrics, and IDs of other kinds
	}
	c := newChanging(t)
	image := filepath.Join(c.turns, "image")
	write(t, "", c.turns, "image")
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	changed := []bool{true, false, true, false} // before the next look
	d := rig.StartDaemon(t, c.dir)
	g := rig.UML(t, d, rig.GuestConfig{Unmounted: true, Script: c.looking() + fmt.Sprintf(`
mkdir /tmp/cache
mount -o loop /tmp/turns/image /tmp/cache
exec 9<>/dev/cachefiles
for command in "dir /tmp/cache" "tag test" bind; do printf %%s "$command" >&9; done
for n in {0..%d}; do
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,access=client,cache=fscache,cachetag=test %s /mnt
	cd /mnt
	all $n ""
	cd /
	umount /mnt
	turn $n
done
`, len(changed), rig.Tag)})
	read := 0.0
	for n, changes := 0, 0; n <= len(changed); n++ {
		seen := c.next(g, n, n < len(changed) && changed[n])
		for name, want := range after(changes) {
			if seen[name] != want {
				t.Errorf("mount %d: %s: %s, want %s", n, name, seen[name], want)
			}
		}
		total := d.Metrics()["vhost_user_9p_payload_bytes_total"]
		t.Logf("mount %d: %.0f bytes read, entries included", n, total-read)
		if n > 0 && !changed[n-1] && total-read > grownBy {
			t.Errorf("mount %d: %.0f bytes read, although nothing has changed", n, total-read)
		}
		read = total
		if n < len(changed) && changed[n] {
			changes++
		}
	}
	g.Wait(time.Minute)
}

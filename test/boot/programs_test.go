// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: %v, want %v", what, got, want)
	}
	return nil
}

// run runs a program on the host and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Host", "GIT_AUTHOR_EMAIL=host@example.org", "GIT_COMMITTER_NAME=Host", "GIT_COMMITTER_EMAIL=host@example.org")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

const gitScript = `
clone() {
	export HOME=/tmp GIT_AUTHOR_NAME=Guest GIT_AUTHOR_EMAIL=guest@example.org
	export GIT_COMMITTER_NAME=Guest GIT_COMMITTER_EMAIL=guest@example.org
	git clone --quiet "$1" "$2"
	cd "$2"
	test -z "$(git status --porcelain)"
	git fsck --full --strict
	git rev-parse HEAD >../$2.head
	echo change >>file-7
	rm file-8
	echo new >untracked
	test "$(git status --porcelain)" = " M file-7
 D file-8
?? untracked"
	git add --all
	git commit --quiet -m guest
	git checkout --quiet side
	test "$(cat file-7)" = "side"
	git checkout --quiet main
	git gc --quiet
	git push --quiet origin main:guest-$2
	test -z "$(git status --porcelain)"
}
`

// gitRepository makes a small repository.
func gitRepository(t *testing.T, dir string) (head string) {
	t.Helper()
	git := func(args ...string) string { return run(t, "git", append([]string{"-C", dir}, args...)...) }
	if err := os.MkdirAll(filepath.Join(dir, "deep/er"), 0o755); err != nil {
		t.Fatal(err)
	}
	git("init", "--quiet", "--initial-branch=main")
	for commit := range 15 {
		for n := range 12 {
			write(t, strings.Repeat(fmt.Sprintf("commit %d file %d\n", commit, n), 1+n*20), dir, fmt.Sprintf("file-%d", n))
		}
		write(t, fmt.Sprint(commit), dir, "deep/er", fmt.Sprint("only-", commit))
		if commit == 3 {
			if err := os.Symlink("file-1", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		git("add", "--all")
		git("commit", "--quiet", "-m", fmt.Sprint("commit ", commit))
	}
	git("checkout", "--quiet", "-b", "side", "HEAD~5")
	write(t, "side", dir, "file-7")
	git("commit", "--quiet", "-a", "-m", "side")
	git("checkout", "--quiet", "main")
	return strings.TrimSpace(git("rev-parse", "HEAD"))
}

const sqliteScript = `
database() { # writers, transactions of each
	sqlite3 -batch -bail db 'PRAGMA journal_mode=DELETE;
		CREATE TABLE entries (id INTEGER PRIMARY KEY, writer, n, text, UNIQUE (writer, n));
		CREATE TABLE counter (value); INSERT INTO counter VALUES (0);'
	writer() {
		for n in $(seq "$2"); do
			echo "BEGIN IMMEDIATE;
			INSERT INTO entries (writer, n, text) VALUES ('guest $1', $n, printf('%0*d', $n * 37, $n));
			UPDATE counter SET value = value + 1;
			COMMIT;"
		done | sqlite3 -batch -bail -cmd '.timeout 120000' db
	}
	echo database ready
	pids=
	for w in $(seq "$1"); do
		writer "$w" "$2" &
		pids="$pids $!"
	done
	for pid in $pids; do wait "$pid"; done
	# The host may still be writing: a reader waits, too.
	query() { sqlite3 -batch -bail -cmd '.timeout 120000' db "$1"; }
	test "$(query 'PRAGMA integrity_check')" = ok
	test "$(query "SELECT count(*) FROM entries WHERE writer LIKE 'guest%'")" = $(($1 * $2))
}
`

func TestUMLPrograms(t *testing.T) { testPrograms(t, rig.UML, 4, 100) }

func TestQEMUPrograms(t *testing.T) { testPrograms(t, rig.QEMU, 3, 15) }

// testPrograms has git and sqlite work in the share: git on a repository that the host
// has made, sqlite with several writers in the guest and, at once, one on the host.
func testPrograms(t *testing.T, vehicle rig.Vehicle, writers, transactions int) {
	export := rig.Export(t)
	head := gitRepository(t, filepath.Join(export, "origin"))
	d := rig.StartDaemon(t, export)
	g := vehicle(t, d, rig.GuestConfig{Script: gitScript + sqliteScript + fmt.Sprintf(`
part git-hardlinks clone /mnt/origin linked
part git-transport clone file:///mnt/origin copied
part sqlite database %d %d
`, writers, transactions)})
	g.Part("git-hardlinks", 5*time.Minute)
	g.Part("git-transport", 5*time.Minute)
	g.WaitFor("database ready", 1, time.Minute)
	db := filepath.Join(export, "db")
	onHost := 0
	if !rig.Peer() { // other servers' locks do not reach the host
		onHost = transactions
		for n := range onHost {
			run(t, "sqlite3", "-batch", "-bail", "-cmd", ".timeout 120000", db, fmt.Sprintf(`BEGIN IMMEDIATE;
				INSERT INTO entries (writer, n) VALUES ('host', %d); UPDATE counter SET value = value + 1; COMMIT;`, n))
		}
	}
	g.Part("sqlite", 5*time.Minute)
	g.Wait(time.Minute)

	for _, clone := range []string{"linked", "copied"} {
		if got := strings.TrimSpace(read(t, export, clone+".head")); got != head {
			t.Errorf("git: the clone %s has the head %s, want %s", clone, got, head)
		}
		dir := filepath.Join(export, clone)
		run(t, "git", "-C", dir, "fsck", "--full", "--strict")
		if got := run(t, "git", "-C", dir, "status", "--porcelain"); got != "" {
			t.Errorf("git: on the host the clone %s is not clean: %s", clone, got)
		}
		pushed := run(t, "git", "-C", filepath.Join(export, "origin"), "rev-parse", "guest-"+clone)
		if got := run(t, "git", "-C", dir, "rev-parse", "main"); got != pushed {
			t.Errorf("git: the clone %s is at %s, what it pushed is %s", clone, got, pushed)
		}
	}
	want := strconv.Itoa(writers*transactions + onHost)
	for query, want := range map[string]string{
		"PRAGMA integrity_check":                         "ok",
		"PRAGMA journal_mode":                            "delete",
		"SELECT count(*) FROM entries":                   want,
		"SELECT value FROM counter":                      want,
		"SELECT count(DISTINCT writer) > 1 FROM entries": "1",
	} {
		if got := strings.TrimSpace(run(t, "sqlite3", db, query)); got != want {
			t.Errorf("sqlite: %s gives %s on the host, want %s", query, got, want)
		}
	}
}

// TestUMLTools uses the tools that everybody uses, each on a tree with files of every
// kind.
func TestUMLTools(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	want := generate(t, filepath.Join(export, "src"), tree.Spec{Seed: 11, Files: 400, WholeSeconds: true})
	d := rig.StartDaemon(t, export)
	g := rig.UML(t, d, rig.GuestConfig{Cache: "readahead", Options: "posixacl", Script: `
export LC_ALL=C
mkdir out

cp_a() {
	cp -a --sparse=always src cp # 9P does not say where holes are
	"$guest" manifest cp >out/cp
	cp -a --link src linked
	test "$(find linked -type f -links 1 | wc -l)" = 0
	rm -r linked
}
rsync_a() {
	rsync -aHAXSU --numeric-ids src/ rsync/
	"$guest" manifest rsync >out/rsync
	test -z "$(rsync -aHAXSUnc --delete --numeric-ids --itemize-changes src/ rsync/)"
}
tar_a() {
	tar --create --sparse --numeric-owner --xattrs --xattrs-include='user.*' --format=posix --file=tar.tar -C src . 2>&1 |
		grep -v 'socket ignored' || true
	mkdir tar
	tar --extract --same-owner --numeric-owner -p --xattrs --xattrs-include='user.*' --file=tar.tar -C tar
	"$guest" manifest tar >out/tar
	rm tar.tar
}
find_() {
	find src | wc -l >out/find
	find src -type f -size +100k | wc -l >>out/find
	find src -perm -4000 | wc -l >>out/find
	find src ! -newermt 2000-01-01 | wc -l >>out/find
	find src -uid 1000 -o -gid 65534 | wc -l >>out/find
	find src -type f -links +1 -samefile "$(find src -type f -links +1 -print -quit)" | wc -l >>out/find
	ls -lARU --time-style=full-iso src | wc -l >>out/find
}
du_() { du -s --block-size=1 src | cut -f 1 >out/du; du -s --apparent-size --block-size=1 src | cut -f 1 >>out/du; }
rm_r() {
	rm -r cp
	test ! -e cp
	mkdir -p many
	(cd many && seq 3000 | xargs touch)
	test "$(ls many | wc -l)" = 3000
	rm -r many
	test ! -e many
}
shell() {
	mkdir shell
	cd shell
	echo one >f
	echo two >>f
	printf 'one\ntwo\n' | cmp - f
	sed -i s/two/three/ f
	sort -r -o f f
	test "$(cat f)" = "three
one"
	install -m 4750 -o 12 -g 34 f g
	test "$(stat -c '%a %u %g' g)" = "4750 12 34"
	chown 56 g # which takes the set-id bits away
	test "$(stat -c '%a %u %g' g)" = "750 56 34"
	chmod -R u+s,g=,o+t .
	chown -R 7:8 .
	test "$(stat -c '%a %u %g' g)" = "1700 7 8"
	: >f
	test ! -s f
	truncate -s 12345 f
	test "$(stat -c %s f)" = 12345
	fallocate -l 20000 f 2>/dev/null || test $? = 1
	dd if=/dev/zero of=f bs=1000 count=3 oflag=append conv=notrunc status=none
	mkfifo p
	(echo through the pipe >p) &
	test "$(cat p)" = "through the pipe"
	wait
	ln -s loop loop
	! cat loop
	ln -s f s
	test "$(readlink s)" = f
	mv -T s t
	touch -d '2001-02-03 04:05:06' g
	test "$(stat -c %y g)" = "2001-02-03 04:05:06.000000000 +0000"
	setfattr -n user.key -v value g
	test "$(getfattr --only-values -n user.key g)" = value
	setfattr -x user.key g
	! getfattr -n user.key g 2>/dev/null
	setfacl -m u:1234:rwx g
	getfacl -cn g | grep -qx user:1234:rwx
	cp --preserve=all g h
	getfacl -cn h | grep -qx user:1234:rwx
	head -c 3000000 /dev/urandom >r
	sha256sum r >sums
	cp r r2
	cmp r r2
	sha256sum -c sums
	split -b 100000 r part.
	cat part.* | cmp - r
	flock f true
	chmod 600 r
	! setpriv --reuid=1000 --regid=1000 --clear-groups cat r 2>/dev/null
	chmod 777 .
	setpriv --reuid=1000 --regid=1001 --clear-groups touch mine
	test "$(stat -c '%u %g' mine)" = "1000 1001"
	stat -f -c '%S %b' . >../out/df
	df . >/dev/null
	cp /bin/true ./true
	./true
	setpriv --reuid=1000 --clear-groups ./true
}
part cp cp_a
part rsync rsync_a
part tar tar_a
part find find_
part du du_
part rm rm_r
part shell shell
`})
	for _, part := range []string{"cp", "rsync", "tar", "find", "du", "rm", "shell"} {
		g.Part(part, 2*time.Minute)
	}
	g.Wait(time.Minute)
	if t.Failed() {
		return
	}
	out := filepath.Join(export, "out")
	for _, c := range []struct{ name, want, got string }{
		{"cp", want, read(t, out, "cp")},
		{"rsync", inRsync(want), inRsync(read(t, out, "rsync"))},
		{"rsync, on the host", inRsync(want), inRsync(manifest(t, filepath.Join(export, "rsync")))},
		{"tar", inTar(want), inTar(read(t, out, "tar"))},
	} {
		if err := tree.Compare(c.want, c.got); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	src := filepath.Join(export, "src")
	sh := func(command string) string { return run(t, "sh", "-c", "cd '"+export+"' && "+command) }
	if want, got := sh(`
		find src | wc -l
		find src -type f -size +100k | wc -l
		find src -perm -4000 | wc -l
		find src ! -newermt 2000-01-01 | wc -l
		find src -uid 1000 -o -gid 65534 | wc -l
		find src -type f -links +1 -samefile "$(find src -type f -links +1 -print -quit)" | wc -l >/dev/null`), read(t, out, "find"); !strings.HasPrefix(got, want) {
		t.Errorf("find: on the host:\n%s in the guest:\n%s", want, got)
	}
	if want, got := diskUsage(t, src), strings.Fields(read(t, out, "du"))[0]; got != want {
		t.Errorf("du: %s bytes in the guest, %s on the host", got, want)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(export, &st); err != nil {
		t.Fatal(err)
	}
	if want, got := fmt.Sprintf("%d %d\n", st.Bsize, st.Blocks), read(t, out, "df"); got != want {
		t.Errorf("stat -f: %q in the guest, %q on the host", got, want)
	}
}

var (
	folder     = regexp.MustCompile(`^\S+ d`)
	socket     = regexp.MustCompile(`^\S+ s`)
	special    = regexp.MustCompile(`^\S+ [pcb]`)
	accessTime = regexp.MustCompile(` atime=\S+`)
	hardLinks  = regexp.MustCompile(` (links|same)=\S+`)
)

// inRsync leaves of a manifest what rsync keeps: no access times of folders.
func inRsync(manifest string) string {
	var b strings.Builder
	for line := range strings.Lines(manifest) {
		if folder.MatchString(line) {
			line = accessTime.ReplaceAllString(line, "")
		}
		b.WriteString(line)
	}
	return b.String()
}

// inTar leaves of a manifest what tar keeps: no sockets, no access times, no hard links
// of pipes and devices.
func inTar(manifest string) string {
	var b strings.Builder
	for line := range strings.Lines(manifest) {
		if socket.MatchString(line) {
			continue
		}
		if special.MatchString(line) {
			line = hardLinks.ReplaceAllString(line, "")
		}
		b.WriteString(accessTime.ReplaceAllString(line, ""))
	}
	return b.String()
}

// diskUsage adds the blocks of a tree up, each inode once.
func diskUsage(t *testing.T, dir string) string {
	t.Helper()
	seen := map[uint64]bool{}
	sum := int64(0)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if !seen[st.Ino] {
			seen[st.Ino] = true
			sum += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(sum)
}

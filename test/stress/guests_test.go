// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

const (
	each         = 2 // processes in a guest
	increments   = 300
	messages     = 150
	transactions = 60
	commits      = 2
	ranges       = 5 * time.Second
)

// twoGuests is what each of two guests does in the folder "work" of the export; $me is 0 or
// 1. The guests meet before each part.
const twoGuests = `
meet() { # both guests have come this far
	: >/mnt/meet/$1.$me
	while [ ! -e /mnt/meet/$1.$((1 - me)) ]; do sleep 0.05; done
}
several() { # COMMAND...: runs it once for each process of this guest, with its number
	local pids= n
	for n in $(seq $((me * each)) $((me * each + each - 1))); do
		"$@" "$n" &
		pids="$pids $!"
	done
	for n in $pids; do wait "$n"; done
}

alone() { "$guest" fsx -nolinks -noappend -map read -ops 250 -seed $((100 + $1)) "alone-$1"; }
shared() { "$guest" stripes -id "$1" -of $processes -for $ranges stripes; }
count() { "$guest" counter -lock "$1" -n $increments "counter-$1"; }
mail() { "$guest" mail -id "$1" -of $processes -n $messages mail; }

insert() {
	local n
	for n in $(seq $transactions); do
		echo "BEGIN IMMEDIATE; INSERT INTO entries (writer, n, text) VALUES ($1, $n, hex(randomblob($n * 20)));
		UPDATE counter SET value = value + 1; COMMIT;"
	done | sqlite3 -batch -bail -cmd '.timeout 120000' db
}
sqlite() {
	if [ $me = 0 ]; then
		sqlite3 -batch -bail db 'PRAGMA journal_mode=DELETE;
			CREATE TABLE entries (writer, n, text, UNIQUE (writer, n));
			CREATE TABLE counter (value); INSERT INTO counter VALUES (0);'
	fi
	meet sqlite-made
	several insert
	test "$(sqlite3 -batch -bail -cmd '.timeout 120000' db 'PRAGMA integrity_check')" = ok
}

push() {
	local n
	git clone --quiet /mnt/work/bare.git "clone-$1"
	cd "clone-$1"
	for n in $(seq $commits); do
		echo "commit $n" >"file-$1-$n"
		git add --all
		git commit --quiet -m "$1 $n"
		until git push --quiet origin HEAD:main; do
			git pull --quiet --rebase origin main
		done
	done
	git fsck --full --strict
}
git_() {
	export HOME=/tmp GIT_AUTHOR_NAME=Guest GIT_AUTHOR_EMAIL=guest@example.org
	export GIT_COMMITTER_NAME=Guest GIT_COMMITTER_EMAIL=guest@example.org
	if [ $me = 0 ]; then
		git init --quiet --bare --initial-branch=main bare.git
		git clone --quiet bare.git first
		(cd first && git commit --quiet --allow-empty -m first && git push --quiet origin HEAD:main)
	fi
	meet git-made
	several push
}

cd work
meet begin; part alone several alone
meet shared; part shared several shared
for lock in fcntl ofd flock; do meet $lock; part $lock several count $lock; done
meet mail; part mail several mail
meet sqlite; part sqlite sqlite
meet git; part git git_
meet end
"$guest" manifest /mnt/work >/mnt/manifest-$me
`

// accessTime is what every reader of a tree changes, in a manifest.
var accessTime = regexp.MustCompile(` atime=\S+`)

// TestTwoGuests has two guests, each with a daemon of its own, work on one export at once.
func TestTwoGuests(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	work := filepath.Join(export, "work")
	for _, dir := range []string{work, filepath.Join(export, "meet")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const processes = 2 * each
	var daemons [2]*rig.Daemon
	var before [2]usage
	var guests [2]*rig.Guest
	for me := range guests {
		daemons[me] = rig.StartDaemon(t, export)
		before[me] = usageOf(t, daemons[me])
		guests[me] = rig.UML(t, daemons[me], rig.GuestConfig{Script: fmt.Sprintf(
			"me=%d each=%d processes=%d increments=%d messages=%d transactions=%d commits=%d ranges=%v\n",
			me, each, processes, increments, messages, transactions, commits, ranges) + twoGuests})
	}
	for _, part := range []string{"alone", "shared", "fcntl", "ofd", "flock", "mail", "sqlite", "git"} {
		for _, g := range guests {
			g.Part(part, 3*time.Minute)
		}
	}
	for _, g := range guests {
		g.Wait(time.Minute)
	}
	for me, d := range daemons {
		nothingLeft(t, d, before[me])
	}

	helper(t, "verifystripes", "-of", fmt.Sprint(processes), filepath.Join(work, "stripes"))
	helper(t, "verifymail", "-of", fmt.Sprint(processes), "-n", fmt.Sprint(messages), filepath.Join(work, "mail"))
	for _, lock := range []string{"fcntl", "ofd", "flock"} {
		want := fmt.Sprintf("%020d\n", processes*increments)
		if got := read(t, work, "counter-"+lock); got != want {
			t.Errorf("%s: %d increments have made %q of 0: updates were lost", lock, processes*increments, got)
		}
	}
	for query, want := range map[string]string{
		"PRAGMA integrity_check":                     "ok",
		"SELECT count(*) FROM entries":               fmt.Sprint(processes * transactions),
		"SELECT value FROM counter":                  fmt.Sprint(processes * transactions),
		"SELECT count(DISTINCT writer) FROM entries": fmt.Sprint(processes),
	} {
		if got := run(t, "sqlite3", filepath.Join(work, "db"), query); got != want {
			t.Errorf("sqlite: %s gives %s on the host, want %s", query, got, want)
		}
	}
	bare := filepath.Join(work, "bare.git")
	run(t, "git", "-C", bare, "fsck", "--full", "--strict")
	if got, want := run(t, "git", "-C", bare, "rev-list", "--count", "main"), fmt.Sprint(1+processes*commits); got != want {
		t.Errorf("git: %s commits have arrived, want %s", got, want)
	}
	if got := strings.Count(run(t, "git", "-C", bare, "ls-tree", "--name-only", "main"), "file-"); got != processes*commits {
		t.Errorf("git: %d files have arrived, want %d", got, processes*commits)
	}
	want := accessTime.ReplaceAllString(manifest(t, work), "")
	for me := range guests {
		got := accessTime.ReplaceAllString(read(t, export, fmt.Sprint("manifest-", me)), "")
		if err := tree.Compare(want, got); err != nil {
			t.Errorf("guest %d sees another tree than the host: %v", me, err)
		}
	}
}

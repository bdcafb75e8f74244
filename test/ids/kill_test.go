// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// killing says how a daemon is killed.
type killing struct {
	round int
	few   int      // how many file systems come
	first []string // where the guest begins to look at what is known
}

// killWhileNew has a guest look at everything; then at file systems that are new, while
// which the daemon is killed, at any moment, and the guest with it. Then another daemon
// runs.
func killWhileNew(t *testing.T, s *site, d *rig.Daemon, l *ledger, k killing) {
	t.Helper()
	g := rig.UML(t, d, rig.GuestConfig{Script: look(k.round, k.first...) + fmt.Sprintf(`
echo ready
while [ ! -e go-%d ]; do sleep 0.02; done
for n in 0 1 2 3; do $guest ids -seed %d new/%d-$n; done
echo done
sleep 1000
`, k.round, k.round, k.round)})
	g.WaitFor("ready", 1, patience)
	l.whole(fmt.Sprintf("before round %d", k.round), g.Stdout())
	files := 0
	for n := range k.few { // some in one folder, whose list tells of them all at once
		v := &volume{at: fmt.Sprintf("new/%d-%d/fs-%d", k.round, n%4, n), fill: func(t *testing.T, dir string) { few(t, filepath.Join(dir, "files")) }}
		if n == 1 && len(s.spare) > 0 {
			v.disk, s.spare = s.spare[0], s.spare[1:]
		}
		s.add(v)
		files += 5
	}
	known := strings.Count(g.Stdout(), "\nid ")
	must(t, os.WriteFile(filepath.Join(s.export, fmt.Sprint("go-", k.round)), nil, 0o644))
	// A random moment: so many files after the first one.
	until := rand.IntN(files)
	deadline := time.Now().Add(patience)
	for strings.Count(g.Stdout(), "\nid ")-known < until && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	d.Kill()
	output := g.Stdout()
	g.Kill()
	told := strings.Count(output, "\nid ") - known
	t.Logf("round %d: killed when the guest had been told of %d of at least %d new files, %d were aimed at", k.round, told, files, until)
	if told < until {
		t.Errorf("round %d: the guest has not come to %d files in %v", k.round, until, patience)
	}
	l.enter(fmt.Sprintf("round %d, before the daemon was killed", k.round), output)
	d.Start()
}

// TestUMLKilled kills the daemon again and again while a table grows, from attributes that
// hold some dozen entries into the state directory.
func TestUMLKilled(t *testing.T) {
	s := newSite(t)
	s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{BlockSize: 1024})})
	addSubmounts(t, s)
	s.up(false)
	l := newLedger(t)
	d := rig.StartDaemon(t, s.export)
	for round := range 6 {
		killWhileNew(t, s, d, l, killing{round: round, few: 16, first: []string{submounts[round%len(submounts)]}})
	}
	l.whole("at the end", looked(t, d, 7))
	wantTable(t, d, "file")
}

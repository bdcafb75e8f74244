// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
)

// guestCase is a case of the program load, which says what each does.
type guestCase struct {
	name   string
	depths []int // threads in the guest
	// amount is how much a program is to do; 0 for cases that take a time.
	amount int
	// prepare changes the export, on the host, before each round.
	prepare func(t *testing.T, export string)
}

// guestSystem is a server and its guest.
type guestSystem struct {
	name  string
	guest *rig.Guest
	d     *rig.Daemon
	meter meter
	// side is what is logged apart: QEMU's threads while another process serves.
	side *meter
}

// vehicle is a way to run guests, and how they are measured.
type vehicle struct {
	rig   string
	start rig.Vehicle
	peer  string
	slow  bool // emulated
}

func TestGuestsUML(t *testing.T) {
	compareGuests(t, vehicle{rig: "uml", start: rig.UML, peer: "virtiofsd"})
}

func TestGuestsQEMU(t *testing.T) {
	compareGuests(t, vehicle{rig: "qemu", start: rig.QEMU, peer: "qemu", slow: true})
}

// requests are the cases that make one kind of request, as often as they can.
func requests() []guestCase {
	var all []guestCase
	for _, name := range []string{
		"getattr", "walk 1", "walk 8", "lookup of a missing name", "open+close", "create+unlink", "mkdir+rmdir", "rename",
		"readdir of 10,000", "read 4 KiB", "write 4 KiB", "read 128 KiB", "write 128 KiB", "read 1 MiB", "write 1 MiB", "write 4 KiB+fsync",
	} {
		all = append(all, guestCase{name: name, depths: []int{1, threads}})
	}
	return all
}

// programs are the cases that run a program; files is the size of the tree.
func programs(files int) []guestCase {
	one := []int{1}
	return []guestCase{
		{name: "git status, per file", depths: one, amount: files},
		{name: "untar, per file", depths: one, amount: files, prepare: noTree},
		{name: "rm -r, per file", depths: one, amount: files, prepare: treeToRemove},
		{name: "sqlite insert", depths: one, amount: max(10, files/100), prepare: noDatabase},
		{name: "fio random read", depths: []int{1, threads}, amount: 2}, // seconds
	}
}

// compareGuests runs all cases in two guests that differ only in who serves them.
func compareGuests(t *testing.T, v vehicle) {
	rig.NeedRoot(t)
	wanted, err := regexp.Compile(*guestCases)
	if err != nil {
		t.Fatal(err)
	}
	files, rounds := *guestFiles, *guestRounds
	if v.slow {
		files, rounds = max(1, files/10), (rounds+1)/2
	}
	systems := []*guestSystem{
		startGuest(t, v, "vhost-user-9p", "", files),
		startGuest(t, v, v.peer, v.peer, files),
	}
	for _, c := range requests() {
		if wanted.MatchString(c.name) {
			compareCase(t, v, systems, c, *guestRounds)
		}
	}
	for _, c := range programs(files) {
		if wanted.MatchString(c.name) {
			compareCase(t, v, systems, c, rounds)
		}
	}
	for _, s := range systems {
		s.guest.Say("end")
		s.guest.Wait(time.Minute)
	}
}

func startGuest(t *testing.T, v vehicle, name, peer string, files int) *guestSystem {
	t.Helper()
	export := rig.Export(t)
	fill(t, export, files)
	s := &guestSystem{name: name, d: rig.StartServer(t, peer, export)}
	s.guest = v.start(t, s.d, rig.GuestConfig{Input: true, Programs: []string{"test/bench/load"}, Script: `exec /run/vm/load /mnt`})
	emulator := meter{pid: s.guest.Pid(), emulator: true}
	switch {
	case peer == "qemu":
		s.meter = emulator
	case v.rig == "qemu":
		s.meter, s.side = meter{pid: s.d.Pid()}, &emulator
	default:
		s.meter = meter{pid: s.d.Pid()}
	}
	return s
}

// compareCase has each system run a case in turn, and records what they did after a first
// round.
func compareCase(t *testing.T, v vehicle, systems []*guestSystem, c guestCase, rounds int) {
	t.Helper()
	for _, depth := range c.depths {
		results := make([]report.Result, len(systems))
		for round := range rounds + 1 {
			for i, s := range systems {
				measured := s.round(t, c, depth)
				results[i].Rig, results[i].Case, results[i].Depth, results[i].System = v.rig, c.name, depth, s.name
				if round > 0 {
					results[i].Rounds = append(results[i].Rounds, measured)
				}
			}
		}
		record(results...)
		var b strings.Builder
		if err := report.Print(&b, results); err != nil {
			t.Fatal(err)
		}
		t.Log(b.String())
	}
}

// round runs a case once.
func (s *guestSystem) round(t *testing.T, c guestCase, depth int) report.Round {
	t.Helper()
	if c.prepare != nil {
		c.prepare(t, s.d.Export)
	}
	amount := guestTime.String()
	if c.amount > 0 {
		amount = fmt.Sprint(c.amount)
	}
	s.guest.Say(fmt.Sprintf("%s\t%d\t%s", c.name, depth, amount))
	if line := s.guest.Hear(time.Minute); line != "ready" {
		t.Fatalf("%s: %s, depth %d: %s", s.name, c.name, depth, line)
	}
	before := s.meter.read(t)
	var sideBefore usage
	if s.side != nil {
		sideBefore = s.side.read(t)
	}

	s.guest.Say("go")
	line := s.guest.Hear(10 * time.Minute)
	var r report.Round
	if _, err := fmt.Sscanf(line, "done %d %d %d", &r.Operations, &r.Bytes, &r.Elapsed); err != nil {
		t.Fatalf("%s: %s, depth %d: %s", s.name, c.name, depth, line)
	}
	r.CPU, r.Switches = s.meter.since(t, before)
	if s.side != nil {
		cpu, _ := s.side.since(t, sideBefore)
		t.Logf("%s, depth %d: %v of the daemon for each operation, and %v of QEMU's threads", c.name, depth,
			r.CPU/time.Duration(max(1, r.Operations)), cpu/time.Duration(max(1, r.Operations)))
	}
	return r
}

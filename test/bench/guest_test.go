// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
)

// guestCase is a case of the program load, which says what each does.
type guestCase struct {
	name   string
	depths []int // threads in the guest; 0 where the program has its own
	// amount is how much a program is to do; 0 for cases that take a time.
	amount int
	// prepare changes the export, on the host, before each round.
	prepare func(t *testing.T, export string)
}

// guestSuite is a set of cases.
type guestSuite struct {
	name  string
	cache string // of 9p mounts
	fill  func(t *testing.T, export string)
	cases []guestCase
}

// guestSystem is a server and its guest.
type guestSystem struct {
	name   string
	guest  *rig.Guest
	daemon *rig.Daemon
	meter  meter
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

// suites are the cases of which each set has guests of its own.
func suites(files int) []guestSuite {
	own, both := []int{0}, []int{1, threads}
	var requests, streams []guestCase
	for _, name := range []string{
		"getattr", "walk 1", "walk 8", "lookup of a missing name", "open+close", "create+unlink", "mkdir+rmdir", "rename",
		"readdir of 10,000", "read 4 KiB", "write 4 KiB", "write 4 KiB+fsync",
	} {
		requests = append(requests, guestCase{name: name, depths: both})
	}
	for _, name := range []string{"read 128 KiB", "write 128 KiB", "read 1 MiB", "write 1 MiB"} {
		streams = append(streams, guestCase{name: name, depths: both})
	}
	return []guestSuite{
		{"requests", "none", fillFolders, requests},
		{"streams", "mmap", fillFolders, streams},
		{"programs", "none", func(t *testing.T, export string) { fillTree(t, export, files) }, []guestCase{
			{name: "git status, per file", depths: own, amount: files},
			{name: "untar, per file", depths: own, amount: files, prepare: noTree},
			{name: "rm -r, per file", depths: own, amount: files, prepare: treeToRemove},
			{name: "sqlite insert", depths: own, amount: max(10, files/100), prepare: noDatabase},
			{name: "fio random read", depths: both, amount: 2}, // seconds
		}},
	}
}

// compareGuests runs all cases in pairs of guests that differ only in who serves them.
func compareGuests(t *testing.T, v vehicle) {
	rig.NeedRoot(t)
	wanted, err := regexp.Compile(*guestCases)
	if err != nil {
		t.Fatal(err)
	}
	files := *guestFiles
	if v.slow {
		files = max(1, files/10)
	}
	for _, suite := range suites(files) {
		suite.cases = slices.DeleteFunc(suite.cases, func(c guestCase) bool { return !wanted.MatchString(c.name) })
		if len(suite.cases) == 0 {
			continue
		}
		t.Run(suite.name, func(t *testing.T) {
			systems := []*guestSystem{
				startGuest(t, v, suite, "vhost-user-9p", ""),
				startGuest(t, v, suite, v.peer, v.peer),
			}
			for _, c := range suite.cases {
				rounds := *guestRounds
				if v.slow && c.amount > 0 {
					rounds = (rounds + 1) / 2
				}
				compareCase(t, v, systems, c, rounds)
			}
			for _, s := range systems {
				s.guest.Say("end")
				s.guest.Wait(time.Minute)
			}
		})
	}
}

func startGuest(t *testing.T, v vehicle, suite guestSuite, name, peer string) *guestSystem {
	t.Helper()
	export := rig.Export(t)
	suite.fill(t, export)
	s := &guestSystem{name: name, daemon: rig.StartServer(t, peer, export)}
	s.guest = v.start(t, s.daemon, rig.GuestConfig{
		Input: true, Cache: suite.cache, Programs: []string{"test/bench/load"}, Script: `exec /run/vm/load /mnt`,
	})
	emulator := meter{pid: s.guest.Pid(), emulator: true}
	switch {
	case peer == "qemu":
		s.meter = emulator
	case v.rig == "qemu":
		s.meter, s.side = meter{pid: s.daemon.Pid()}, &emulator
	default:
		s.meter = meter{pid: s.daemon.Pid()}
	}
	return s
}

// compareCase has each system run a case in turn, and records what they did after a first
// round.
func compareCase(t *testing.T, v vehicle, systems []*guestSystem, c guestCase, rounds int) {
	t.Helper()
	for _, depth := range c.depths {
		var results []report.Result
		for _, s := range systems {
			results = append(results, report.Result{Rig: v.rig, Case: c.name, Depth: depth, System: s.name})
		}
		for round := range rounds + 1 {
			for i, s := range systems {
				measured := s.round(t, c, depth)
				if round > 0 {
					results[i].Rounds = append(results[i].Rounds, measured)
				}
			}
		}
		record(results...)
	}
}

// round runs a case once.
func (s *guestSystem) round(t *testing.T, c guestCase, depth int) report.Round {
	t.Helper()
	if c.prepare != nil {
		c.prepare(t, s.daemon.Export)
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
	line := s.guest.Hear(30 * time.Minute)
	var r report.Round
	if _, err := fmt.Sscanf(line, "done %d %d %d", &r.Operations, &r.Bytes, &r.Elapsed); err != nil {
		t.Fatalf("%s: %s, depth %d: %s", s.name, c.name, depth, line)
	}
	r.CPU, r.Switches = s.meter.since(t, before)
	each := time.Duration(max(1, r.Operations))
	note := ""
	if s.side != nil {
		cpu, _ := s.side.since(t, sideBefore)
		note = fmt.Sprintf(", and %v of QEMU's threads", cpu/each)
	}
	t.Logf("%s, depth %d, %s: %d in %v, each %v of CPU time%s", c.name, depth, s.name, r.Operations, r.Elapsed.Round(time.Millisecond), r.CPU/each, note)
	return r
}

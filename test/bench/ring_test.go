// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"cmp"
	"flag"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
)

var (
	rounds     = flag.Int("rounds", 5, "rounds of each case")
	roundTime  = flag.Duration("time", 200*time.Millisecond, "time of each system in a round of a case")
	onlyCases  = flag.String("cases", "", "regular expression: only cases whose name it matches")
	onlyDepths = flag.String("depths", "", "operations in flight, comma-separated (together: 1,16; else 1,4,16,64)")
	onlyPlaces = flag.String("place", "together,apart", "processors of the driver and the servers, comma-separated: together on one, apart, or free")
	onlySystem = flag.String("systems", "", "names of systems, comma-separated: only these")
	daemonArgs = flag.String("daemon-args", "", "more arguments of the daemon")
	oldArgs    = flag.String("old-args", "", "more arguments of the daemon in V9P_BENCH_OLD")
)

// rigs are the names of what is measured in each placement.
var rigs = map[drive.Placement]string{
	drive.Together: "ring, one processor",
	drive.Apart:    "ring, two processors",
	drive.Free:     "ring",
}

// system is a server with a name.
type system struct {
	name string
	drive.Server
}

const floorProgram = "test/bench/floor"

// systems starts those that are asked for.
func systems(t *testing.T, export string) []system {
	t.Helper()
	var all []system
	start := func(name string, f func() drive.Server) {
		if *onlySystem == "" || slices.Contains(strings.Split(*onlySystem, ","), name) {
			all = append(all, system{name, f()})
		}
	}
	daemon := func(program, args string) func() drive.Server {
		return func() drive.Server {
			d := rig.StartProgram(t, program, export, append([]string{"--max-msize", "4M"}, strings.Fields(args)...)...)
			return drive.DialNineP(t, d.Socket, d.Pid())
		}
	}
	start("vhost-user-9p", daemon(rig.Binary(t), *daemonArgs))
	if old := os.Getenv("V9P_BENCH_OLD"); old != "" {
		start("vhost-user-9p.old", daemon(old, *oldArgs))
	}
	start("virtiofsd", func() drive.Server {
		d := rig.StartServer(t, "virtiofsd", export)
		return drive.DialFUSE(t, d.Socket, d.Pid())
	})
	floor := rig.Program(t, floorProgram)
	start("floor", func() drive.Server { return drive.NewFloor(t, floor, export) })
	start("plain loop", func() drive.Server { return drive.NewPlainLoop(t, floor, export) })
	if len(all) == 0 {
		t.Fatalf("no system is called %q", *onlySystem)
	}
	return all
}

// TestBenchRing measures servers with the ring in this process.
func TestBenchRing(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	if err := cases.Make(export, cases.Slots, cases.Streams); err != nil {
		t.Fatal(err)
	}
	unix.Sync() // that is not to be measured
	wanted, err := regexp.Compile(*onlyCases)
	if err != nil {
		t.Fatal(err)
	}
	// Compilers are to have all processors.
	rig.Binary(t)
	rig.Program(t, floorProgram)
	for _, name := range strings.Split(*onlyPlaces, ",") {
		t.Run(name, func(t *testing.T) {
			place := drive.Placement(name)
			put(t, place)
			all := systems(t, export)
			for _, c := range cases.All {
				for _, depth := range depthsOf(t, place) {
					if !wanted.MatchString(c.Name) || !c.HasDepth(depth) {
						continue
					}
					for _, r := range measure(t, c, depth, all) {
						r.Rig = rigs[place]
						show(t, r)
						record(r)
					}
				}
			}
		})
	}
}

// depthsOf returns how many operations are to be in flight. On one processor, more than what
// both sides do in one turn are of no use.
func depthsOf(t *testing.T, place drive.Placement) []int {
	t.Helper()
	list := *onlyDepths
	if list == "" {
		list = "1,4,16,64"
		if place == drive.Together {
			list = "1,16"
		}
	}
	var depths []int
	for _, text := range strings.Split(list, ",") {
		depth, err := strconv.Atoi(text)
		if err != nil || depth < 1 {
			t.Fatalf("depth %q", text)
		}
		depths = append(depths, depth)
	}
	return depths
}

// measure measures a case: the systems take turns. System calls are counted in a round of
// their own, because that takes some time.
func measure(t *testing.T, c cases.Case, depth int, all []system) []report.Result {
	t.Helper()
	var takePart []system
	var results []report.Result
	for _, s := range all {
		if s.Has(c) {
			s.Prepare(c, depth)
			s.Run(*roundTime / 4) // warms up
			var counted report.Round
			calls := drive.CountCalls(t, s.Pid(), func() { counted = s.Run(*roundTime / 4) })
			takePart = append(takePart, s)
			results = append(results, report.Result{
				Case: c.Name, Depth: depth, System: s.name,
				Calls: calls[drive.AllCalls] / float64(counted.Operations),
			})
		}
	}
	for range *rounds {
		for i, s := range takePart {
			results[i].Rounds = append(results[i].Rounds, s.Run(*roundTime))
		}
	}
	for _, s := range takePart {
		s.Finish()
	}
	return results
}

// show logs the medians of a result.
func show(t *testing.T, r report.Result) {
	t.Helper()
	median := func(f func(report.Round) float64) float64 {
		var all []float64
		for _, round := range r.Rounds {
			all = append(all, f(round))
		}
		slices.SortFunc(all, cmp.Compare)
		return all[len(all)/2]
	}
	each := func(f func(report.Round) float64) float64 {
		return median(func(r report.Round) float64 { return f(r) / float64(r.Operations) })
	}
	us := func(f func(report.Round) time.Duration) float64 {
		return median(func(r report.Round) float64 { return float64(f(r)) / 1e3 })
	}
	t.Logf("%-18s depth %2d  %-17s %10.0f op/s %8.2f us CPU/op %6.2f waits/op %6.2f calls/op %8.0f MB/s  p50 %7.1f p99 %7.1f p99.9 %7.1f us",
		r.Case, r.Depth, r.System,
		median(func(r report.Round) float64 { return float64(r.Operations) / r.Elapsed.Seconds() }),
		each(func(r report.Round) float64 { return float64(r.CPU) / 1e3 }),
		each(func(r report.Round) float64 { return float64(r.Switches) }),
		r.Calls,
		median(func(r report.Round) float64 { return float64(r.Bytes) / 1e6 / r.Elapsed.Seconds() }),
		us(func(r report.Round) time.Duration { return r.P50 }),
		us(func(r report.Round) time.Duration { return r.P99 }),
		us(func(r report.Round) time.Duration { return r.P999 }))
}

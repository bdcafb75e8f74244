// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"slices"
	"strings"
)

// Names of systems that the report treats apart from the others, the peers.
const (
	ours  = "vhost-user-9p"
	floor = "floor" // makes the same system calls without ring and protocol
)

// group is what all systems did in one case.
type group struct {
	rig     string
	name    string
	depth   int
	systems []Result // ours first, the floor last
}

// groups puts results together that are to be compared, in the order in which they come.
// What was measured several times counts as more rounds.
func groups(results []Result) []*group {
	var all []*group
	for _, r := range results {
		i := slices.IndexFunc(all, func(g *group) bool { return g.rig == r.Rig && g.name == r.Case && g.depth == r.Depth })
		if i < 0 {
			i = len(all)
			all = append(all, &group{rig: r.Rig, name: r.Case, depth: r.Depth})
		}
		g := all[i]
		if have := g.system(r.System); have != nil {
			have.Rounds = slices.Concat(have.Rounds, r.Rounds)
			have.Calls = r.Calls
		} else {
			g.systems = append(g.systems, r)
		}
	}
	place := map[string]int{ours: -1, floor: 1}
	for _, g := range all {
		slices.SortStableFunc(g.systems, func(a, b Result) int { return cmp.Compare(place[a.System], place[b.System]) })
	}
	return all
}

func (g *group) system(name string) *Result {
	i := slices.IndexFunc(g.systems, func(r Result) bool { return r.System == name })
	if i < 0 {
		return nil
	}
	return &g.systems[i]
}

// peer is what our bar is measured against: the first other system, the floor if there is
// none.
func (g *group) peer() *Result {
	i := slices.IndexFunc(g.systems, func(r Result) bool { return r.System != ours })
	if i < 0 {
		return nil
	}
	return &g.systems[i]
}

// rigs returns the names of the rigs, in order.
func rigs(all []*group) []string {
	var names []string
	for _, g := range all {
		if !slices.Contains(names, g.rig) {
			names = append(names, g.rig)
		}
	}
	return names
}

// columns returns the names of a rig's systems, ours first and the floor last.
func columns(all []*group, rig string) []string {
	var results []Result
	for _, g := range all {
		if g.rig == rig {
			for _, r := range g.systems {
				results = append(results, Result{System: r.System})
			}
		}
	}
	var names []string
	for _, g := range groups(results) {
		for _, r := range g.systems {
			names = append(names, r.System)
		}
	}
	return names
}

// title names a rig for people.
func title(rig string) string {
	if on, ok := strings.CutPrefix(rig, "ring"); ok {
		return "ring in process" + on
	}
	switch rig {
	case "uml":
		return "guest in User-mode Linux"
	case "qemu":
		return "guest in QEMU, emulated"
	}
	return strings.TrimSpace(rig)
}

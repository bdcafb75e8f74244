// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

const legend = `Medians of the rounds, and the slowest..fastest round. us/op: CPU time of the server per
operation, in microseconds. sw/op: its voluntary context switches per operation. call/op:
its system calls. Ratios are vhost-user-9p's to the other's, each of two rounds that followed
each other, and the median of those: more is better of the speed, less of the CPU time.
`

// Print writes results as a table for each rig, with a line for each case and depth, and
// figures as a table of their own.
func Print(w io.Writer, r Report) error {
	if len(r.Results) > 0 {
		all := groups(r.Results)
		for _, rig := range rigs(all) {
			if err := printRig(w, all, rig); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, legend); err != nil {
			return err
		}
	}
	if len(r.Results) > 0 && len(r.Figures) > 0 {
		fmt.Fprintln(w)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		value := quantity(f.Value)
		if f.Value == math.Trunc(f.Value) { // a count
			value = number("%.0f", f.Value)
		}
		fmt.Fprintf(tab, "%s\t%s %s\n", f.Name, value, f.Unit)
	}
	return tab.Flush()
}

func printRig(w io.Writer, all []*group, rig string) error {
	systems := columns(all, rig)
	compared := slices.Contains(systems, ours)

	heads := []string{"", ""}                   // whose figures follow
	names := []string{"case", "depth"}          // which figure
	add := func(head string, under ...string) { // columns
		heads = append(append(heads, head), make([]string, len(under)-1)...)
		names = append(names, under...)
	}
	for _, s := range systems {
		add(s, "speed", "spread", "us/op", "sw/op", "call/op")
	}
	for _, s := range systems {
		switch {
		case !compared || s == ours:
		case s == floor:
			add("above the floor", "CPU")
		default:
			add("against "+s, "speed", "CPU")
		}
	}

	fmt.Fprintf(w, "%s\n\n", title(rig))
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells []string) { fmt.Fprintln(tab, strings.Join(cells, "\t")) }
	row(heads)
	row(names)
	for _, g := range all {
		if g.rig != rig {
			continue
		}
		cells := []string{g.name, "-"}
		if g.depth > 0 {
			cells[1] = fmt.Sprint(g.depth)
		}
		for _, s := range systems {
			cells = append(cells, figures(g.system(s))...)
		}
		for _, s := range systems {
			switch mine, other := g.system(ours), g.system(s); {
			case !compared || s == ours:
			case s == floor:
				cells = append(cells, number("%+.2f", paired(mine, other, aboveFloor)))
			default:
				cells = append(cells, number("%.2fx", paired(mine, other, speedRatio)), number("%.2fx", paired(mine, other, cpuRatio)))
			}
		}
		row(cells)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// figures are the cells of one system.
func figures(r *Result) []string {
	if r == nil || len(r.Rounds) == 0 {
		return []string{"-", "-", "-", "-", "-"}
	}
	speed, unit := Round.perSecond, "/s"
	if r.streams() {
		speed, unit = Round.megabytesPerSecond, " MB/s"
	}
	calls := "-"
	if r.Calls > 0 {
		calls = number("%.2f", r.Calls)
	}
	speeds := each(r.Rounds, speed)
	return []string{
		quantity(median(speeds)) + unit,
		quantity(slices.Min(speeds)) + ".." + quantity(slices.Max(speeds)),
		quantity(median(each(r.Rounds, Round.cpu))),
		number("%.2f", median(each(r.Rounds, Round.switches))),
		calls,
	}
}

// quantity writes a number with three digits at least, and without an exponent.
func quantity(v float64) string {
	switch {
	case v >= 100:
		return number("%.0f", v)
	case v >= 10:
		return number("%.1f", v)
	}
	return number("%.2f", v)
}

// number writes what is a number, else a dash.
func number(format string, v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

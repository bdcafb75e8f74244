// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
)

// Measures of the chart, in pixels.
const (
	labels  = 250 // width of the cases' names
	plot    = 480 // width of the bars' area
	margin  = 24
	bar     = 13 // height of a bar
	gap     = 10 // between the bars of two cases
	heading = 34 // height of a rig's name
	width   = margin + labels + plot + 90 + margin
	longest = 10 // ratio from which on bars are cut
)

// Colours that tell systems apart for the colour-blind, too, on white and on black. They go
// by the place of a system in the legend.
var colours = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#8c8c8c"}

const style = `<style>
text { font: 12px sans-serif; fill: #222 }
.title { font-size: 16px; font-weight: bold }
.rig { font-weight: bold }
.axis, .value { fill: #666 }
.value { font-size: 10px }
.paper { fill: #fff }
.line { stroke: #ddd }
.one { stroke: #666; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd }
.axis, .value { fill: #aaa }
.paper { fill: #16181c }
.line { stroke: #333 }
.one { stroke: #aaa }
}
</style>
`

// bars is a case's part of the chart.
type bars struct {
	*group
	ratios []float64 // of each system to the peer
}

// chart draws the speed of each system in each case, where the peer's is 1.
func chart(w *bytes.Buffer, results []Result) {
	all := groups(results)
	var names []string // in the legend
	var drawn []bars
	largest := 1.0
	for _, g := range all {
		b := bars{group: g}
		for i := range g.systems {
			ratio := paired(&g.systems[i], g.peer(), speedRatio)
			b.ratios = append(b.ratios, ratio)
			if ratio > largest {
				largest = ratio
			}
			if name := g.systems[i].System; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		drawn = append(drawn, b)
	}
	largest = min(math.Ceil(largest*2)/2, longest)
	x := func(ratio float64) float64 { return margin + labels + plot*min(ratio, largest)/largest }

	var body bytes.Buffer
	y := margin + 16
	text := func(class string, x float64, y int, anchor, s string) {
		fmt.Fprintf(&body, `<text class="%s" x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(s))
	}
	text("title", margin, y, "start", "Speed relative to the peer's")
	y += 22
	for i, left := 0, float64(margin); i < len(names); i++ {
		fmt.Fprintf(&body, `<rect x="%.1f" y="%d" width="11" height="11" fill="%s"/>`+"\n", left, y-10, colours[i%len(colours)])
		text("legend", left+16, y, "start", names[i])
		left += 40 + 7.5*float64(len(names[i]))
	}
	y += 14
	top := y
	rig := ""
	for _, b := range drawn {
		if b.rig != rig {
			rig = b.rig
			y += heading
			text("rig", margin, y-10, "start", title(rig))
		}
		name := b.name
		if b.depth > 0 {
			name += fmt.Sprintf(", depth %d", b.depth)
		}
		text("case", margin+labels-8, y+len(b.systems)*bar/2+4, "end", name)
		for i, ratio := range b.ratios {
			if math.IsNaN(ratio) {
				continue
			}
			colour := colours[slices.Index(names, b.systems[i].System)%len(colours)]
			fmt.Fprintf(&body, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"><title>%s</title></rect>`+"\n",
				x(0), y, x(ratio)-x(0), bar-1, colour, escape(fmt.Sprintf("%s: %.2f", b.systems[i].System, ratio)))
			text("value", x(ratio)+4, y+bar-3, "start", fmt.Sprintf("%.2f", ratio))
			y += bar
		}
		y += gap
	}

	// The axis lies below the bars, and its lines behind them.
	var axis bytes.Buffer
	step := 0.5
	for largest/step > 8 {
		step *= 2
	}
	for tick := 0.0; tick <= largest; tick += step {
		fmt.Fprintf(&axis, `<line class="line" x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d"/>`+"\n", x(tick), top, y)
		text("axis", x(tick), y+16, "middle", fmt.Sprint(tick))
	}
	fmt.Fprintf(&axis, `<line class="one" x1="%.1f" y1="%d" x2="%.1[1]f" y2="%[3]d"/>`+"\n", x(1), top, y)
	text("axis", x(largest/2), y+36, "middle", "operations (streams: bytes) per second, the peer's = 1")
	height := y + 36 + margin

	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d">`+"\n", width, height)
	fmt.Fprintln(w, `<title>vhost-user-9p and its peers: speed</title>`)
	w.WriteString(style)
	fmt.Fprintf(w, `<rect class="paper" width="%d" height="%d"/>`+"\n", width, height)
	_, _ = axis.WriteTo(w)
	_, _ = body.WriteTo(w)
	fmt.Fprintln(w, `</svg>`)
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import "testing"

// In the steady state an append is, for each stream, one change if it has one
// chunk and two if it is longer; and one sync.
func TestChangesOfAnAppend(t *testing.T) {
	d := newDisk()
	d.maxValue = 100
	s := storeOn(d.open(), testConfig(t))
	for i, k := range newElements(1, 200) {
		if d.maxValue == 100 && i > 10 {
			d.maxValue = 0 // the store knows by now
		}
		sets, syncs := d.sets, d.syncs
		mustAppend(t, s, i, k)
		want := min(2, len(d.chunks(elementSeries))) + min(2, len(d.chunks(identitySeries)))
		if d.sets-sets != want || d.syncs-syncs != 1 {
			t.Fatalf("element %d: %d changes and %d syncs", i, d.sets-sets, d.syncs-syncs)
		}
	}
	if n := len(d.chunks(elementSeries)); n < 20 {
		t.Errorf("%d chunks", n)
	}
	for _, series := range []series{elementSeries, identitySeries} {
		for i, c := range d.chunks(series) {
			if end := len(c) - 8*max(0, 1-i); end%series.entry != 0 {
				t.Errorf("chunk %d ends inside an entry: %d bytes", i, len(c))
			}
		}
	}
}

// What an append costs does not depend on how long the table is, but for the
// place's largest chunk.
func TestCostOfAnAppend(t *testing.T) {
	type cost struct{ gets, sets, written, allocs int }
	var costs []cost
	for _, n := range []int{2000, 30000} {
		d := newDisk()
		s := storeOn(d.open(), quietConfig())
		k := newElements(1, n+100)
		mustAppend(t, s, 0, k[:n]...)
		gets, sets, written := d.gets, d.sets, s.BytesWritten()
		known := n
		allocs := testing.AllocsPerRun(50, func() {
			mustAppend(t, s, known, k[known])
			known++
		})
		appends := known - n
		costs = append(costs, cost{(d.gets - gets) / appends, (d.sets - sets) / appends, int(s.BytesWritten()-written) / appends, int(allocs)})
	}
	t.Logf("%+v", costs)
	for _, c := range costs {
		if c.gets > 4 || c.sets > 4 || c.written > 4*chunkSizeUsual || c.allocs > 100 {
			t.Errorf("an append costs %+v", c)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// export is a root with a state directory.
type export struct {
	t    *testing.T
	root *os.File
	cfg  Config
}

func newExport(t *testing.T) *export {
	e := &export{t, openDir(t, tmpfsDir(t)), testConfig(t)}
	e.cfg.StateDir = openDir(t, tmpfsDir(t))
	return e
}

func (e *export) put(s series, chunks ...[]byte) {
	for i, c := range chunks {
		if err := xattr.FSet(e.root, s.chunk(i), c); err != nil {
			e.t.Fatal(err)
		}
	}
}

// file returns where the table's file is.
func (e *export) file() string {
	var st unix.Stat_t
	if err := unix.Fstat(int(e.root.Fd()), &st); err != nil {
		e.t.Fatal(err)
	}
	return filepath.Join(e.cfg.StateDir.Name(), StateName(e.cfg.Identity, st.Dev, st.Ino)+fileSuffix)
}

func (e *export) putFile(data []byte) {
	if err := os.WriteFile(e.file(), data, 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *export) inspect() *Report {
	e.t.Helper()
	r, err := Inspect(e.root, e.cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e *export) repair(keep string) []string {
	e.t.Helper()
	done, err := Repair(e.root, e.cfg, keep)
	if err != nil {
		e.t.Fatal(err)
	}
	return done
}

// want checks what a store loads.
func (e *export) want(want []qidpath.Element) {
	e.t.Helper()
	if got := mustLoad(e.t, openStore(e.t, e.root.Name(), e.cfg)); !slices.Equal(got, want) {
		e.t.Errorf("loaded %v, want %v", got, want)
	}
}

// place returns the report on one place.
func (r *Report) place(name string) PlaceReport {
	i := slices.IndexFunc(r.Places, func(p PlaceReport) bool { return p.Name == name })
	return r.Places[i]
}

func TestInspect(t *testing.T) {
	k := newElements(1, 9)
	e := newExport(t)
	if r := e.inspect(); r.Err != nil || r.Place != "" || len(r.Elements) != 0 || len(r.Places) != 2 {
		t.Errorf("report %+v", r)
	}
	e.put(elementSeries, cutBytes(torn(5, k[:7]...), 40)...)
	e.put(identitySeries, identities1(3, k[:9]...))
	e.put(series{elementSeries.badPrefix() + "12345678.", 0}, []byte("old"))
	before := attributes(t, e.root.Name())
	r := e.inspect()
	if r.Err != nil || r.Place != PlaceXattr || !slices.Equal(r.Elements, k[:5]) {
		t.Errorf("report %+v", r)
	}
	p := r.place(PlaceXattr)
	want := StreamReport{
		Chunks:  []Value{{elementSeries.chunk(0), 40}, {elementSeries.chunk(1), 38}},
		Version: 1, Checksum: p.Elements.Checksum, Entries: 5, Surplus: 20,
	}
	if !equalStreams(p.Elements, want) {
		t.Errorf("elements %+v\nwant %+v", p.Elements, want)
	}
	want = StreamReport{
		Chunks:  []Value{{identitySeries.chunk(0), 8 + 9*16}},
		Version: 1, Reserved: 3, Checksum: p.Identities.Checksum, Entries: 5, Surplus: 4 * 16,
	}
	if !equalStreams(p.Identities, want) {
		t.Errorf("identities %+v\nwant %+v", p.Identities, want)
	}
	if !slices.Equal(p.Aside, []Value{{elementSeries.badPrefix() + "12345678.0", 3}}) {
		t.Errorf("set aside %v", p.Aside)
	}
	if !slices.Equal(p.Table, k[:5]) || p.Err != nil {
		t.Errorf("table %v, %v", p.Table, p.Err)
	}

	// What is rejected is described as far as it can be read.
	e.putFile([]byte("nothing of ours"))
	e.put(identitySeries, []byte{7, 0, 1, 0, 2, 0, 0, 0})
	r = e.inspect()
	if !errors.Is(r.Err, ErrFile) || r.Place != "" || r.Elements != nil {
		t.Errorf("report %+v", r)
	}
	if p := r.place(PlaceXattr); !errors.Is(p.Identities.Err, ErrVersion) || p.Identities.Version != 7 || p.Identities.Reserved != 1 ||
		!slices.Equal(p.Table, unproven(k[:5])) {
		t.Errorf("report %+v", p)
	}
	if p := r.place(PlaceFile); !errors.Is(p.Err, ErrFile) || p.Table != nil {
		t.Errorf("report %+v", p)
	}
	delete(before, identitySeries.chunk(0))
	after := attributes(t, e.root.Name())
	delete(after, identitySeries.chunk(0))
	if !maps.Equal(before, after) {
		t.Error("something was changed")
	}
}

func equalStreams(a, b StreamReport) bool {
	chunks := slices.Equal(a.Chunks, b.Chunks)
	a.Chunks, b.Chunks = nil, nil
	return chunks && a.Version == b.Version && a.Reserved == b.Reserved && a.Checksum == b.Checksum &&
		a.Entries == b.Entries && a.Surplus == b.Surplus && errors.Is(a.Err, b.Err)
}

func TestRepair(t *testing.T) {
	k := newElements(1, 12)
	for name, tc := range map[string]struct {
		elements, identities [][]byte
		done                 []string
		want                 []qidpath.Element
	}{
		"nothing":        {nil, nil, nil, nil},
		"good":           {[][]byte{table1(k...)}, [][]byte{identities1(0, k...)}, nil, k},
		"good, older":    {[][]byte{table1(k...)}, nil, nil, unproven(k)},
		"torn":           {cutBytes(torn(7, k...), 30), [][]byte{identities1(0, k...)}, []string{"removed what"}, k[:7]},
		"torn in one":    {[][]byte{torn(7, k...)}, nil, []string{"removed what"}, unproven(k[:7])},
		"surplus":        {[][]byte{table1(k[:5]...)}, cutBytes(identities1(0, k...), 56), []string{"removed what"}, k[:5]},
		"only surplus":   {nil, cutBytes(identities1(0, k...), 56), []string{"removed what"}, nil},
		"identities":     {[][]byte{table1(k...)}, cutBytes(flip(identities1(0, k...), 20), 30), []string{"damaged identities"}, unproven(k)},
		"torn, and them": {[][]byte{torn(7, k...)}, cutBytes(flip(identities1(0, k...), 20), 30), []string{"damaged identities", "removed what"}, unproven(k[:7])},
		"table":          {cutBytes(flip(table1(k...), 20), 30), cutBytes(identities1(0, k...), 56), []string{"damaged table"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExport(t)
			e.put(elementSeries, tc.elements...)
			e.put(identitySeries, tc.identities...)
			done := e.repair("")
			if len(done) != len(tc.done) {
				t.Errorf("did %q", done)
			}
			for i := range tc.done {
				if !strings.HasPrefix(done[i], PlaceXattr+": ") || !strings.Contains(done[i], tc.done[i]) {
					t.Errorf("did %q, want %q", done[i], tc.done[i])
				}
			}
			e.want(tc.want)
			p := e.inspect().place(PlaceXattr)
			if p.Err != nil || p.Elements.Surplus != 0 || p.Identities.Surplus != 0 || p.Identities.Err != nil {
				t.Errorf("still %+v", p)
			}
			if aside := len(p.Aside) > 0; aside != strings.Contains(strings.Join(done, ""), "damaged") {
				t.Errorf("set aside %v", p.Aside)
			}
			if done := e.repair(""); len(done) != 0 {
				t.Errorf("did %q again", done)
			}
			wantFiles(t, e.cfg.StateDir.Name())
		})
	}
}

// Of two tables that contradict each other the caller's stays, and the other is
// kept under other names.
func TestRepairOfAContradiction(t *testing.T) {
	a, b := newElements(1, 5), newElements(2, 4)
	for keep, want := range map[string][]qidpath.Element{PlaceXattr: a, PlaceFile: b} {
		e := newExport(t)
		e.put(elementSeries, table1(a...))
		e.put(identitySeries, identities1(0, a...))
		e.putFile(encodeFile(map[string][]byte{elementSeries.chunk(0): table1(b...), identitySeries.chunk(0): identities1(0, b...)}))
		before, beforeFile := attributes(t, e.root.Name()), must(os.ReadFile(e.file()))
		for range 2 {
			_, err := Repair(e.root, e.cfg, "")
			wantReason(t, err, qidpath.ReasonConflict)
		}
		if _, err := Repair(e.root, e.cfg, "elsewhere"); err == nil {
			t.Error("kept a table elsewhere")
		}
		if !maps.Equal(attributes(t, e.root.Name()), before) || !bytes.Equal(must(os.ReadFile(e.file())), beforeFile) {
			t.Error("something was changed")
		}
		if done := e.repair(keep); len(done) != 1 {
			t.Errorf("did %q", done)
		}
		e.want(want)
		other := e.inspect().place(map[string]string{PlaceXattr: PlaceFile, PlaceFile: PlaceXattr}[keep])
		if len(other.Aside) != 2 || len(other.Table) != 0 {
			t.Errorf("the other place: %+v", other)
		}
		if done := e.repair(keep); len(done) != 0 {
			t.Errorf("did %q again", done)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A damaged file is kept under another name.
func TestRepairOfAFile(t *testing.T) {
	e := newExport(t)
	k := newElements(1, 3)
	e.put(elementSeries, table1(k...))
	e.putFile([]byte("nothing of ours"))
	if done := e.repair(""); len(done) != 1 {
		t.Errorf("did %q", done)
	}
	e.want(unproven(k))
	aside := e.inspect().place(PlaceFile).Aside
	if len(aside) != 1 || string(must(os.ReadFile(filepath.Join(e.cfg.StateDir.Name(), aside[0].Name)))) != "nothing of ours" {
		t.Errorf("set aside %v", aside)
	}
}

// What a repair may not touch.
func TestRepairLeavesAlone(t *testing.T) {
	k := newElements(1, 5)
	newer := append([]byte{2}, table1(k...)[1:]...)
	for name, tc := range map[string]struct {
		elements, identities []byte
		file                 []byte
		readOnly             bool
		reason               qidpath.Reason
	}{
		"later version":               {newer, nil, nil, false, qidpath.ReasonVersion},
		"later version of identities": {table1(k...), newer, nil, false, qidpath.ReasonVersion},
		"they, beside a bad table":    {[]byte{1}, newer, nil, false, qidpath.ReasonVersion},
		"later version of the file":   {table1(k...), nil, append([]byte("vu9pqids\x02"), make([]byte, 7)...), false, qidpath.ReasonVersion},
		"read-only":                   {[]byte{1}, nil, nil, true, qidpath.ReasonReadOnly},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExport(t)
			e.cfg.ReadOnly = tc.readOnly
			e.put(elementSeries, tc.elements)
			if tc.identities != nil {
				e.put(identitySeries, tc.identities)
			}
			if tc.file != nil {
				e.putFile(tc.file)
			}
			before := attributes(t, e.root.Name())
			for _, keep := range []string{"", PlaceXattr, PlaceFile} {
				done, err := Repair(e.root, e.cfg, keep)
				wantReason(t, err, tc.reason)
				if len(done) != 0 {
					t.Errorf("did %q", done)
				}
			}
			if !maps.Equal(attributes(t, e.root.Name()), before) {
				t.Error("attributes changed")
			}
			if tc.file != nil && !bytes.Equal(must(os.ReadFile(e.file())), tc.file) {
				t.Error("the file changed")
			}
		})
	}
}

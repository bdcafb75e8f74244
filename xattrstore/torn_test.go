// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// versionsMedium records all values that each attribute has had since the last
// sync, the first one included; nil is none.
type versionsMedium struct {
	*diskMedium
	epochs []map[string][][]byte
}

func newVersionsMedium(d *disk) *versionsMedium {
	m := &versionsMedium{diskMedium: d.open()}
	m.begun()
	return m
}

func (m *versionsMedium) begun() {
	versions := make(map[string][][]byte)
	for name, value := range m.attrs {
		versions[name] = [][]byte{value}
	}
	m.epochs = append(m.epochs, versions)
}

func (m *versionsMedium) record(name string) {
	versions := m.epochs[len(m.epochs)-1]
	if versions[name] == nil {
		versions[name] = [][]byte{nil}
	}
	versions[name] = append(versions[name], m.attrs[name])
}

func (m *versionsMedium) set(name string, value []byte) error {
	err := m.diskMedium.set(name, value)
	if err == nil {
		m.record(name)
	}
	return err
}

func (m *versionsMedium) remove(name string) error {
	err := m.diskMedium.remove(name)
	if err == nil {
		m.record(name)
	}
	return err
}

func (m *versionsMedium) sync() error {
	m.begun()
	return nil
}

// mixes calls f with disks on which each attribute has one of its versions: all
// of them or, if these are too many, some.
func mixes(rng *rand.Rand, versions map[string][][]byte, f func(*disk)) {
	names := slices.Sorted(maps.Keys(versions))
	all := 1
	for _, v := range versions {
		all = min(all*len(v), 1<<20)
	}
	const most = 3000
	for i := range min(all, most) {
		if all > most {
			i = rng.IntN(all)
		}
		d := newDisk()
		for _, name := range names {
			v := versions[name]
			value := v[i%len(v)]
			if all == 1<<20 {
				value = v[rng.IntN(len(v))]
			}
			i /= len(v)
			if value != nil {
				d.attrs[name] = value
			}
		}
		f(d)
	}
}

// TestMixedVersions loads what is there if each change since the last sync was
// made or was not, in whatever order: elements of the old or the new table, with
// their identities or, where these do not fit together, without. None ever has
// the identity of another.
func TestMixedVersions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	cfg := quietConfig()
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			add := l.added()
			whole := slices.Concat(l.old, add)
			d := l.disk()
			m := newVersionsMedium(d)
			s := storeOn(m, cfg)
			mustLoad(t, s)
			mustAppend(t, s, len(l.old), add...)
			outcomes := make(map[string]int)
			for _, versions := range m.epochs {
				mixes(rng, versions, func(d *disk) {
					got, err := storeOn(d.open(), cfg).Load()
					if err != nil {
						wantReason(t, err, qidpath.ReasonRejected)
						outcomes["rejected"]++
						return
					}
					if len(got) != len(l.old) && len(got) != len(whole) && len(l.old) > 0 {
						t.Fatalf("%d elements, want %d or %d", len(got), len(l.old), len(whole))
					}
					wantElements(t, got, whole)
					outcomes["loaded"]++
				})
			}
			if outcomes["loaded"] == 0 {
				t.Error("nothing was loaded")
			}
			t.Log(outcomes)
		})
	}
}

// wantElements checks that got is a first part of want, but for identities that
// are not known.
func wantElements(t testing.TB, got, want []qidpath.Element) {
	t.Helper()
	if len(got) > len(want) {
		t.Fatalf("%d elements, want at most %d", len(got), len(want))
	}
	for i, e := range got {
		if e != want[i] && e != unproven(want[i : i+1])[0] {
			t.Fatalf("element %d is %v, want %v", i, e, want[i])
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"encoding/binary"
	"os"
	"slices"
	"strings"

	"vhost-user-9p/qidpath"
)

// Report is what is stored of an export. Its errors are *qidpath.StoreError.
type Report struct {
	Places []PlaceReport

	// What a Store would load, and from where: PlaceXattr, PlaceFile, or nothing
	// if there is none.
	Elements []qidpath.Element
	Place    string
	Err      error // if set, it would load nothing
}

// PlaceReport is what is stored in one place.
type PlaceReport struct {
	Name       string // PlaceXattr or PlaceFile
	Elements   StreamReport
	Identities StreamReport
	Table      []qidpath.Element // what the streams say
	Aside      []Value           // what was set aside
	Err        error             // if set, why the place has no table that may be used
}

// StreamReport is one of a table's two streams.
type StreamReport struct {
	Chunks []Value

	// The header's fields; zero if there is none.
	Version  uint16
	Reserved uint16
	Checksum uint32

	Entries int   // that the checksum vouches for
	Surplus int   // bytes after these
	Err     error // if set, why it is not used
}

// Value is a named value, or a file in the state directory.
type Value struct {
	Name string
	Size int // bytes
}

// Inspect reads what is stored of the export whose root is open as root. It
// changes nothing.
func Inspect(root *os.File, cfg Config) (*Report, error) {
	s, err := Open(root, cfg)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var r *Report
	err = s.locked("inspect", func() (err error) {
		r, err = s.inspectLocked()
		return err
	})
	return r, err
}

func (s *Store) inspectLocked() (*Report, error) {
	r := &Report{}
	for _, p := range s.places {
		_, err := p.refresh()
		if err == nil {
			err = p.rejected
		}
		report := p.report(err)
		if report.Aside, err = p.medium.aside(); err != nil && report.Err == nil {
			return nil, err
		}
		r.Places = append(r.Places, report)
	}
	if r.Err = s.readAgainLocked(); r.Err == nil {
		r.Err = s.damageLocked()
	}
	if r.Err == nil {
		r.Elements, r.Place = slices.Clone(s.have.elements[:s.storedLocked()]), s.Place()
	}
	r.Err = failure("load", r.Err)
	return r, nil
}

// report describes what was read, with err.
func (p *place) report(err error) PlaceReport {
	r := PlaceReport{Name: p.name, Err: failure("read", err), Elements: p.elements.report(err), Identities: p.identities.report(p.noIdentities)}
	if err == nil {
		r.Table = p.table()
		// Those without elements are surplus, whatever the checksum says.
		if over := p.identities.n - p.elements.n; over > 0 {
			r.Identities.Entries -= over
			r.Identities.Surplus += over * identitySize
		}
	}
	return r
}

func (st *stream) report(err error) StreamReport {
	r := StreamReport{Entries: st.n, Err: failure("read", err)}
	for i, chunk := range st.image {
		if chunk != nil {
			r.Chunks = append(r.Chunks, Value{st.chunk(i), len(chunk)})
		}
	}
	if h := st.bytes(); len(h) >= headerSize && st.image[0] != nil {
		r.Version = binary.LittleEndian.Uint16(h)
		r.Reserved = binary.LittleEndian.Uint16(h[2:])
		r.Checksum = binary.LittleEndian.Uint32(h[4:])
	}
	if err == nil {
		r.Surplus = st.surplus()
	}
	return r
}

// isAside reports whether a name is one that setAside gives.
func isAside(name string) bool {
	return strings.HasPrefix(name, elementSeries.badPrefix()) || strings.HasPrefix(name, identitySeries.badPrefix())
}

// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

// Dump is what is stored of an export, as it is printed as JSON. Fields are added to it
// and never renamed. What may need all of 64 bits is text. An empty error is none.
type Dump struct {
	Export  ExportDump  `json:"export"`
	Table   TableDump   `json:"table"`
	Places  []PlaceDump `json:"places"`
	FullMap MapDump     `json:"full_map"`
}

// ExportDump is the export itself.
type ExportDump struct {
	Path           string `json:"path"`
	Identity       string `json:"identity"` // of its file system: 32 hexadecimal digits, or empty
	Device         string `json:"device"`   // MAJOR:MINOR
	Inode          string `json:"inode"`
	StateDirectory string `json:"state_directory"` // empty: none could be found
	StateMissing   bool   `json:"state_directory_missing"`
}

// TableDump is the table that a daemon loads.
type TableDump struct {
	Place      string        `json:"place"` // "xattr", "file", or empty: there is none
	Error      string        `json:"error"` // why none is loaded; the entries are then those that can be read
	EntriesMax int           `json:"entries_max"`
	Entries    []ElementDump `json:"entries"`
}

// ElementDump is one entry of the table.
type ElementDump struct {
	Prefix      int         `json:"prefix"`
	InodePrefix uint16      `json:"inode_prefix"`
	Identity    string      `json:"identity"` // 32 hexadecimal digits, or empty: told by its device number
	Label       string      `json:"label"`    // as it is stored, in hexadecimal
	Device      string      `json:"device"`   // the label as MAJOR:MINOR, or empty: it is none
	Unproven    bool        `json:"unproven"`
	Mounted     []MountDump `json:"mounted"`
}

// MountDump is a file system that is mounted now.
type MountDump struct {
	MountPoint string `json:"mount_point"`
	Type       string `json:"type"`
	Source     string `json:"source"`
	Device     string `json:"device"`
	InExport   bool   `json:"in_export"`
}

// PlaceDump is what is in one of the places.
type PlaceDump struct {
	Place      string      `json:"place"`
	Path       string      `json:"path"`
	InUse      bool        `json:"in_use"`
	Error      string      `json:"error"`
	Elements   StreamDump  `json:"elements"`
	Identities StreamDump  `json:"identities"`
	SetAside   []ValueDump `json:"set_aside"`

	// What the streams say, if the places contradict each other; else nothing.
	Table []ElementDump `json:"table"`
}

// StreamDump is one of the two streams of a table.
type StreamDump struct {
	Version  uint16      `json:"version"` // 0: there is no header
	Reserved uint16      `json:"reserved"`
	Checksum string      `json:"checksum_crc32c"` // 8 hexadecimal digits, or empty
	Entries  int         `json:"entries"`
	Surplus  int         `json:"surplus_bytes"`
	Error    string      `json:"error"`
	Chunks   []ValueDump `json:"chunks"`
}

// ValueDump is an attribute, a value in the file, or a file.
type ValueDump struct {
	Name string `json:"name"`
	Size int    `json:"size_bytes"`
}

// MapDump is the full map.
type MapDump struct {
	Path        string       `json:"path"`
	Exists      bool         `json:"exists"`
	Error       string       `json:"error"`
	HeaderError string       `json:"header_error"`
	Bytes       int64        `json:"size_bytes"`
	Numbers     uint64       `json:"numbers"`
	NumbersMax  int          `json:"numbers_max"`
	Highest     uint64       `json:"highest_number"`
	Damaged     uint64       `json:"damaged_records"`
	Torn        int64        `json:"torn_bytes"`
	PerFS       []NumberDump `json:"file_systems"`
	Others      uint64       `json:"numbers_of_other_file_systems"`
}

// NumberDump is how many numbers of the full map a file system has.
type NumberDump struct {
	Identity string      `json:"identity"` // or empty: it is told by its device number
	Device   string      `json:"device"`   // that number, else empty
	Numbers  uint64      `json:"numbers"`
	Mounted  []MountDump `json:"mounted"`
}

// Dump returns what is stored.
func (l *Look) Dump() *Dump {
	e := l.export
	d := &Dump{
		Export: ExportDump{
			Path:           e.root.Name(),
			Identity:       identityText(e.identity),
			Device:         deviceText(e.dev),
			Inode:          strconv.FormatUint(e.ino, 10),
			StateDirectory: e.statePath,
			StateMissing:   e.stateDir == nil,
		},
		Table: TableDump{
			Place:      l.table.Place,
			Error:      l.tableError(),
			EntriesMax: qidpath.MaxElements,
			Entries:    l.dumpElements(l.elements()),
		},
		FullMap: l.dumpMap(),
	}
	for _, p := range l.table.Places {
		d.Places = append(d.Places, l.dumpPlace(p))
	}
	return d
}

func (l *Look) dumpElements(table []qidpath.Element) []ElementDump {
	entries := []ElementDump{}
	for i, e := range table {
		entries = append(entries, l.dumpElement(i+1, e))
	}
	return entries
}

func (l *Look) dumpElement(prefix int, e qidpath.Element) ElementDump {
	d := ElementDump{
		Prefix:      prefix,
		InodePrefix: e.InoPrefix,
		Identity:    identityText(e.FS),
		Label:       fmt.Sprintf("%#x", e.Dev),
		Unproven:    e.Unproven,
		Mounted:     l.dumpMounts(keyOf(e)),
	}
	if isDevice(e.Dev) {
		d.Device = deviceText(e.Dev)
	}
	return d
}

func (l *Look) dumpMounts(k key) []MountDump {
	mounts := []MountDump{}
	for _, f := range matching(l.mounted, k) {
		mounts = append(mounts, MountDump{f.Mount.Point, f.Mount.Type, f.Mount.Source, deviceText(f.Dev), f.inExport})
	}
	return mounts
}

func (l *Look) dumpPlace(p xattrstore.PlaceReport) PlaceDump {
	d := PlaceDump{
		Place:      p.Name,
		Path:       l.export.root.Name(),
		InUse:      p.Name == l.table.Place,
		Error:      errorText(p.Err),
		Elements:   dumpStream(p.Elements),
		Identities: dumpStream(p.Identities),
		SetAside:   dumpValues(p.Aside),
		Table:      []ElementDump{},
	}
	if contradict(l.table) {
		d.Table = l.dumpElements(p.Table)
	}
	if p.Name == xattrstore.PlaceFile {
		d.Path = filepath.Join(l.export.statePath, l.export.name+tableSuffix)
	}
	return d
}

func dumpStream(s xattrstore.StreamReport) StreamDump {
	d := StreamDump{
		Version:  s.Version,
		Reserved: s.Reserved,
		Entries:  s.Entries,
		Surplus:  s.Surplus,
		Error:    errorText(s.Err),
		Chunks:   dumpValues(s.Chunks),
	}
	if s.Version != 0 {
		d.Checksum = fmt.Sprintf("%08x", s.Checksum)
	}
	return d
}

func dumpValues(values []xattrstore.Value) []ValueDump {
	dump := []ValueDump{}
	for _, v := range values {
		dump = append(dump, ValueDump(v))
	}
	return dump
}

func (l *Look) dumpMap() MapDump {
	s := l.fullMap
	d := MapDump{NumbersMax: qidpath.MaxNumbers, Exists: l.hasMap(), PerFS: []NumberDump{}}
	if l.export.stateDir != nil {
		d.Path = filepath.Join(l.export.statePath, l.export.name+mapSuffix)
	}
	if !d.Exists {
		return d
	}
	d.Error, d.HeaderError = errorText(l.mapErr), errorText(s.HeaderErr)
	d.Bytes, d.Numbers, d.Highest, d.Damaged, d.Torn, d.Others = s.Bytes, s.Records, s.Highest, s.Damaged, s.Torn, s.Others
	for _, id := range slices.SortedFunc(maps.Keys(s.PerFS), func(a, b qidpath.Identity) int {
		return cmp.Or(cmp.Compare(s.PerFS[b], s.PerFS[a]), bytes.Compare(a[:], b[:]))
	}) {
		n := NumberDump{Identity: identityText(id), Numbers: s.PerFS[id], Mounted: l.dumpMounts(key{fs: id})}
		if dev, ok := id.Device(); ok {
			n.Device = deviceText(dev)
		}
		d.PerFS = append(d.PerFS, n)
	}
	return d
}

// identityText returns the identity's digits, or nothing if it is none or a device number.
func identityText(id qidpath.Identity) string {
	if _, ok := id.Device(); ok || id.IsZero() {
		return ""
	}
	return id.String()
}

// isDevice reports whether a label is a device number.
func isDevice(label uint64) bool { return label>>63 == 0 }

func deviceText(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// tableError says why no table is loaded, if that is so.
func (l *Look) tableError() string {
	if contradict(l.table) {
		return l.contradiction()
	}
	return errorText(l.table.Err)
}

// errorText leaves out what was being done: what is wrong stands where it is found.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	var e *qidpath.StoreError
	if errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}

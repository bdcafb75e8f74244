// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// maxListed is how many file systems of the full map are printed.
const maxListed = 20

// WriteText prints d for people.
func (d *Dump) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

	p("export:\t%s", plain(d.Export.Path))
	p("file system:\t%s, device %s, inode %s", cmp.Or(d.Export.Identity, "no identity"), d.Export.Device, d.Export.Inode)
	p("state directory:\t%s", d.Export.stateText())
	p("table:\t%s", d.Table.text())
	_ = t.Flush() // the columns of what follows are others
	entries := func(table []ElementDump) {
		if len(table) > 0 {
			p("\nPREFIX\tINODES\tFILE SYSTEM\tLABEL\tMOUNTED NOW")
		}
		for _, e := range table {
			p("%d\t%#x\t%s\t%s\t%s", e.Prefix, e.InodePrefix, e.fileSystem(), cmp.Or(e.Device, e.Label), mountsText(e.Mounted))
		}
		_ = t.Flush()
	}
	entries(d.Table.Entries)
	for _, place := range d.Places {
		p("\n%s: %s", place.Place, place.text())
		p("  elements\t%s", place.Elements.text())
		p("  identities\t%s", place.Identities.text())
		for _, v := range place.Elements.Chunks {
			p("  chunk\t%s, %s", v.Name, count(v.Size, "byte"))
		}
		for _, v := range place.Identities.Chunks {
			p("  chunk\t%s, %s", v.Name, count(v.Size, "byte"))
		}
		for _, v := range place.SetAside {
			p("  set aside\t%s, %s", plain(v.Name), count(v.Size, "byte"))
		}
		_ = t.Flush()
		entries(place.Table)
	}
	p("\nfull map: %s", d.FullMap.text())
	for i, n := range d.FullMap.PerFS {
		if i == maxListed {
			p("  and %s more", count(len(d.FullMap.PerFS)-i, "file system"))
			break
		}
		p("  %s\t%s\t%s", count(n.Numbers, "number"), cmp.Or(n.Identity, "device "+n.Device), mountsText(n.Mounted))
	}
	if n := d.FullMap.Others; n > 0 {
		p("  %s\tof other file systems\t", count(n, "number"))
	}
	return t.Flush()
}

func (e *ExportDump) stateText() string {
	switch {
	case e.StateDirectory == "":
		return "none"
	case e.StateMissing:
		return plain(e.StateDirectory) + ", which is not there"
	}
	return plain(e.StateDirectory)
}

func (d *TableDump) text() string {
	entries := "no entries"
	if n := len(d.Entries); n > 0 {
		entries = fmt.Sprintf("%s of %d", count(n, "entry"), d.EntriesMax)
	}
	switch {
	case d.Error != "" && len(d.Entries) > 0:
		return fmt.Sprintf("none is loaded (%s); what can be read has %s", plain(d.Error), entries)
	case d.Error != "":
		return fmt.Sprintf("none is loaded (%s)", plain(d.Error))
	case d.Place == "":
		return "none is stored"
	}
	return fmt.Sprintf("%s, in use from: %s", entries, d.Place)
}

func (e *ElementDump) fileSystem() string {
	switch {
	case e.Identity != "":
		return e.Identity
	case e.Unproven:
		return "not known"
	}
	return "none but the device number"
}

func mountsText(mounts []MountDump) string {
	var texts []string
	for _, m := range mounts {
		text := fmt.Sprintf("%s (%s, %s)", plain(m.MountPoint), plain(m.Type), plain(m.Source))
		if !m.InExport {
			text += ", outside of the export"
		}
		texts = append(texts, text)
	}
	if texts == nil {
		return "-"
	}
	return strings.Join(texts, "; ")
}

func (d *PlaceDump) text() string {
	switch {
	case d.Error != "":
		return fmt.Sprintf("%s, not usable: %s", plain(d.Path), plain(d.Error))
	case d.InUse:
		return plain(d.Path) + ", in use"
	case d.Elements.Entries > 0:
		return plain(d.Path) + ", a table that is not in use"
	}
	return plain(d.Path) + ", no table"
}

func (d *StreamDump) text() string {
	if len(d.Chunks) == 0 {
		return "none"
	}
	var s strings.Builder
	if d.Version != 0 {
		fmt.Fprintf(&s, "version %d, reserved %d, checksum %s, ", d.Version, d.Reserved, d.Checksum)
	}
	s.WriteString(count(d.Entries, "entry"))
	if d.Surplus > 0 {
		fmt.Fprintf(&s, ", %s of an append that was cut off", count(d.Surplus, "byte"))
	}
	if d.Error != "" {
		fmt.Fprintf(&s, ", not usable: %s", plain(d.Error))
	}
	return s.String()
}

func (d *MapDump) text() string {
	var s strings.Builder
	switch {
	case d.Path == "":
		return "none, without a state directory"
	case !d.Exists:
		return "none is stored"
	case d.Error != "":
		return fmt.Sprintf("%s, not usable: %s", plain(d.Path), plain(d.Error))
	}
	fmt.Fprintf(&s, "%s, %s of %d, the highest %d, %s", plain(d.Path), count(d.Numbers, "number"), d.NumbersMax, d.Highest, count(d.Bytes, "byte"))
	if d.Damaged > 0 {
		fmt.Fprintf(&s, ", %s", count(d.Damaged, "damaged record"))
	}
	if d.Torn > 0 {
		fmt.Fprintf(&s, ", %s of an append that was cut off", count(d.Torn, "byte"))
	}
	if d.HeaderError != "" {
		fmt.Fprintf(&s, ", %s", d.HeaderError)
	}
	return s.String()
}

// count returns a number of things.
func count[N int | int64 | uint64](n N, thing string) string {
	if n != 1 {
		if stem, ok := strings.CutSuffix(thing, "y"); ok {
			thing = stem + "ie"
		}
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// plain returns s as it is if it can be printed, and else quoted: names of the host's files
// can have anything in them.
func plain(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"fmt"
	"io"
	"slices"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

// Severities of a Finding.
const (
	SeverityError = "error" // something is wrong
	SeverityNote  = "note"  // something to know
)

// Finding is something about what is stored, as it is printed as JSON. Keywords are never
// renamed.
type Finding struct {
	Keyword    string `json:"keyword"`
	Severity   string `json:"severity"`
	Place      string `json:"place"`   // "xattr", "file", "full map", or empty: all of it
	Message    string `json:"message"` // what was found
	Meaning    string `json:"meaning"` // for file IDs
	Repairable bool   `json:"repairable"`

	repair string // what Repair does about it
}

// String returns the finding as one line.
func (f *Finding) String() string {
	line := f.Keyword + ": "
	if f.Severity == SeverityNote {
		line = "note: " + line
	}
	if f.Place != "" {
		line += f.Place + ": "
	}
	return line + plain(f.Message) + ". " + f.Meaning + "."
}

// contradiction is the keyword of the one error that takes a decision to repair.
const contradiction = "contradiction"

// Check is what was found, as it is printed as JSON.
type Check struct {
	OK       bool      `json:"ok"` // there are no errors
	Findings []Finding `json:"findings"`

	blind   bool
	summary string
}

// Check looks for what is wrong.
func (l *Look) Check() *Check {
	c := &Check{Findings: []Finding{}}
	c.conflict(l)
	for i := range l.table.Places {
		c.place(l, &l.table.Places[i])
	}
	c.fullMap(l)
	c.elements(l)
	c.OK = !slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Severity == SeverityError })
	c.summary = fmt.Sprintf("%s, %s of the full map", count(len(l.elements()), "entry"), count(l.fullMap.Records, "number"))
	if l.table.Place != "" {
		c.summary += ", in use: " + l.table.Place
	}
	return c
}

// Blind reports whether something could not be looked at for want of permissions.
func (c *Check) Blind() bool { return c.blind }

// WriteText prints the findings for people, one a line.
func (c *Check) WriteText(w io.Writer) error {
	for _, f := range c.Findings {
		if _, err := fmt.Fprintln(w, f.String()); err != nil {
			return err
		}
	}
	if !c.OK {
		return nil
	}
	_, err := fmt.Fprintf(w, "ok: %s\n", c.summary)
	return err
}

// wrong adds an error; without what repairs it, nothing does.
func (c *Check) wrong(keyword, place, repair, meaning, format string, args ...any) {
	c.Findings = append(c.Findings, Finding{
		Keyword: keyword, Severity: SeverityError, Place: place,
		Message: fmt.Sprintf(format, args...), Meaning: meaning,
		Repairable: repair != "", repair: repair,
	})
}

func (c *Check) note(keyword, place, meaning, format string, args ...any) {
	c.Findings = append(c.Findings, Finding{
		Keyword: keyword, Severity: SeverityNote, Place: place,
		Message: fmt.Sprintf(format, args...), Meaning: meaning,
	})
}

// denied adds that something may not be read.
func (c *Check) denied(place string, err error) {
	c.blind = true
	c.wrong("no-permission", place, "", "Nothing can be said about it: look as the user that the daemon runs as", "%s", errorText(err))
}

const (
	nothingStored = "It is not used, and nothing is stored: file IDs may be others after each start of a daemon"

	nothingAdded = "What is stored is used, and nothing can be added: IDs of files on further file systems may be others after each start of a daemon"

	fromOther = "It is not used: the table in the other place counts"
)

// conflict says how the two places stand to each other.
func (c *Check) conflict(l *Look) {
	if contradict(l.table) {
		c.wrong(contradiction, "", "", "Neither is used, and nothing is stored: file IDs may be others after each start of a daemon. "+
			"See by dump which one is right, and set the other aside with repair --keep=xattr or --keep=file",
			"%s", l.contradiction())
		return
	}
	both := 0
	for _, p := range l.table.Places {
		if p.Err == nil && len(p.Table) > 0 {
			both++
		}
	}
	if both > 1 {
		c.note("two-places", "", "They agree, and the longer one counts; the other one was left when the table moved",
			"there are tables in the attributes and in the file, in use is: %s", l.table.Place)
	}
}

// contradiction says where the two tables differ first.
func (l *Look) contradiction() string {
	what := errorText(l.table.Err)
	if p := l.table.Places; len(p) == 2 {
		for i := range min(len(p[0].Table), len(p[1].Table)) {
			a, b := p[0].Table[i], p[1].Table[i]
			if a.Dev != b.Dev || a.InoPrefix != b.InoPrefix || a.FS != b.FS && !a.Unproven && !b.Unproven {
				what = fmt.Sprintf("prefix %d is of %s (label %#x, inodes %#x) in one, and of %s (label %#x, inodes %#x) in the other",
					i+1, keyOf(a), a.Dev, a.InoPrefix, keyOf(b), b.Dev, b.InoPrefix)
				break
			}
		}
	}
	return "the tables in the file and in the attributes contradict each other: " + what
}

func contradict(r *xattrstore.Report) bool {
	return qidpath.ReasonOf(r.Err) == qidpath.ReasonConflict
}

// place finds what is wrong in one place.
func (c *Check) place(l *Look, p *xattrstore.PlaceReport) {
	other := otherTable(l.table, p.Name)
	switch reason := qidpath.ReasonOf(p.Err); {
	case p.Err == nil:
		c.streams(p, other && l.table.Place != p.Name)
	case reason == qidpath.ReasonDenied:
		c.denied(p.Name, p.Err)
	case reason == qidpath.ReasonVersion:
		c.wrong("newer-version", p.Name, "", nothingStored+". A newer version of the program can read it",
			"%s", errorText(p.Err))
	case reason == qidpath.ReasonUnsupported && l.export.stateDir != nil:
		c.note("no-attributes", p.Name, "The table is kept in the state directory", "%s", errorText(p.Err))
	case reason == qidpath.ReasonUnsupported:
		c.wrong("no-attributes", p.Name, "", "Without a state directory there is nowhere to keep file IDs: they are others after each start",
			"%s", errorText(p.Err))
	case isDamaged(p.Err):
		meaning := "It is not used: daemons set it aside and begin a new one, with IDs by the order in which they meet file systems"
		repair := "set aside the damaged table, so that a new one can be begun"
		if other {
			repair = "set aside the damaged table"
			meaning = fromOther + " once this one is set aside"
			if l.table.Place != "" {
				meaning = fromOther
			}
		}
		c.wrong("damaged-table", p.Name, repair, meaning, "%s", errorText(p.Err))
	default:
		c.wrong("unreadable", p.Name, "", nothingStored, "%s", errorText(p.Err))
	}
	for _, v := range p.Aside {
		c.note("set-aside", p.Name, "Nobody reads it, and it can be removed: it was damaged, or contradicted another table",
			"%s, %s", v.Name, count(v.Size, "byte"))
	}
}

// streams finds what is wrong with a table that can be read. It may be spare, because the
// one in the other place is in use.
func (c *Check) streams(p *xattrstore.PlaceReport, spare bool) {
	deviceNumbers := "Entries belong to device numbers only, so a file system that comes back under another one gets other file IDs"
	if spare {
		deviceNumbers = "No file ID is affected: the table in the other place is in use"
	}
	if err := p.Identities.Err; isDamaged(err) {
		c.wrong("damaged-identities", p.Name, "set aside the damaged identities, and store those anew that are known later",
			deviceNumbers, "the identities of file systems: %s", errorText(err))
	} else if err != nil {
		keyword := "unreadable"
		if qidpath.ReasonOf(err) == qidpath.ReasonVersion {
			keyword = "newer-version"
		}
		c.wrong(keyword, p.Name, "", deviceNumbers+". No more can be stored",
			"the identities of file systems: %s", errorText(err))
	}
	if n := p.Elements.Surplus + p.Identities.Surplus; n > 0 {
		c.wrong("torn-append", p.Name, "remove what an append that was cut off has left",
			"The table is as it was before that, and no file ID is affected: none that depends on it was shown. The next append removes it, too",
			"%s (%d of elements, %d of identities) behind the table, of an append that was cut off",
			count(n, "byte"), p.Elements.Surplus, p.Identities.Surplus)
	}
	if chunks := p.Elements.Chunks; len(p.Table) > 0 && chunks[0].Size < headerSize {
		c.wrong("cut-header", p.Name, "", nothingAdded,
			"the header is cut in two: %s has %s", chunks[0].Name, count(chunks[0].Size, "byte"))
	}
	if n := len(p.Table); n > qidpath.MaxElements {
		c.wrong("too-many-entries", p.Name, "", nothingAdded,
			"%d entries, of which there may be %d", n, qidpath.MaxElements)
	}
}

// headerSize is what the first chunk of a stream must have for appends to be possible, in bytes.
const headerSize = 8

// otherTable reports whether there is a table that can be used in another place.
func otherTable(r *xattrstore.Report, place string) bool {
	return slices.ContainsFunc(r.Places, func(p xattrstore.PlaceReport) bool {
		return p.Name != place && p.Err == nil && len(p.Table) > 0
	})
}

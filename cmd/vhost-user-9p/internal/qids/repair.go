// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"errors"
	"fmt"
	"io"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
	"vhost-user-9p/xattrstore/fullmap"
)

// Repaired is what a repair has done, as it is printed as JSON.
type Repaired struct {
	DryRun bool      `json:"dry_run"`
	Done   []string  `json:"done"`  // or would be done
	Error  string    `json:"error"` // why more was not done, or empty
	Left   []Finding `json:"left"`  // errors that are still there, or would be
}

// OK reports whether nothing is wrong any more.
func (r *Repaired) OK() bool { return r.Error == "" && len(r.Left) == 0 }

// WriteText prints what was done for people, one a line.
func (r *Repaired) WriteText(w io.Writer) error {
	did := "repaired"
	if r.DryRun {
		did = "would repair"
	}
	var lines []string
	for _, what := range r.Done {
		lines = append(lines, did+": "+plain(what))
	}
	if r.Error != "" {
		lines = append(lines, "failed: "+plain(r.Error))
	}
	for _, f := range r.Left {
		lines = append(lines, "left: "+f.String())
	}
	if lines == nil {
		lines = []string{"nothing to repair"}
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}

// ErrNoPlace is returned by Repair if it is to keep a table in a place that there is not.
var ErrNoPlace = errors.New("there is no state directory to keep a table in")

// Repair repairs what can be repaired, under the lock of the daemons. Where the two places
// contradict each other, it sets aside the table that is not in keep (xattrstore.PlaceXattr
// or PlaceFile), and leaves both alone if that is empty. If dry is set, it only says what
// it would do.
func (e *Export) Repair(keep string, dry bool) (*Repaired, error) {
	if keep == xattrstore.PlaceFile && e.stateDir == nil {
		return nil, ErrNoPlace
	}
	before, err := e.Look()
	if err != nil {
		return nil, err
	}
	if dry {
		return before.plan(keep), nil
	}
	r := &Repaired{Done: []string{}, Left: []Finding{}}
	done, err := xattrstore.Repair(e.root, e.config(), keep)
	r.Done = append(r.Done, done...)
	// What is left stands there with its meaning.
	if reason := qidpath.ReasonOf(err); reason != qidpath.ReasonConflict && reason != qidpath.ReasonVersion {
		r.Error = errorText(err)
	}
	done, err = e.repairMap(before.fullMap)
	r.Done = append(r.Done, done...)
	if err != nil {
		r.Error = joinText(r.Error, placeMap+": "+errorText(err))
	}
	after, err := e.Look()
	if err != nil {
		return nil, err
	}
	for _, f := range after.Check().Findings {
		if f.Severity == SeverityError {
			r.Left = append(r.Left, f)
		}
	}
	return r, nil
}

// plan returns what Repair would do.
func (l *Look) plan(keep string) *Repaired {
	r := &Repaired{DryRun: true, Done: []string{}, Left: []Finding{}}
	for _, f := range l.Check().Findings {
		switch {
		case f.Severity != SeverityError:
		case f.Keyword == contradiction && keep == xattrstore.PlaceXattr:
			r.Done = append(r.Done, xattrstore.PlaceFile+": set aside the table, which contradicts the other")
		case f.Keyword == contradiction && keep == xattrstore.PlaceFile:
			r.Done = append(r.Done, xattrstore.PlaceXattr+": set aside the table, which contradicts the other")
		case f.Repairable:
			r.Done = append(r.Done, fmt.Sprintf("%s: %s (%s)", f.Place, f.repair, f.Message))
		default:
			r.Left = append(r.Left, f)
		}
	}
	return r
}

// repairMap repairs the full map of which s was read, if there is something to repair.
func (e *Export) repairMap(s fullmap.Summary) (done []string, err error) {
	if s.Damaged == 0 && s.HeaderErr == nil {
		return nil, nil
	}
	err = fullmap.Repair(fullmap.Config{Dir: e.stateDir, Name: e.name, Root: e.root, Logger: e.config().Logger})
	if err != nil {
		return nil, err
	}
	if s.HeaderErr != nil {
		done = append(done, placeMap+": set aside one with a damaged header, and wrote it anew")
	}
	if s.Damaged > 0 {
		done = append(done, fmt.Sprintf("%s: wrote it anew without %s", placeMap, count(s.Damaged, "damaged record")))
	}
	return done, nil
}

func joinText(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"vhost-user-9p/qidpath"
)

// placeMap is the Place of findings about the full map.
const placeMap = "full map"

// nearlyFull is the part, in percent, from which on a note says so.
const nearlyFull = 90

// fullMap finds what is wrong with the full map.
func (c *Check) fullMap(l *Look) {
	if l.export.stateDir == nil {
		where := "there is no state directory"
		if l.export.statePath != "" {
			where += " " + l.export.statePath
		}
		c.note("no-state-directory", "", "So nothing can be in it; if the daemons have another one, it must be named here too", "%s", where)
		return
	}
	if !l.hasMap() {
		return
	}
	const lost = "IDs of files that are numbered one by one may be others after each start of a daemon"
	switch s := l.fullMap; {
	case l.mapErr == nil:
		if s.Damaged > 0 {
			c.wrong("damaged-records", placeMap, "write the full map anew without the damaged records",
				"As many files that were numbered one by one have lost their IDs and get new ones, which no other file had",
				"%s", count(s.Damaged, "damaged record"))
		}
		if s.HeaderErr != nil {
			c.wrong("damaged-header", placeMap, "set aside the full map, and write it anew with a header",
				"No file ID is lost, but until it is repaired, by repair or the next start of a daemon, none is added",
				"%s", errorText(s.HeaderErr))
		}
		if s.Torn > 0 {
			c.note("torn-record", placeMap, "The next append writes over it; no file ID is affected that was stored",
				"%s at the end, of an append that is being done or was cut off", count(s.Torn, "byte"))
		}
		if s.Records >= qidpath.MaxNumbers/100*nearlyFull {
			c.note("nearly-full", placeMap, "When it is full, further files that need a number get an error",
				"%d numbers of %d", s.Records, qidpath.MaxNumbers)
		}
	case qidpath.ReasonOf(l.mapErr) == qidpath.ReasonDenied:
		c.denied(placeMap, l.mapErr)
	case qidpath.ReasonOf(l.mapErr) == qidpath.ReasonVersion:
		c.wrong("newer-version", placeMap, "", lost+". A newer version of the program can read it", "%s", errorText(l.mapErr))
	default:
		c.wrong("unreadable", placeMap, "", lost, "%s", errorText(l.mapErr))
	}
}

// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"encoding/binary"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/report"
)

// Hold begins a new session, which ends the one before, and walks to the first n of
// cases.MakeMany's files, one after the other, each with a fid of its own. The session holds
// them then.
func (p *NineP) Hold(n int) report.Round {
	p.begin(cases.Case{})
	const (
		newFid = 7 + 4              // offset in Twalk
		name   = newFid + 4 + 2 + 2 // offset of the first name
	)
	m := p.walk(0, rootFid, 0, cases.ManyName(0))
	next := 0
	m.before = func() {
		binary.LittleEndian.PutUint32(m.request[newFid:], uint32(rootFid+1+next))
		copy(m.request[name:], cases.ManyName(next))
		next++
	}
	p.loop.start(cases.Case{}, []slot{{messages: []*message{m}}})
	return measured(p.ring.tb, p.pid, func() report.Round { return p.loop.run(time.Hour, int64(n)) })
}

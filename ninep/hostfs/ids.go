// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// IDMap says which of the host's users the guest's users are, or which groups the
// groups. If nothing is set, they are the same.
type IDMap struct {
	// Ranges pair IDs of the guest with IDs of the host. Others of the host's are shown
	// as 65534, and others of the guest's refused where something would belong to them,
	// with EOVERFLOW. If not set, the host's are shown as they are.
	Ranges []IDRange

	// Squash makes the guest's IDs that are in no range stand for SquashTo. They are
	// refused in ACLs, where they would give the rights of one user to all.
	Squash   bool
	SquashTo uint32
}

// IsSet reports whether m changes anything.
func (m *IDMap) IsSet() bool { return m.Squash || len(m.Ranges) > 0 }

// IDRange is the guest's IDs from Guest on, Count of them, which are the host's from Host
// on.
type IDRange struct{ Guest, Host, Count uint32 }

const (
	// noID stands for no user or group (P9_NONUNAME), and leaves an owner as it is.
	noID = ^uint32(0)
	// overflowID is what IDs are shown as that the guest has none for, as by Linux.
	overflowID = 65534
)

// ParseIDRanges reads ranges of the form GUEST:HOST:COUNT, with commas between them.
func ParseIDRanges(text string) ([]IDRange, error) {
	var ranges []IDRange
	for part := range strings.SplitSeq(text, ",") {
		fields := strings.Split(part, ":")
		var n [3]uint32
		ok := len(fields) == len(n)
		for i := 0; ok && i < len(n); i++ {
			v, err := strconv.ParseUint(fields[i], 10, 32)
			n[i], ok = uint32(v), err == nil
		}
		if !ok {
			return nil, fmt.Errorf("%q is not GUEST:HOST:COUNT, three numbers", part)
		}
		ranges = append(ranges, IDRange{n[0], n[1], n[2]})
	}
	return ranges, (&IDMap{Ranges: ranges}).Validate()
}

func (r IDRange) String() string { return fmt.Sprintf("%d:%d:%d", r.Guest, r.Host, r.Count) }

// Validate reports what is wrong with m.
func (m *IDMap) Validate() error {
	for _, r := range m.Ranges {
		switch {
		case r.Count == 0:
			return fmt.Errorf("%v is empty", r)
		case r.Guest > noID-r.Count || r.Host > noID-r.Count:
			return fmt.Errorf("%v goes beyond the last ID, %d", r, noID-1)
		}
	}
	for _, side := range []struct {
		name  string
		first func(IDRange) uint32
	}{{"guest", guestID}, {"host", hostID}} {
		ranges := m.sorted(side.first)
		for i := 1; i < len(ranges); i++ {
			if a, b := ranges[i-1], ranges[i]; side.first(b)-side.first(a) < a.Count {
				return fmt.Errorf("%v and %v overlap in the %s's IDs", a, b, side.name)
			}
		}
	}
	if m.Squash && m.SquashTo == noID {
		return errors.New("the ID to squash to is none")
	}
	return nil
}

func guestID(r IDRange) uint32 { return r.Guest }
func hostID(r IDRange) uint32  { return r.Host }

func (m *IDMap) sorted(by func(IDRange) uint32) []IDRange {
	return slices.SortedFunc(slices.Values(m.Ranges), func(a, b IDRange) int { return cmp.Compare(by(a), by(b)) })
}

// ids is an IDMap made ready for use.
type ids struct {
	same            bool      // it changes nothing
	byGuest, byHost []IDRange // the same, sorted
	squash          bool
	squashTo        uint32
}

func newIDs(m *IDMap) ids {
	return ids{
		same:    len(m.Ranges) == 0 && !m.Squash,
		byGuest: m.sorted(guestID), byHost: m.sorted(hostID),
		squash: m.Squash, squashTo: m.SquashTo,
	}
}

// toHost returns the ID of the host that one of the guest's stands for as an owner, or
// false if there is none.
func (m *ids) toHost(id uint32) (uint32, bool) {
	if host, ok := m.pair(id); ok {
		return host, true
	}
	return m.squashTo, m.squash
}

// pair is toHost where the way back must lead to the same ID.
func (m *ids) pair(id uint32) (uint32, bool) {
	if m.same {
		return id, true
	}
	r, ok := find(m.byGuest, guestID, id)
	return r.Host + (id - r.Guest), ok
}

// toGuest returns the ID that the guest is shown for one of the host's.
func (m *ids) toGuest(id uint32) uint32 {
	if len(m.byHost) == 0 {
		return id
	}
	if r, ok := find(m.byHost, hostID, id); ok {
		return r.Guest + (id - r.Host)
	}
	return overflowID
}

// owner returns the host's owner of what the guest's ID makes. Without an ID, that is the
// daemon's own, if it can be one of the guest's.
func (m *ids) owner(id, own uint32) (uint32, bool) {
	switch {
	case id != noID:
		return m.toHost(id)
	case m.squash:
		return m.squashTo, true
	case len(m.byHost) == 0:
		return own, true
	}
	_, ok := find(m.byHost, hostID, own)
	return own, ok
}

// find returns the range that id is in, on the side of first.
func find(ranges []IDRange, first func(IDRange) uint32, id uint32) (IDRange, bool) {
	for lo, hi := 0, len(ranges); lo < hi; {
		mid := (lo + hi) / 2
		switch r := ranges[mid]; {
		case id < first(r):
			hi = mid
		case id-first(r) >= r.Count:
			lo = mid + 1
		default:
			return r, true
		}
	}
	return IDRange{}, false
}

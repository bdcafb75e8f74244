// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a limit of what may happen in a second.
type Rate struct {
	Avg    uint64 // each second in the long run; 0: no limit
	Max    uint64 // each second in a burst; 0: no bursts, but for a tenth of a second
	Length uint64 // of a burst in seconds; 0: 1
}

// Class is what a Rate counts.
type Class int

// The classes of requests.
const (
	Total Class = iota
	Read
	Write
	classes
)

// Limits are all limits that there are. The zero value has none.
type Limits struct {
	BPS  [classes]Rate // bytes
	IOPS [classes]Rate // requests

	// IOPSSize has larger requests count as several; 0: each is one. In bytes.
	IOPSSize uint64
}

// maxValue bounds all values, and Max times Length.
const maxValue = 1e15

// unit is what a rate counts.
type unit struct {
	name  string // as in the names of limits
	rates func(*Limits) *[classes]Rate
	size  bool // in bytes
}

var units = [...]unit{
	{"bps", func(l *Limits) *[classes]Rate { return &l.BPS }, true},
	{"iops", func(l *Limits) *[classes]Rate { return &l.IOPS }, false},
}

var classNames = [classes]string{"total", "read", "write"}

// value is one number of Limits.
type value struct {
	name string
	size bool // in bytes: may have a unit
	of   func(*Limits) *uint64
}

// values has all, by their names in QEMU without "throttling." and with "-" for ".".
var values = func() (all []value) {
	for _, u := range units {
		for c, class := range classNames {
			rate := func(l *Limits) *Rate { return &u.rates(l)[c] }
			name := u.name + "-" + class
			all = append(all,
				value{name, u.size, func(l *Limits) *uint64 { return &rate(l).Avg }},
				value{name + "-max", u.size, func(l *Limits) *uint64 { return &rate(l).Max }},
				value{name + "-max-length", false, func(l *Limits) *uint64 { return &rate(l).Length }})
		}
	}
	return append(all, value{"iops-size", true, func(l *Limits) *uint64 { return &l.IOPSSize }})
}()

// Names returns the names of all values, such as bps-total-max.
func Names() []string {
	var names []string
	for _, v := range values {
		names = append(names, v.name)
	}
	return names
}

// Set sets the value of that name to what text says: a number, for bytes with an optional
// unit K, M, G or T of 1024, 1024*1024 and so on. The error completes "name "text" ...".
func (l *Limits) Set(name, text string) error {
	for _, v := range values {
		if v.name != name {
			continue
		}
		n, ok := parse(text, v.size)
		if !ok || n > maxValue {
			if v.size {
				return errors.New("is not a number of bytes up to 1000000000000000, such as 10485760, 10240K or 10M")
			}
			return errors.New("is not a number up to 1000000000000000")
		}
		if n == 0 && strings.HasSuffix(name, "-max-length") {
			return errors.New("is no length of a burst, which takes a second at least")
		}
		*v.of(l) = n
		return nil
	}
	return errors.New("is not a limit: those are " + strings.Join(Names(), ", "))
}

func parse(text string, size bool) (uint64, bool) {
	shift := 0
	if n := len(text) - 1; size && n >= 0 {
		if i := strings.IndexByte("KMGT", text[n]&^0x20); i >= 0 {
			text, shift = text[:n], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxUint64>>shift {
		return 0, false
	}
	return n << shift, true
}

// Validate reports the first combination of values that makes no sense. Its text begins
// with the name of a value.
func (l *Limits) Validate() error {
	anyIOPS := false
	for _, u := range units {
		rates := u.rates(l)
		for c, class := range classNames {
			r, name := rates[c], u.name+"-"+class
			switch {
			case max(r.Avg, r.Max, l.IOPSSize) > maxValue:
				return fmt.Errorf("%s is above 1000000000000000", name)
			case c != int(Total) && r.Avg > 0 && rates[Total].Avg > 0:
				return fmt.Errorf("%s-total and %s exclude each other", u.name, name)
			case r.Max > 0 && r.Avg == 0:
				return fmt.Errorf("%s-max is for bursts above %s, which is not set", name, name)
			case r.Max > 0 && r.Max < r.Avg:
				return fmt.Errorf("%s-max, %d, is below %s, %d", name, r.Max, name, r.Avg)
			case r.Length > 1 && r.Max == 0:
				return fmt.Errorf("%s-max-length is the length of a burst, but %s-max is not set", name, name)
			case r.Max > 0 && r.Length > maxValue/r.Max:
				return fmt.Errorf("%s-max-length, %d, is too much for %s-max, %d", name, r.Length, name, r.Max)
			}
			anyIOPS = anyIOPS || u.name == "iops" && r.Avg > 0
		}
	}
	if l.IOPSSize > 0 && !anyIOPS {
		return errors.New("iops-size says what counts as one for a limit of requests, but none is set")
	}
	return nil
}

// String names the limits that are set; "none" if none is.
func (l Limits) String() string {
	var set []string
	for _, v := range values {
		if n := *v.of(&l); n != 0 {
			set = append(set, fmt.Sprintf("%s=%d", v.name, n))
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, " ")
}

// Parse reads limits as they stand in a file: lines of the form "bps-total=10M"; white
// space, empty lines, and what follows a # mean nothing. What is not there is not limited.
func Parse(text string) (Limits, error) {
	var l Limits
	given := make(map[string]int)
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, val, ok := strings.Cut(line, "=")
		name, val = strings.TrimSpace(name), strings.TrimSpace(val)
		if !ok {
			return Limits{}, fmt.Errorf("line %d: %q is not of the form name=value", number, line)
		}
		if given[name] != 0 {
			return Limits{}, fmt.Errorf("line %d: %s stands in line %d already", number, name, given[name])
		}
		if err := l.Set(name, val); err != nil {
			return Limits{}, fmt.Errorf("line %d: %s %q %w", number, name, val, err)
		}
		given[name] = number
	}
	if err := l.Validate(); err != nil {
		name, _, _ := strings.Cut(err.Error(), " ")
		return Limits{}, fmt.Errorf("line %d: %w", given[strings.TrimSuffix(name, ",")], err)
	}
	return l, nil
}

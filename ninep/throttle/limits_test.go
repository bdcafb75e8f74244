// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	l, err := Parse(`
# comment
bps-total=10M # and another
 bps-total-max = 20m
bps-total-max-length=60

iops-read=100
iops-write=1000
iops-write-max=2000
iops-size=4K
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Limits{IOPSSize: 4096}
	want.BPS[Total] = Rate{10 << 20, 20 << 20, 60}
	want.IOPS[Read] = Rate{Avg: 100}
	want.IOPS[Write] = Rate{Avg: 1000, Max: 2000}
	if l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	if s := l.String(); !strings.Contains(s, "bps-total-max=20971520 bps-total-max-length=60 ") {
		t.Errorf("as text: %s", s)
	}
	if none, err := Parse("#\n"); err != nil || none != (Limits{}) || none.String() != "none" {
		t.Errorf("nothing is %v, %v", none, err)
	}
	// What is said of limits can be said to set them.
	again, err := Parse(strings.ReplaceAll(l.String(), " ", "\n"))
	if err != nil || again != l {
		t.Errorf("again: %+v, %v", again, err)
	}
	if n := len(Names()); n != 19 {
		t.Errorf("%d names", n)
	}
}

// TestBadLimits has the rules of QEMU's throttle_is_valid.
func TestBadLimits(t *testing.T) {
	for text, want := range map[string]string{
		"bps-total":                           `line 1: "bps-total" is not of the form`,
		"\nbps-all=1":                         `line 2: bps-all "1" is not a limit: those are bps-total, `,
		"bps-total=":                          `line 1: bps-total "" is not a number of bytes`,
		"bps-total=1.5M":                      `is not a number of bytes`,
		"bps-total=-1":                        `is not a number of bytes`,
		"bps-total=1000000000000001":          `is not a number of bytes`,
		"bps-total=99999999999T":              `is not a number of bytes`,
		"iops-total=1K":                       `iops-total "1K" is not a number up to`,
		"bps-read=1\nbps-read=2":              `line 2: bps-read stands in line 1 already`,
		"bps-read-max-length=0":               `is no length`,
		"bps-total=1\nbps-read=1":             `bps-total and bps-read exclude each other`,
		"iops-total=1\n\niops-write=1":        `iops-total and iops-write exclude each other`,
		"bps-write-max=2":                     `line 1: bps-write-max is for bursts above bps-write, which is not set`,
		"bps-write=3\nbps-write-max=2":        `line 2: bps-write-max, 2, is below bps-write, 3`,
		"bps-write=3\nbps-write-max-length=2": `line 2: bps-write-max-length is the length of a burst, but`,
		"bps-read=1T\n#\nbps-read-max=10T\nbps-read-max-length=100": `line 4: bps-read-max-length, 100, is too much`,
		"iops-size=1\nbps-total=1":                                  `line 1: iops-size says`,
	} {
		l, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if l != (Limits{}) {
			t.Errorf("%q gives limits", text)
		}
	}
	for _, text := range []string{
		"bps-total=1\niops-read=1\niops-write=1", "bps-total=0\nbps-read=1", "bps-read=1\nbps-read-max=1\nbps-read-max-length=1",
		"bps-write-max-length=1", "iops-total=1\niops-size=1", "bps-total=1000000000000000",
	} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// difference is a row of the table in docs/protocol.md of what guests see otherwise than
// the host, for which their driver is the cause: the boot tests allow these and no others.
type difference struct {
	check  string   // the name of the check; * stands for anything
	caches []string // the cache modes of the mount in which it is seen, with a ? if not always; or, of a read-only export, readonly
	seen   string   // what is seen; * stands for anything
	cause  string
}

// explains reports whether the difference is why a check failed.
func (d *difference) explains(cache string, c check) bool {
	seen, _, _ := strings.Cut(c.seen, ", want ")
	for _, in := range d.caches {
		if strings.TrimSuffix(in, "?") == cache {
			return matches(d.check, c.name) && matches(d.seen, seen)
		}
	}
	return false
}

func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(s)
}

// differences reads the table.
func differences(t *testing.T) []difference {
	t.Helper()
	content, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(content), "\n| check | cache | seen | cause |\n")
	if !ok {
		t.Fatal("docs/protocol.md has no table of differences")
	}
	var all []difference
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.TrimSpace(line), " | ")
		if len(fields) != 4 {
			if strings.HasPrefix(line, "|---") {
				continue
			}
			break
		}
		code := func(s string) string { return strings.Trim(strings.Trim(s, "| "), "`") }
		all = append(all, difference{code(fields[0]), strings.Fields(fields[1]), code(fields[2]), strings.Trim(fields[3], "| ")})
	}
	return all
}

// TestDifferences: each difference names the function of the guest's driver, and a mode.
func TestDifferences(t *testing.T) {
	function := regexp.MustCompile("`[a-z0-9_]+`")
	for _, d := range differences(t) {
		if !function.MatchString(d.cause) {
			t.Errorf("%s: no function of the driver in %q", d.check, d.cause)
		}
		if d.check == "" || d.seen == "" || len(d.caches) == 0 {
			t.Errorf("%+v lacks something", d)
		}
		for _, cache := range d.caches {
			if !slices.Contains([]string{"none", "mmap", "loose", "readonly"}, strings.TrimSuffix(cache, "?")) {
				t.Errorf("%s: no such mode: %s", d.check, cache)
			}
		}
	}
}

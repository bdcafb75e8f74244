// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedFlags holds the two places that describe the flags at length, besides
// --help, against those that there are. A line may begin the description of several.
func TestDocumentedFlags(t *testing.T) {
	var exist []string
	for _, s := range settings {
		if s.name != "h" { // which stands with help
			exist = append(exist, s.name)
		}
	}
	for _, doc := range []struct{ file, entry, flag string }{
		{"../../docs/operations.md", "### ", `--([a-z-]+)`},
		{"../../docs/vhost-user-9p.8", ".It Fl ", `\bFl -([a-z-]+)`},
	} {
		content, err := os.ReadFile(doc.file)
		if err != nil {
			t.Fatal(err)
		}
		flag := regexp.MustCompile(doc.flag)
		var documented []string
		for line := range strings.Lines(string(content)) {
			if !strings.HasPrefix(line, doc.entry) {
				continue
			}
			for _, m := range flag.FindAllStringSubmatch(line, -1) {
				documented = append(documented, m[1])
			}
		}
		for _, name := range exist {
			switch n := count(documented, name); n {
			case 0:
				t.Errorf("%s has no line %q for --%s", doc.file, doc.entry+"...", name)
			case 1:
			default:
				t.Errorf("%s has %d entries for --%s", doc.file, n, name)
			}
		}
		for _, name := range documented {
			if !slices.Contains(exist, name) {
				t.Errorf("%s describes --%s, which there is not", doc.file, name)
			}
		}
	}
}

func count(list []string, s string) int {
	n := 0
	for _, l := range list {
		if l == s {
			n++
		}
	}
	return n
}

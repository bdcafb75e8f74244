// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumented holds the table in docs/operations.md against the metrics there are.
func TestDocumented(t *testing.T) {
	const path = "../../../../docs/operations.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `"+namespace+"_.*\n").FindAllString(string(text), -1)
	families, err := NewRegistry(sample()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace+"_") {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp()))
		}
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("%s: -the metrics +its table:\n%s", path, diff)
	}
}

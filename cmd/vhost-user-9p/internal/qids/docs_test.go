// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestDocumented holds docs/operations.md against the keys of the JSON and the keywords.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Looking at stored file IDs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := func(word string) {
		t.Helper()
		if !strings.Contains(section, "`"+word+"`") {
			t.Errorf("the section has no `%s`", word)
		}
	}
	for _, object := range []any{Dump{}, Check{}, Repaired{}} {
		keys(reflect.TypeOf(object), documented)
	}

	sources, err := filepath.Glob("check*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	found := 0
	keyword := regexp.MustCompile(`(?:c\.wrong\(|c\.note\(|keyword :?= |contradiction = )"([a-z-]+)"`)
	for _, s := range sources {
		code, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range keyword.FindAllStringSubmatch(string(code), -1) {
			documented(m[1])
			found++
		}
	}
	if found < 20 {
		t.Errorf("%d keywords found in the source", found)
	}
}

// keys calls f for all keys of an object and those in it.
func keys(t reflect.Type, f func(key string)) {
	switch t.Kind() {
	case reflect.Slice:
		keys(t.Elem(), f)
	case reflect.Struct:
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("json"); key != "" {
				f(key)
				keys(t.Field(i).Type, f)
			}
		}
	}
}

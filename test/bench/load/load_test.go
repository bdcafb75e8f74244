// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes what the cases ask for, for two threads.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for n := range 2 {
		for _, name := range []string{"many", "a/b/c/d/e/f/g"} {
			if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(n), name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, size := range map[string]int{"file": 1, "a/b/c/d/e/f/g/h": 1, "data": 2 << 20, "many/entry": 0} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n), name), make([]byte, size), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestCases(t *testing.T) {
	dir := folder(t)
	for name := range cases {
		var out strings.Builder
		if err := run([]string{dir}, strings.NewReader(name+"\t2\t20ms\ngo\nend\n"), &out); err != nil {
			t.Fatal(err)
		}
		var operations, bytes, elapsed int64
		if _, err := fmt.Sscanf(out.String(), "ready\ndone %d %d %d\n", &operations, &bytes, &elapsed); err != nil {
			t.Errorf("%s: %v in\n%s", name, err, &out)
			continue
		}
		moves := strings.HasPrefix(name, "read ") || strings.HasPrefix(name, "write ")
		if operations == 0 || elapsed < 20e6 || (bytes > 0) != moves {
			t.Errorf("%s: %d operations with %d bytes in %d ns", name, operations, bytes, elapsed)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*/*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 8 {
		t.Errorf("the cases have left things behind: %q", left)
	}
}

// TestPrograms has one that counts what it does itself, and one that does not.
func TestPrograms(t *testing.T) {
	programs["count"], programs["plain"] = `echo $((count * 2)) 3 4`, `test "$threads" = 5`
	var out strings.Builder
	if err := run([]string{t.TempDir()}, strings.NewReader("count\t1\t100\ngo\nplain\t5\t7\ngo\nplain\t4\t7\ngo\n"), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 7 || lines[1] != "done 200 3 4" || !strings.HasPrefix(lines[3], "done 7 0 ") || !strings.HasPrefix(lines[5], "failed: exit status 1") {
		t.Errorf("the answers are\n%s", &out)
	}
}

// TestBad has lines that ask for nothing that can be done, and goes on after them.
func TestBad(t *testing.T) {
	var out strings.Builder
	if err := run([]string{t.TempDir()}, strings.NewReader("nothing\t1\t1ms\nwalk 1\t1\t1ms\nwalk 1\none\ttwo\tthree\n"), &out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 5 || strings.Count(out.String(), "failed: ") != 4 {
		t.Errorf("the answers are\n%s", &out)
	}
}

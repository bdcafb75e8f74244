// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// rounds makes rounds of a second, with so many thousand operations each, that take the
// server so many microseconds and one and a half switches each.
func rounds(cpu float64, thousands ...int64) []Round {
	var all []Round
	for _, n := range thousands {
		n *= 1000
		all = append(all, Round{Operations: n, Elapsed: time.Second, CPU: time.Duration(cpu * 1e3 * float64(n)), Switches: n * 3 / 2})
	}
	return all
}

func sample() Report {
	stream := func(megabytes, each int64) []Round {
		return []Round{{Operations: megabytes / each, Bytes: megabytes * 1e6, Elapsed: 2 * time.Second, CPU: time.Second}}
	}
	return Report{[]Result{
		// The machine becomes slower all the time, which the ratio of each two rounds does not see.
		{Rig: "ring, one processor", Case: "getattr", Depth: 1, System: "floor", Rounds: rounds(2, 400, 200, 100)},
		{Rig: "ring, one processor", Case: "getattr", Depth: 1, System: "virtiofsd", Calls: 3, Rounds: rounds(6, 100, 50, 25)},
		{Rig: "ring, one processor", Case: "getattr", Depth: 1, System: "vhost-user-9p", Calls: 1.25, Rounds: rounds(3, 150, 75, 50)},
		{Rig: "uml", Case: "read 1 MiB", Depth: 4, System: "vhost-user-9p", Rounds: stream(5000, 1)},
		// The other's operations carry twice as much: what counts is the bytes.
		{Rig: "uml", Case: "read 1 MiB", Depth: 4, System: "virtiofsd", Rounds: stream(4000, 2)},
		{Rig: "uml", Case: `<sqlite> & "friends"`, System: "vhost-user-9p", Rounds: rounds(1, 1)},
	}, []Figure{{"files held", 1000, "files"}, {"to hold one", 1.25, "us"}}}
}

// fields are the words of the first line that begins so.
func fields(t *testing.T, table, begin string) []string {
	t.Helper()
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, begin) {
			return strings.Fields(line)
		}
	}
	t.Fatalf("no line begins with %q:\n%s", begin, table)
	return nil
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for begin, want := range map[string]string{
		// speed, spread, CPU, switches and calls of ours, virtiofsd and the floor; ratios 1.5,
		// 1.5 and 2; half the CPU time; half the floor's above the floor
		"getattr":    "getattr 1 75000/s 50000..150000 3.00 1.50 1.25 50000/s 25000..100000 6.00 1.50 3.00 200000/s 100000..400000 2.00 1.50 - 1.50x 0.50x +0.50",
		"read 1 MiB": "read 1 MiB 4 2500 MB/s 2500..2500 200 0.00 - 2000 MB/s 2000..2000 500 0.00 - 1.25x 0.80x",
		"<sqlite>":   `<sqlite> & "friends" - 1000/s 1000..1000 1.00 1.50 - - - - - - - -`,
		"files held": "files held 1000 files",
		"to hold":    "to hold one 1.25 us",
	} {
		if got := strings.Join(fields(t, b.String(), begin), " "); got != want {
			t.Errorf("got  %s\nwant %s\n%s", got, want, b.String())
		}
	}
	for _, want := range []string{"ring in process, one processor", "guest in User-mode Linux", "against virtiofsd", "above the floor"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q:\n%s", want, b.String())
		}
	}
	for _, never := range []string{"NaN", "Inf"} {
		if strings.Contains(b.String(), never) {
			t.Errorf("%s for what was not measured:\n%s", never, b.String())
		}
	}
}

// TestMedian has an even number of rounds, and one without an operation.
func TestMedian(t *testing.T) {
	r := Result{Rounds: rounds(1, 4, 1, 3, 2)}
	if got := median(each(r.Rounds, Round.perSecond)); got != 2500 {
		t.Errorf("the median of 1000 to 4000 is %v", got)
	}
	empty := append(rounds(1, 0), r.Rounds...)
	if got := median(each(empty, Round.cpu)); got != 1 {
		t.Errorf("with a round without operations: %v us an operation, want 1", got)
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "results")
	if err := Write(dir, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("read back: %+v", got)
	}
	table, err := os.ReadFile(filepath.Join(dir, "results.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := Print(&printed, got); err != nil {
		t.Fatal(err)
	}
	if string(table) != printed.String() {
		t.Errorf("results.txt is not what Print writes:\n%s", table)
	}
	picture, err := os.ReadFile(filepath.Join(dir, "results.svg"))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d, text := xml.NewDecoder(bytes.NewReader(picture)), ""; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the chart: %v\n%s", err, picture)
		}
		switch token := token.(type) {
		case xml.CharData:
			text = string(token)
		case xml.EndElement:
			if token.Name.Local == "text" {
				texts = append(texts, text)
			}
		}
	}
	all := strings.Join(texts, "\n") + "\n"
	for _, want := range []string{
		"vhost-user-9p\n", "virtiofsd\n", "floor\n", // the legend
		"getattr, depth 1\n1.50\n1.00\n4.00\n", // bars, against virtiofsd
		"read 1 MiB, depth 4\n1.25\n1.00\n",
		"<sqlite> & \"friends\"\n",
		"operations (streams: bytes) per second, the peer's = 1\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the chart does not say %q:\n%s", want, all)
		}
	}
}

// TestReadBad has files that Write has not written.
func TestReadBad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	if _, err := Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half a file: %v", err)
	}
}

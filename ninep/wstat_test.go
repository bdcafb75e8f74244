// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// stubborn is a file that takes new names and nothing else.
type stubborn struct {
	nullFile
	names []string
}

func (f *stubborn) Attach(*Call, Name) (File, QID, error) { return f, nullQID, nil }
func (f *stubborn) Reset()                                {}
func (f *stubborn) Parent(*Call) (File, error)            { return f, nil }
func (f *stubborn) SetAttr(*Call, *SetAttr) error         { return unix.ENOSPC }

func (f *stubborn) Walk(*Call, []Name, []QID) (File, int, error) { return nil, 0, unix.ENOENT }

func (f *stubborn) Rename(_ *Call, _ File, name Name) error {
	f.names = append(f.names, string(name))
	return nil
}

func TestWstatDoesAllOrNothing(t *testing.T) {
	f := &stubborn{}
	r := newRigOf(t, Config{Backend: f}, Dialect2000U)
	m := &Twstat{Stat: NullStat()}
	m.Stat.Name, m.Stat.Length = Name("new"), 5
	if err := r.try(m, &Rwstat{}); err != unix.ENOSPC {
		t.Errorf("got %v", err)
	}
	if want := []string{"new", "name"}; !slices.Equal(f.names, want) {
		t.Errorf("the file was called %q, want %q", f.names, want)
	}
}

func TestErrorTexts(t *testing.T) {
	for e, want := range map[unix.Errno]string{
		unix.EPERM: "Operation not permitted", unix.EIO: "Input/output error", unix.EXDEV: "Invalid cross-device link",
		unix.ENOTEMPTY: "Directory not empty", unix.ELIBSCN: ".lib section in a.out corrupted", unix.EDOTDOT: "RFS specific error",
		unix.EOPNOTSUPP: "Operation not supported", 4000: "Unknown error 4000",
	} {
		if got := string(appendErrorText(nil, e)); got != want {
			t.Errorf("%d is %q, want %q", e, got, want)
		}
	}
	for e := unix.Errno(1); e <= unix.EHWPOISON; e++ {
		text := appendErrorText(nil, e)
		if len(text) > maxErrorText {
			t.Errorf("the text of %d has %d bytes", e, len(text))
		}
		if unix.ErrnoName(e) != "" && errnoOfText(text) != e {
			t.Errorf("%q is taken for %v", text, errnoOfText(text))
		}
	}
}

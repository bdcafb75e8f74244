// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventuallyOpen waits until as many descriptors are used as are wanted, besides those of
// the root.
func (r *rig) eventuallyOpen(want int64) {
	r.Helper()
	for end := time.Now().Add(4 * lingerTick); ; time.Sleep(lingerTick / 50) {
		n := r.fs.fds.used.Load() - rootFDs
		if n == want {
			return
		}
		if time.Now().After(end) {
			r.Fatalf("%d descriptors after %v, want %d", n, 4*lingerTick, want)
		}
	}
}

// rootFDs is how many descriptors there are before anything is walked to.
const rootFDs = 2

// walkHere is walk, but the caller closes the file.
func (r *rig) walkHere(names ...string) *file {
	r.Helper()
	f, _, err := r.walkFrom(r.root, names...)
	r.must(err)
	return f
}

// A node that is walked to again in a moment is the same one, on the same descriptor;
// after that moment nothing is held.
func TestNodesLinger(t *testing.T) {
	r := newRig(t)
	r.mkdir("d")
	r.put("d/f", "x")
	before := r.fs.fds.used.Load()
	f := r.walkHere("d", "f")
	first, fd := f.n, wordFD(f.n.desc.word.Load())
	f.Close(nil)
	for range 100 {
		f := r.walkHere("d", "f")
		if f.n != first || wordFD(f.n.desc.word.Load()) != fd {
			t.Fatal("another node")
		}
		f.Close(nil)
	}
	if n := r.fs.fds.used.Load(); n != before+2 {
		t.Errorf("%d descriptors for a directory and a file", n-before)
	}
	r.eventuallyOpen(before - rootFDs)
	r.fs.lingering.dropping.Lock() // the tick that closed the last descriptor is over
	defer r.fs.lingering.dropping.Unlock()
	if n := r.fs.Stats().Nodes; n != 1 {
		t.Errorf("%d nodes, only the root is used", n)
	}
	r.fs.lingering.mu.Lock()
	defer r.fs.lingering.mu.Unlock()
	if r.fs.lingering.ticking {
		t.Error("the timer goes on although nothing lingers")
	}
}

// What a guest removes, or replaces, does not linger: its blocks are free at once. Nor does
// what lingers outlive a removal.
func TestRemovedNodesDoNotLinger(t *testing.T) {
	for name, remove := range map[string]func(r *rig) error{
		"unlink":      func(r *rig) error { return r.root.UnlinkAt(r.c, []byte("f"), 0) },
		"rename over": func(r *rig) error { return r.root.RenameAt(r.c, []byte("g"), r.root, []byte("f")) },
	} {
		for when, held := range map[string]bool{"held": true, "lingering": false} {
			t.Run(name+"/"+when, func(t *testing.T) {
				r := newRig(t)
				r.put("f", "x")
				r.put("g", "y")
				before := r.fs.fds.used.Load()
				f := r.walkHere("f")
				if !held {
					f.Close(nil)
				}
				r.must(remove(r))
				if held {
					var st unix.Statx_t
					r.must(unix.Statx(int(wordFD(f.n.desc.word.Load())), "", unix.AT_EMPTY_PATH, unix.STATX_NLINK, &st))
					if st.Nlink != 0 {
						t.Fatalf("%d names", st.Nlink)
					}
					f.Close(nil)
				}
				if n := r.fs.fds.used.Load(); n != before {
					t.Errorf("%d descriptors are left", n-before)
				}
			})
		}
	}
}

// A file that is replaced on the host is not taken for the one that lingers.
func TestLingeringNodeIsReplacedOnTheHost(t *testing.T) {
	r := newRig(t)
	r.put("f", "old")
	f := r.walkHere("f")
	old, path := f.n, f.n.path
	f.Close(nil)
	r.put("g", "new")
	r.must(os.Rename(filepath.Join(r.dir, "g"), filepath.Join(r.dir, "f")))
	f = r.walkHere("f")
	defer f.Close(nil)
	if f.n == old || f.n.path == path {
		t.Error("the node of the file that was there before")
	}
}

// No more nodes linger than may, the first to come is the first to go; and those go first
// when descriptors are needed.
func TestLingeringNodesAreBounded(t *testing.T) {
	const files = lingerers + 100
	r := newRigAt(t, t.TempDir(), Config{MaxDescriptors: lingerers + 300})
	for i := range files {
		r.put(fmt.Sprint("f", i), "")
	}
	before := r.fs.fds.used.Load()
	for i := range files {
		r.walkHere(fmt.Sprint("f", i)).Close(nil)
	}
	if n := r.fs.fds.used.Load() - before; n != lingerers {
		t.Errorf("%d nodes linger, want %d", n, lingerers)
	}
	var held []*file
	for i := range 400 {
		held = append(held, r.walkHere(fmt.Sprint("f", i)))
	}
	if s := r.fs.Stats().Descriptors; s.Cold != 0 || s.Evicted != 0 {
		t.Errorf("nodes that are used have lost their descriptors to those that are not: %+v", s)
	}
	for _, f := range held {
		f.Close(nil)
	}
}

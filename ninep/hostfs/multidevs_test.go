// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestMultiDevs(t *testing.T) {
	privateMounts(t)
	var log bytes.Buffer
	for how, say := range map[MultiDevs]string{Remap: "", Forbid: "multidevs=forbid", Warn: "multidevs=warn"} {
		t.Run(how.String(), func(t *testing.T) {
			log.Reset()
			r := newRigAt(t, t.TempDir(), Config{MultiDevs: how, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			r.mkdir("other")
			r.mkdir("third")
			r.put("f", "data")
			r.mount("none", r.path("other"), "tmpfs", 0)
			r.mount("none", r.path("third"), "tmpfs", 0)
			r.put("other/f", "other data")
			r.put("third/f", "third data")
			inode := func(name string) uint64 {
				var st unix.Stat_t
				r.must(unix.Stat(r.path(name), &st))
				return st.Ino
			}

			qid, err := r.qidOf("f")
			r.must(err)
			if (qid.Path == inode("f")) != (how != Remap) {
				t.Errorf("path %#x, inode %#x", qid.Path, inode("f"))
			}
			if log.Len() != 0 {
				t.Errorf("log: %s", &log)
			}
			paths := map[uint64]bool{qid.Path: true}
			for _, dir := range []string{"other", "third"} {
				qid, err := r.qidOf(dir, "f")
				switch how {
				case Forbid:
					r.want(err, unix.ENODEV)
				case Warn:
					r.must(err)
					if want := inode(dir + "/f"); qid.Path != want {
						t.Errorf("path %#x, inode %#x", qid.Path, want)
					}
				case Remap:
					r.must(err)
					if paths[qid.Path] {
						t.Errorf("two files have the path %#x", qid.Path)
					}
				}
				paths[qid.Path] = true
			}
			if got := strings.Count(log.String(), "multidevs="); say == "" && got != 0 || say != "" && (got != 1 || !strings.Contains(log.String(), say)) {
				t.Errorf("log: %s", &log)
			}

			// All is listed, and what can be walked to under the same number.
			listed := map[string]ninep.QID{}
			for _, e := range r.list(r.open(unix.O_RDONLY), 4096) {
				listed[string(e.Name)] = e.QID
			}
			for name, typ := range map[string]ninep.QIDType{"f": ninep.QTFile, "other": ninep.QTDir, "third": ninep.QTDir} {
				qid, err := r.qidOf(name)
				if got, ok := listed[name]; !ok || got.Type != typ || err == nil && got.Path != qid.Path {
					t.Errorf("%s is listed as %+v, %v, walked to as %+v, %v", name, got, ok, qid, err)
				}
			}
		})
	}
}

// qidOf walks from the root.
func (r *rig) qidOf(elem ...string) (ninep.QID, error) {
	r.Helper()
	qids := make([]ninep.QID, len(elem))
	f, n, err := r.root.Walk(r.c, names(elem...), qids)
	if err != nil {
		return ninep.QID{}, err
	}
	f.Close(nil)
	return qids[n-1], nil
}

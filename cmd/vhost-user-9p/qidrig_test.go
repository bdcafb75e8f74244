// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
	"vhost-user-9p/xattrstore"
	"vhost-user-9p/xattrstore/fullmap"
)

var update = flag.Bool("update", false, "write testdata/qid anew")

// qidRig is an export, and a state directory, in which file IDs are stored.
type qidRig struct {
	t        *testing.T
	dir      string
	state    string
	own      qidpath.Element // what a daemon stores first: the export's own file system
	identity qidpath.Identity
	name     string // of files in the state directory
	places   map[string]string
}

func newQIDRig(t *testing.T, dir string) *qidRig {
	t.Helper()
	r := &qidRig{t: t, dir: dir, state: t.TempDir()}
	root := r.root()
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	id, err := fsid.Of(int(root.Fd()), -1)
	if err != nil {
		t.Fatal(err)
	}
	r.identity = id
	r.own = elementOf(id, st.Dev)
	r.name = xattrstore.StateName(id, st.Dev, st.Ino)
	r.places = map[string]string{
		r.name:                               "NAME",
		dir:                                  "EXPORT",
		r.state:                              "STATE",
		fmt.Sprintf("inode %d\n", st.Ino):    "inode INODE\n",
		fmt.Sprintf(`"inode": "%d"`, st.Ino): `"inode": "INODE"`,
		fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)): "DEVICE",
		fmt.Sprintf("label %#x", st.Dev):                             "label LABEL",
		fmt.Sprintf(`"%#x"`, st.Dev):                                 `"LABEL"`,
	}
	return r
}

// tmpfsRig has its export on a tmpfs, where values of attributes can be large.
func tmpfsRig(t *testing.T) *qidRig {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "qid")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		var fs unix.Statfs_t
		if err = unix.Statfs(dir, &fs); err == nil && fs.Type != unix.TMPFS_MAGIC {
			err = errors.New("another file system")
		}
	}
	if err == nil {
		err = unix.Setxattr(dir, "user.test", nil, 0)
	}
	if err == nil {
		err = unix.Removexattr(dir, "user.test")
	}
	if err != nil {
		t.Skipf("needs a tmpfs with attributes at /dev/shm: %v", err)
	}
	return newQIDRig(t, dir)
}

// elementOf is the first element of a file system.
func elementOf(id qidpath.Identity, dev uint64) qidpath.Element {
	if id.IsZero() {
		id = qidpath.DeviceIdentity(dev)
	}
	return qidpath.Element{Key: qidpath.Key{FS: id}, Dev: dev}
}

// absent is the element number n of file systems that are not mounted; every third has
// no identity.
func absent(n int) qidpath.Element {
	var id qidpath.Identity
	if n%3 != 0 {
		binary.BigEndian.PutUint64(id[:], 0xab5e<<48)
		binary.BigEndian.PutUint64(id[8:], uint64(n))
	}
	return elementOf(id, unix.Mkdev(3999, uint32(n)))
}

func (r *qidRig) open(path string) *os.File {
	r.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

func (r *qidRig) root() *os.File { return r.open(r.dir) }

// store opens a Store as a daemon does.
func (r *qidRig) store(mode xattrstore.Mode) *xattrstore.Store {
	r.t.Helper()
	s, err := xattrstore.Open(r.root(), xattrstore.Config{
		Mode:     mode,
		StateDir: r.open(r.state),
		Identity: r.identity,
		Logger:   slog.New(slog.NewTextHandler(r.t.Output(), nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.Close() })
	return s
}

// append stores elements behind those that are there.
func (r *qidRig) append(mode xattrstore.Mode, elements ...qidpath.Element) {
	r.t.Helper()
	s := r.store(mode)
	have, err := s.Load()
	if err == nil {
		_, err = s.Append(len(have), elements)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// load returns what a daemon loads.
func (r *qidRig) load() []qidpath.Element {
	r.t.Helper()
	elements, err := r.store(xattrstore.ModeAuto).Load()
	if err != nil {
		r.t.Error(err)
	}
	return elements
}

// number gives files of the export numbers of the full map.
func (r *qidRig) number(files ...qidpath.File) {
	r.t.Helper()
	m, err := fullmap.Open(fullmap.Config{
		Dir: r.open(r.state), Name: r.name, Root: r.root(),
		Logger: slog.New(slog.NewTextHandler(r.t.Output(), nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer m.Close()
	none := func(qidpath.File, uint64) {}
	err = m.Load(none)
	for _, f := range files {
		if err == nil {
			_, err = m.Append(f, none)
		}
	}
	if err = errors.Join(err, m.Sync()); err != nil {
		r.t.Fatal(err)
	}
}

// Attributes of the export, by what comes after user.virtfs.system.
func (r *qidRig) get(name string) []byte {
	r.t.Helper()
	value := make([]byte, 1<<16)
	n, err := unix.Getxattr(r.dir, xattrstore.Prefix+"system."+name, value)
	if err != nil {
		r.t.Fatal(err)
	}
	return value[:n]
}

func (r *qidRig) set(name string, value []byte) {
	r.t.Helper()
	if err := unix.Setxattr(r.dir, xattrstore.Prefix+"system."+name, value, 0); err != nil {
		r.t.Fatal(err)
	}
}

func (r *qidRig) remove(name string) {
	r.t.Helper()
	if err := unix.Removexattr(r.dir, xattrstore.Prefix+"system."+name); err != nil {
		r.t.Fatal(err)
	}
}

// flip changes a bit of an attribute, or of a file of the state directory.
func (r *qidRig) flip(name string, at int) {
	r.t.Helper()
	if !strings.HasPrefix(name, ".") {
		value := r.get(name)
		value[at] ^= 1
		r.set(name, value)
		return
	}
	path := filepath.Join(r.state, r.name+name)
	content, err := os.ReadFile(path)
	if err == nil {
		content[at] ^= 1
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// qid runs a subcommand on the export.
func (r *qidRig) qid(args ...string) outcome {
	r.t.Helper()
	args = append([]string{"qid"}, args...)
	return runArgs(r.t, append(args, "--state-dir", r.state, r.dir)...)
}

// want runs a subcommand that ends with a status, and without an error.
func (r *qidRig) want(status int, args ...string) (stdout string) {
	r.t.Helper()
	o := r.qid(args...)
	if o.status != status || o.stderr != "" {
		r.t.Errorf("%q: status %d, want %d; standard error: %s\n%s", args, o.status, status, o.stderr, o.stdout)
	}
	return o.stdout
}

// plain puts names in the place of what is another one each time.
func (r *qidRig) plain(text string) string {
	// The longer ones first, of which the others may be parts.
	var old []string
	for s := range r.places {
		old = append(old, s)
	}
	slices.SortFunc(old, func(a, b string) int { return len(b) - len(a) })
	for _, s := range old {
		text = strings.ReplaceAll(text, s, r.places[s])
	}
	text = spaces.ReplaceAllString(text, "$1  ")
	text = checksums.ReplaceAllString(text, "${1}CHECKSUM")
	text = whereJSON.ReplaceAllString(text, `"${1}": "MOUNTED"`)
	return where.ReplaceAllString(text, "MOUNTED")
}

var (
	spaces    = regexp.MustCompile(`(\S) {2,}`)
	checksums = regexp.MustCompile(`(checksum |header |\.bad[.-]|crc32c": ")[0-9a-f]{8}\b`)
	where     = regexp.MustCompile(`/dev\S* \(tmpfs, \w+\)`)
	whereJSON = regexp.MustCompile(`"(mount_point|source)": "[^"]*"`)
)

// golden runs subcommands and compares what they print with a file.
func (r *qidRig) golden(name string, runs ...[]string) {
	r.t.Helper()
	var got strings.Builder
	for _, args := range runs {
		o := r.qid(args...)
		fmt.Fprintf(&got, "# qid %s: %d\n%s%s\n", strings.Join(args, " "), o.status, r.plain(o.stdout), r.plain(o.stderr))
	}
	path := filepath.Join("testdata/qid", name)
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		r.t.Errorf("-want +got (go test -update writes it anew):\n%s", diff)
	}
}

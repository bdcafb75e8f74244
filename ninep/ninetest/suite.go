// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Config says what Run tests.
type Config struct {
	// New returns a backend with an empty export, which the test may fill and
	// which New removes by t.Cleanup. It must be set.
	New func(t testing.TB) ninep.Backend

	// Lacks names what the backend cannot do, or not here. The tests of it are
	// skipped.
	Lacks Lacks

	// Connect returns a Transport to a session with the configuration, which it
	// ends by t.Cleanup. If not set, the session is called in this process (Local),
	// with messages in one piece and in several.
	Connect func(t testing.TB, cfg ninep.Config) Transport
}

// Lacks are things that not every backend can do everywhere.
type Lacks struct {
	Owners      bool // files cannot be owned by the user who asks (needs root)
	DeviceNodes bool // no block and character devices
	FIFOs       bool // no fifos and sockets
	Xattrs      bool // no attributes user.*
	Locks       bool // no byte-range locks between clients
	OpenUnlink  bool // files do not outlive their names
	HardLinks   bool // no second names
}

// Run runs the suite.
func Run(t *testing.T, cfg Config) {
	if cfg.Connect != nil {
		cfg.run(t)
		return
	}
	for _, shape := range []struct {
		name  string
		piece int
	}{{"whole", 0}, {"pieces", 13}} {
		t.Run(shape.name, func(t *testing.T) {
			cfg := cfg
			cfg.Connect = func(t testing.TB, sc ninep.Config) Transport {
				l := NewLocal(ninep.NewSession(sc), shape.piece)
				t.Cleanup(l.Close)
				return l
			}
			cfg.run(t)
		})
	}
}

func (cfg *Config) run(t *testing.T) {
	for _, group := range []struct {
		name    string
		tests   []suiteTest
		dialect ninep.Dialect
	}{
		{"session", sessionTests, ninep.Dialect2000L},
		{"walk", walkTests, ninep.Dialect2000L},
		{"io", ioTests, ninep.Dialect2000L},
		{"readdir", readdirTests, ninep.Dialect2000L},
		{"attr", attrTests, ninep.Dialect2000L},
		{"names", namesTests, ninep.Dialect2000L},
		{"rename", renameTests, ninep.Dialect2000L},
		{"unlinked", unlinkedTests, ninep.Dialect2000L},
		{"xattr", xattrTests, ninep.Dialect2000L},
		{"xattr_fid", xattrFIDTests, ninep.Dialect2000L},
		{"lock", lockTests, ninep.Dialect2000L},
		{"flush", flushTests, ninep.Dialect2000L},
		{"readonly", readonlyTests, ninep.Dialect2000L},
		{"parallel", parallelTests, ninep.Dialect2000L},
		{"u", unixTests, ninep.Dialect2000U},
		{"u_shared", plainTests, ninep.Dialect2000U},
		{"base", baseTests, ninep.Dialect2000},
		{"base_shared", plainTests, ninep.Dialect2000},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					if lacks := test.lacks; lacks != nil && lacks(&cfg.Lacks) {
						t.Skip("the backend lacks what this tests")
					}
					test.run(newEnv(t, cfg, group.dialect))
				})
			}
		})
	}
}

// suiteTest is one test. lacks, if set, reports that the backend lacks what the
// test is of.
type suiteTest struct {
	name  string
	run   func(*env)
	lacks func(*Lacks) bool
}

// root is the fid of the export's root in all tests.
const root = 0

// env is what a test has: a session of which root is attached for the user 0.
type env struct {
	*testing.T
	*Client
	cfg     *Config
	backend ninep.Backend
	dialect ninep.Dialect
}

func newEnv(t *testing.T, cfg *Config, d ninep.Dialect) *env {
	t.Helper()
	e := &env{T: t, cfg: cfg, backend: cfg.New(t), dialect: d}
	e.connect(ninep.Config{})
	return e
}

// connect replaces the session by one of the same backend with the configuration.
func (e *env) connect(sc ninep.Config) {
	e.Helper()
	sc.Backend = e.backend
	e.Client = NewClient(e.cfg.Connect(e.T, sc))
	_, v, err := e.Version(64<<10, e.dialect.String())
	e.ok(err)
	if v != e.dialect.String() {
		e.Fatalf("Rversion %q", v)
	}
	_, err = e.Attach(root, 0, "")
	e.ok(err)
}

// ok fails the test if there is an error.
func (e *env) ok(err error) {
	if err != nil {
		e.Helper()
		e.Fatal(err)
	}
}

// want fails the test unless err is one of the errnos.
func (e *env) want(err error, errnos ...unix.Errno) {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return
		}
	}
	e.Helper()
	e.Fatalf("got %v, want %v", err, errnos)
}

// equal fails the test unless got is want.
func equal[T comparable](e *env, what string, got, want T) {
	if got != want {
		e.Helper()
		e.Fatalf("%s is %v, want %v", what, got, want)
	}
}

// walk walks from root to a new fid.
func (e *env) walk(names ...string) uint32 {
	e.Helper()
	fid, err := e.WalkTo(root, names...)
	e.ok(err)
	return fid
}

// create makes a file below root, and returns a fid that has it open for reading
// and writing.
func (e *env) create(name string, data string) uint32 {
	e.Helper()
	fid := e.walk()
	_, err := e.Lcreate(fid, name, unix.O_RDWR|unix.O_EXCL, 0o644, 0)
	e.ok(err)
	e.ok(e.WriteAll(fid, 0, []byte(data)))
	return fid
}

// mkdir makes a directory below root.
func (e *env) mkdir(name string) {
	e.Helper()
	_, err := e.Mkdir(root, name, 0o755, 0)
	e.ok(err)
}

// open walks to the names and opens what is there.
func (e *env) open(flags uint32, names ...string) uint32 {
	e.Helper()
	fid := e.walk(names...)
	_, _, err := e.Lopen(fid, flags)
	e.ok(err)
	return fid
}

// content returns what is in the file.
func (e *env) content(names ...string) string {
	e.Helper()
	fid := e.open(unix.O_RDONLY, names...)
	data, err := e.ReadAll(fid)
	e.ok(err)
	e.ok(e.Clunk(fid))
	return string(data)
}

// attr returns the attributes of fid.
func (e *env) attr(fid uint32) ninep.Attr {
	e.Helper()
	a, err := e.Getattr(fid, ninep.AttrBasic)
	e.ok(err)
	return a
}

// exists reports whether there is something under the name below root.
func (e *env) exists(names ...string) bool {
	e.Helper()
	fid, err := e.WalkTo(root, names...)
	if errors.Is(err, unix.ENOENT) {
		return false
	}
	e.ok(err)
	e.ok(e.Clunk(fid))
	return true
}

// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// root is the checkout's folder.
var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	panic("the tests do not run in a checkout")
})

// builds are the programs that were built, by package.
var builds struct {
	mu  sync.Mutex
	dir string
	err map[string]error
}

// Program builds one of the module's programs, once per test binary, and returns its
// path. It is linked statically. The test's TestMain must be Main.
func Program(t testing.TB, pkg string) string {
	t.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "v9p-programs-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.err = dir, map[string]error{}
	}
	path := filepath.Join(builds.dir, filepath.Base(pkg))
	err, ok := builds.err[pkg]
	if !ok {
		cmd := exec.Command("go", "build", "-o", path, "./"+pkg)
		cmd.Dir = root()
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
		builds.err[pkg] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Main is the TestMain of packages that use Program: it runs the tests, and removes what
// was built. Daemons that are not told otherwise keep their state in a folder of the
// tests'. What is to be done after the tests can fail the run.
func Main(m *testing.M, after ...func() error) {
	state, err := os.MkdirTemp("", "v9p-state-")
	if err == nil {
		err = os.Setenv("STATE_DIRECTORY", state)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	for _, f := range after {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	_ = os.RemoveAll(state)
	removePrograms()
	os.Exit(code)
}

func removePrograms() {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
		builds.dir = ""
	}
}

// NeedRoot skips a test that cannot run without root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("missing capability: root")
	}
}

// Dir makes a folder for a test. Its path is short, as paths of sockets must be, and it
// is on a disk if the system's temporary folder is.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "v9p-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing the test's folder: %v", err)
		}
	})
	return dir
}

// Export makes a folder to be served.
func Export(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Dir(t), "export")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

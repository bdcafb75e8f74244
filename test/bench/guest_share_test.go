// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vhost-user-9p/test/bench/cases"
)

const (
	threads = 4        // the most that a case has
	big     = 32 << 20 // bytes of a file to read and write
	entries = 10000    // of a big folder
	perDir  = 100      // files in each folder of a tree
)

// command runs a program on the host.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Host", "GIT_AUTHOR_EMAIL=host@example.org", "GIT_COMMITTER_NAME=Host", "GIT_COMMITTER_EMAIL=host@example.org")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// makeFile makes a file whose small writes cost the same wherever it is.
func makeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := cases.WriteFile(path, content); err != nil {
		t.Fatal(err)
	}
}

// fillFolders makes a folder for each thread, with all that the program load asks for.
func fillFolders(t *testing.T, export string) {
	t.Helper()
	for n := range threads {
		dir := filepath.Join(export, fmt.Sprint(n))
		makeDir(t, filepath.Join(dir, "many"))
		makeDir(t, filepath.Join(dir, "a/b/c/d/e/f/g"))
		makeFile(t, filepath.Join(dir, "a/b/c/d/e/f/g/h"), []byte("deep"))
		makeFile(t, filepath.Join(dir, "file"), make([]byte, 4096))
		makeFile(t, filepath.Join(dir, "data"), data())
		for i := range entries {
			makeFile(t, filepath.Join(dir, "many", fmt.Sprintf("entry-%05d", i)), nil)
		}
	}
}

func data() []byte { return bytes.Repeat([]byte("some data, no zeros\n"), big/20+1)[:big] }

// fillTree makes a tree of files, as a repository and as an archive, and a file to read.
func fillTree(t *testing.T, export string, files int) {
	t.Helper()
	makeDir(t, filepath.Join(export, "0"))
	makeFile(t, filepath.Join(export, "0/data"), data())
	repository := filepath.Join(export, "repository")
	for i := range files {
		dir := filepath.Join(repository, fmt.Sprintf("%d/%d", i/perDir/10, i/perDir))
		if i%perDir == 0 {
			makeDir(t, dir)
		}
		line := fmt.Appendf(nil, "file %d\n", i)
		makeFile(t, filepath.Join(dir, fmt.Sprintf("file-%d", i)), bytes.Repeat(line, 1+i%500))
	}
	command(t, export, "tar", "-cf", "tree.tar", "-C", "repository", ".")
	command(t, repository, "git", "init", "--quiet")
	command(t, repository, "git", "add", "--all")
	command(t, repository, "git", "-c", "gc.auto=0", "commit", "--quiet", "-m", "all")
}

// The programs' cases find in the export what they are to remove, and not what they make.

func noTree(t *testing.T, export string) { remove(t, export, "untar") }

func noDatabase(t *testing.T, export string) { remove(t, export, "db", "db-journal") }

func treeToRemove(t *testing.T, export string) {
	t.Helper()
	dir := filepath.Join(export, "remove")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, export, "tar", "-xf", "tree.tar", "-C", dir)
}

func remove(t *testing.T, export string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(export, name)); err != nil {
			t.Fatal(err)
		}
	}
}

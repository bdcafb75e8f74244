// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

func TestMain(m *testing.M) { rig.Main(m) }

// manifest describes a tree on the host.
func manifest(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	if err := tree.Manifest(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// generate makes a tree on the host and returns its manifest.
func generate(t *testing.T, root string, s tree.Spec) string {
	t.Helper()
	if err := tree.Generate(root, s); err != nil {
		t.Fatal(err)
	}
	return manifest(t, root)
}

// read returns the content of a file that a guest has written.
func read(t *testing.T, elem ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// write makes a file on the host.
func write(t *testing.T, content string, elem ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(elem...), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// inode is a file of the model.
type inode struct {
	id      int // as the log calls it
	content []byte
	links   int
}

// resize truncates or extends, with zeros.
func (i *inode) resize(size int64) {
	if size <= int64(len(i.content)) {
		i.content = i.content[:size]
		return
	}
	i.content = append(i.content, make([]byte, size-int64(len(i.content)))...)
}

// write puts data at an offset.
func (i *inode) write(p []byte, off int64) {
	i.resize(max(int64(len(i.content)), off+int64(len(p))))
	copy(i.content[off:], p)
}

// stat is what the file's attributes should be.
func (i *inode) stat() Stat { return Stat{int64(len(i.content)), i.links} }

// handle is an open file, and which it is in the model.
type handle struct {
	id    int
	file  File
	inode *inode
	flags int
}

func (h *handle) readable() bool { return h.flags&unix.O_ACCMODE != unix.O_WRONLY }
func (h *handle) writable() bool { return h.flags&unix.O_ACCMODE != unix.O_RDONLY }
func (h *handle) appends() bool  { return h.flags&unix.O_APPEND != 0 }

// names is the tree of the model: files by path, in folders of the root.
type names struct {
	folders map[string]bool
	files   map[string]*inode
}

// folderOf returns the folder of a path.
func folderOf(path string) string {
	folder, _, _ := strings.Cut(path, "/")
	return folder
}

// in returns the names in a folder, sorted.
func (n *names) in(folder string) []string {
	var in []string
	for path := range n.files {
		if folderOf(path) == folder {
			in = append(in, strings.TrimPrefix(path, folder+"/"))
		}
	}
	slices.Sort(in)
	return in
}

// find returns the file of a path, or the error of using a path that is not there.
func (n *names) find(path string) (*inode, error) {
	if f := n.files[path]; f != nil {
		return f, nil
	}
	return nil, unix.ENOENT
}

// place returns the error of making a new name, which is nil if it can be made.
func (n *names) place(path string) error {
	switch {
	case !n.folders[folderOf(path)]:
		return unix.ENOENT
	case n.files[path] != nil:
		return unix.EEXIST
	}
	return nil
}

// remove takes a name away.
func (n *names) remove(path string) {
	n.files[path].links--
	delete(n.files, path)
}

// state describes the whole tree.
func (n *names) state() string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(n.files)) {
		f := n.files[path]
		line(&b, path, f.stat(), f.content)
	}
	return b.String()
}

func line(b *strings.Builder, path string, st Stat, content []byte) {
	fmt.Fprintf(b, "%s size=%d links=%d sha256=%x\n", path, st.Size, st.Links, sha256.Sum256(content))
}

// State describes a folder in which a run has ended as that run's Result does: a host can
// compare the two.
func State(dir string) (string, error) {
	l := Local{dir}
	var b strings.Builder
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return "", err
	}
	for _, path := range paths { // which are sorted
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		path = strings.TrimPrefix(path, dir+"/")
		st, err := l.Stat(path)
		if err != nil {
			return "", err
		}
		line(&b, path, st, content)
	}
	return b.String(), nil
}

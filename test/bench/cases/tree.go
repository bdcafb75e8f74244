// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Sizes of the tree.
const (
	Slots      = 64      // the most that have files of their own
	Streams    = 16      // the most of these that have a large one
	Entries    = 10000   // in the directory ListName
	FileSize   = 1 << 20 // of each File
	StreamSize = 8 << 20 // of each Stream
)

// Names in the export, of slot i.
func FileName(i int) string   { return fmt.Sprintf("file-%02d", i) }   // of FileSize
func SyncName(i int) string   { return fmt.Sprintf("sync-%02d", i) }   // of FileSize
func StreamName(i int) string { return fmt.Sprintf("stream-%02d", i) } // of StreamSize
func DirName(i int) string    { return fmt.Sprintf("dir-%02d", i) }    // with RenameFrom in it

// Names in the export, and in each slot's directory.
const (
	ListName    = "list"
	MissingName = "missing"
	NewName     = "new" // that is made and removed
	RenameFrom  = "from"
	RenameTo    = "to"
)

// Path returns the n names that slot i walks.
func Path(i, n int) []string {
	names := make([]string, n)
	for k := range names[:n-1] {
		names[k] = fmt.Sprintf("way-%d", k)
	}
	names[n-1] = FileName(i)
	return names
}

// deep is the largest number of names in a Path that Make has made.
const deep = 8

// WriteFile makes a file and writes it page by page: written at once, the kernel would cache it
// in pieces as large as it finds room for, which differ from file to file, and so does what a
// small write to one of them costs.
func WriteFile(path string, content []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(content, os.Getpagesize()) {
		if _, err := f.Write(page); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// Make makes the tree in a directory, with the files of so many slots, and of so many of
// these the large ones. That is not less than the depth of what is then measured.
func Make(dir string, slots, streams int) error {
	content := bytes.Repeat([]byte("0123456789abcdef"), StreamSize/16)
	way := filepath.Join(append([]string{dir}, Path(0, deep)[:deep-1]...)...)
	if err := os.MkdirAll(way, 0o755); err != nil {
		return err
	}
	for i := range slots {
		files := map[string][]byte{
			filepath.Join(dir, FileName(i)):            content[:FileSize],
			filepath.Join(dir, SyncName(i)):            content[:FileSize],
			filepath.Join(way, FileName(i)):            nil,
			filepath.Join(dir, DirName(i), RenameFrom): nil,
		}
		if err := os.Mkdir(filepath.Join(dir, DirName(i)), 0o755); err != nil {
			return err
		}
		for path, content := range files {
			if err := WriteFile(path, content); err != nil {
				return err
			}
		}
		// What is streamed has been streamed.
		if i < streams {
			if err := os.WriteFile(filepath.Join(dir, StreamName(i)), content, 0o644); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ListName), 0o755); err != nil {
		return err
	}
	for i := range Entries {
		if err := os.WriteFile(filepath.Join(dir, ListName, fmt.Sprintf("entry-%05d", i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

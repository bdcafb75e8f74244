// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// ids prints a line "id INODE PATH" for dir and for everything below it, in an order that
// depends on the seed. A folder's lines are written as soon as the folder has been read,
// so that who reads them knows what this system was told before it was killed. Then each
// entry is looked at by itself: stat(2) must say what the folder said.
func ids(dir string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, seed))
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	fmt.Printf("id %d %s\n", st.Ino, dir)
	return idsBelow(dir, r)
}

func idsBelow(dir string, r *rand.Rand) error {
	listed := map[string]uint64{}
	if err := listInodes(dir, listed); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	var paths []string
	for path := range listed {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	var lines bytes.Buffer
	for _, path := range paths {
		fmt.Fprintf(&lines, "id %d %s\n", listed[path], path)
	}
	if _, err := os.Stdout.Write(lines.Bytes()); err != nil {
		return err
	}
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if st.Ino != listed[path] {
			return fmt.Errorf("%s: stat gives inode %d, its folder %d", filepath.Clean(path), st.Ino, listed[path])
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := idsBelow(path, r); err != nil {
				return err
			}
		}
	}
	return nil
}

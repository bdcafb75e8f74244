// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// inodes prints the inode number and the quoted path of everything in dir, visited in
// an order that depends on the seed, after checking that a folder's list gives the same
// numbers.
func inodes(dir string, seed uint64) error {
	var paths []string
	listed := map[string]uint64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		paths = append(paths, path)
		if d.IsDir() {
			return listInodes(path, listed)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if seed != 0 {
		r := rand.New(rand.NewPCG(seed, seed))
		r.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	}
	w := bufio.NewWriter(os.Stdout)
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if path != dir && listed[path] != st.Ino {
			return fmt.Errorf("%s: stat gives inode %d, its folder %d", path, st.Ino, listed[path])
		}
		fmt.Fprintf(w, "%d %q\n", st.Ino, path)
	}
	return w.Flush()
}

// listInodes adds the inode numbers in a folder's list to a map.
func listInodes(dir string, inodes map[string]uint64) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(int(f.Fd()), buf)
		if err != nil || n == 0 {
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			d := parseDirent(b)
			if d.name != "." && d.name != ".." {
				inodes[filepath.Join(dir, d.name)] = d.ino
			}
			b = b[d.size:]
		}
	}
}

type dirent struct {
	ino  uint64
	size int
	name string
}

// parseDirent takes a struct linux_dirent64 apart.
func parseDirent(b []byte) dirent {
	le := binary.LittleEndian
	d := dirent{ino: le.Uint64(b), size: int(le.Uint16(b[16:]))}
	name, _, _ := bytes.Cut(b[19:d.size], []byte{0})
	d.name = string(name)
	return d
}

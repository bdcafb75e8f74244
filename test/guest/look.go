// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// look prints what a file holds, as runs of equal bytes ("20000xA"), by read and as a
// mapping shows it. For each line of standard input it does so again, with the file open and
// mapped all the time.
func look(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := 0
	var mapping []byte
	defer func() { _ = unix.Munmap(mapping) }()
	for lines := bufio.NewScanner(os.Stdin); ; {
		content, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
		if err != nil {
			return err
		}
		if mapping == nil && len(content) > 0 {
			size = len(content)
			if mapping, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED); errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
				mapping, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
			}
			if err != nil {
				return fmt.Errorf("mapping: %w", err)
			}
		}
		fmt.Printf("read %s mapped %s\n", runs(content), runs(mapping))
		if !lines.Scan() {
			return lines.Err()
		}
	}
}

func runs(b []byte) string {
	var parts []string
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && b[i+n] == b[i] {
			n++
		}
		parts = append(parts, fmt.Sprintf("%dx%q", n, b[i]))
		i += n
	}
	return strings.ReplaceAll(strings.Join(parts, "+"), "'", "")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stripe is the size of a range that one process writes: pages have parts of several.
	stripe = 1000
	// stripesEach is how many of them a process has.
	stripesEach = 64
)

// stripeContent is what a range holds after it was written for the nth time.
func stripeContent(owner, index, generation int) []byte {
	p := make([]byte, stripe)
	head := fmt.Sprintf("process %d range %d generation %d ", owner, index, generation)
	rng := rand.New(rand.NewPCG(uint64(owner)<<32|uint64(index), uint64(generation)))
	for i := copy(p, head); i < stripe; i++ {
		p[i] = byte(rng.Uint32())
	}
	return p
}

func stripeOffset(owner, index, owners int) int64 { return int64(index*owners+owner) * stripe }

// stripes writes to its ranges of a file, which lie between those of the other processes,
// and reads them back. At the end it notes how often each was written.
func stripes(path string, owner, owners int, d time.Duration) error {
	if owners == 0 {
		return fmt.Errorf("stripes needs -of")
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	rng := rand.New(rand.NewPCG(uint64(owner), 0))
	var generations [stripesEach]int
	writes := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		i := rng.IntN(stripesEach)
		off := stripeOffset(owner, i, owners)
		if rng.IntN(2) == 0 {
			generations[i]++
			writes++
			if n, err := unix.Pwrite(fd, stripeContent(owner, i, generations[i]), off); err != nil || n != stripe {
				return fmt.Errorf("write at %d: %d bytes, %v", off, n, err)
			}
			continue
		}
		if generations[i] == 0 {
			continue
		}
		got := make([]byte, stripe)
		if n, err := unix.Pread(fd, got, off); err != nil || n != stripe {
			return fmt.Errorf("read at %d: %d bytes, %v", off, n, err)
		}
		if !bytes.Equal(got, stripeContent(owner, i, generations[i])) {
			return fmt.Errorf("the range at %d has other content than process %d last wrote: %q", off, owner, got[:48])
		}
	}
	var b strings.Builder
	for _, g := range generations {
		fmt.Fprintln(&b, g)
	}
	fmt.Printf("stripes: process %d, %d writes\n", owner, writes)
	return os.WriteFile(fmt.Sprintf("%s.%d", path, owner), []byte(b.String()), 0o644)
}

// verifyStripes checks that a file holds what each process wrote last.
func verifyStripes(path string, owners int) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for owner := range owners {
		notes, err := os.ReadFile(fmt.Sprintf("%s.%d", path, owner))
		if err != nil {
			return err
		}
		written := 0
		for i, field := range strings.Fields(string(notes)) {
			generation, err := strconv.Atoi(field)
			if err != nil {
				return err
			}
			if generation == 0 {
				continue
			}
			written++
			off := stripeOffset(owner, i, owners)
			if int64(len(content)) < off+stripe {
				return fmt.Errorf("the file has %d bytes: process %d has written at %d", len(content), owner, off)
			}
			if !bytes.Equal(content[off:off+stripe], stripeContent(owner, i, generation)) {
				return fmt.Errorf("the range at %d is not generation %d of process %d: %q", off, generation, owner, content[off:off+48])
			}
		}
		if written == 0 {
			return fmt.Errorf("process %d has written nothing", owner)
		}
	}
	return nil
}

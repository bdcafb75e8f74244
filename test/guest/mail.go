// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The folders of a mailbox, as maildir has them: a message is written in tmp, appears in
// new at once and whole, and is moved to cur by who takes it.
var mailFolders = []string{"tmp", "new", "cur"}

func message(id string) []byte {
	return []byte(strings.Repeat("message "+id+"\n", 1+len(id)*50))
}

// mail delivers n messages to a mailbox and meanwhile takes what it finds there, its own
// and others', in a race with the other processes (there are owners). It ends when all
// have been taken, and leaves a list of those that it took.
func mail(dir string, owner, owners, n int) error {
	for _, folder := range mailFolders {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	delivered := make(chan error, 1)
	go func() { delivered <- deliver(dir, owner, n) }()
	var taken []string
	for deadline := time.Now().Add(5 * time.Minute); ; {
		here, err := take(dir)
		if err != nil {
			return err
		}
		taken = append(taken, here...)
		select {
		case err := <-delivered:
			if err != nil {
				return err
			}
			delivered = nil
		default:
		}
		done, err := filepath.Glob(filepath.Join(dir, "delivered.*"))
		if err != nil {
			return err
		}
		if delivered == nil && len(done) == owners {
			last, err := take(dir)
			if err != nil {
				return err
			}
			taken = append(taken, last...)
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the others do not end")
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("mail: process %d took %d\n", owner, len(taken))
	return os.WriteFile(fmt.Sprintf("%s/taken.%d", dir, owner), []byte(strings.Join(taken, "\n")+"\n"), 0o644)
}

func deliver(dir string, owner, n int) error {
	for i := range n {
		id := fmt.Sprintf("%d.%d", owner, i)
		tmp, final := filepath.Join(dir, "tmp", id), filepath.Join(dir, "new", id)
		if err := os.WriteFile(tmp, message(id), 0o644); err != nil {
			return err
		}
		var err error
		if i%2 == 0 {
			err = unix.Rename(tmp, final)
		} else { // as some programs do it
			err = errors.Join(unix.Link(tmp, final), unix.Unlink(tmp))
		}
		if err != nil {
			return fmt.Errorf("delivering %s: %w", id, err)
		}
	}
	return os.WriteFile(fmt.Sprintf("%s/delivered.%d", dir, owner), nil, 0o644)
}

// take moves what is new, and returns what nobody else moved.
func take(dir string) (taken []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, "new"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		id := e.Name()
		cur := filepath.Join(dir, "cur", id)
		err := unix.Rename(filepath.Join(dir, "new", id), cur)
		if err == unix.ENOENT {
			continue // another was quicker
		}
		if err != nil {
			return nil, fmt.Errorf("taking %s: %w", id, err)
		}
		got, err := os.ReadFile(cur)
		if err != nil {
			return nil, err
		}
		if string(got) != string(message(id)) {
			return nil, fmt.Errorf("message %s has %d bytes, want %d: %.40q", id, len(got), len(message(id)), got)
		}
		taken = append(taken, id)
	}
	return taken, nil
}

// verifyMail checks that each message of all processes was taken by one of them, and is
// there.
func verifyMail(dir string, owners, n int) error {
	taken := map[string]int{}
	for owner := range owners {
		list, err := os.ReadFile(fmt.Sprintf("%s/taken.%d", dir, owner))
		if err != nil {
			return err
		}
		for _, id := range strings.Fields(string(list)) {
			taken[id]++
		}
	}
	var want []string
	for owner := range owners {
		for i := range n {
			id := fmt.Sprintf("%d.%d", owner, i)
			want = append(want, id)
			if taken[id] != 1 {
				return fmt.Errorf("message %s was taken %d times", id, taken[id])
			}
			got, err := os.ReadFile(filepath.Join(dir, "cur", id))
			if err != nil {
				return err
			}
			if string(got) != string(message(id)) {
				return fmt.Errorf("message %s has %d bytes, want %d", id, len(got), len(message(id)))
			}
		}
	}
	slices.Sort(want)
	for folder, want := range map[string][]string{"cur": want, "new": nil, "tmp": nil} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			return err
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			return fmt.Errorf("%s has %d messages, want %d", folder, len(names), len(want))
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/cmd/vhost-user-9p/internal/qids"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
	"vhost-user-9p/xattrstore/fullmap"
)

// qidPlace is where the file IDs of an export are kept.
type qidPlace struct {
	state    *os.File // the state directory, open; nil: there is none
	identity qidpath.Identity
	name     string // of the export's files in the state directory
}

// openQIDPlace finds out where those of the directory root are. Without a state directory
// of the user's choice it goes on without one where the default cannot be made.
func openQIDPlace(root *os.File, stateDir string, log *slog.Logger) (*qidPlace, error) {
	id, name, _, err := qids.Identify(root)
	if err != nil {
		return nil, fmt.Errorf("--shared-dir %q: %w", root.Name(), err)
	}
	p := &qidPlace{identity: id, name: name}
	dir, given := stateDir, stateDir != ""
	if !given {
		if dir, err = defaultStateDir(); err != nil {
			log.Warn("no state directory", "error", err)
			return p, nil
		}
	}
	if wouldBeBelow(dir, root) { // known before it is made
		return nil, fmt.Errorf("--state-dir %q is in the shared directory, where guests could change it", dir)
	}
	p.state, err = openStateDir(dir)
	switch {
	case err != nil && given:
		return nil, fmt.Errorf("--state-dir %q: %w", dir, err)
	case err != nil:
		log.Warn("no state directory: file IDs for which the shared directory has no room, or that are numbered one by one, will not survive a restart",
			"state_dir", dir, "error", err)
	}
	return p, nil
}

func (p *qidPlace) close() {
	if p.state != nil {
		_ = p.state.Close()
	}
}

// defaultStateDir is where services, or a user's programs, keep such things. systemd
// names a service's StateDirectory= in the environment.
func defaultStateDir() (string, error) {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/" + program, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, program), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local/state", program), nil
}

// openStateDir opens the directory, which it makes if it is missing.
func openStateDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errors.Unwrap(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// wouldBeBelow reports whether dir is top, or somewhere below it, or would be if it was made.
func wouldBeBelow(dir string, top *os.File) bool {
	for {
		f, err := os.Open(dir)
		if err == nil {
			defer f.Close()
			return isBelow(f, top)
		}
		above := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || above == dir {
			return false // openStateDir says what is wrong
		}
		dir = above
	}
}

// isBelow reports whether the directory dir is top, or somewhere below it.
func isBelow(dir, top *os.File) bool {
	var want, st, above unix.Stat_t
	if unix.Fstat(int(top.Fd()), &want) != nil || unix.Fstat(int(dir.Fd()), &st) != nil {
		return false
	}
	for path := "."; st.Dev != want.Dev || st.Ino != want.Ino; path += "/.." {
		if unix.Fstatat(int(dir.Fd()), path+"/..", &above, 0) != nil || above.Dev == st.Dev && above.Ino == st.Ino {
			return false
		}
		st = above
	}
	return true
}

// openTable makes the table of file IDs of the directory root.
func (d *daemon) openTable(root *os.File) error {
	cfg := qidpath.Config{Layout: d.opts.qidLayout, Logger: d.log}
	if !d.opts.qidForget {
		p, err := openQIDPlace(root, d.opts.stateDir, d.log)
		if err != nil {
			return err
		}
		defer p.close() // whoever needs it has a copy
		store, err := xattrstore.Open(root, xattrstore.Config{
			ReadOnly: d.opts.readOnly,
			Mode:     d.opts.qidStore,
			StateDir: p.state,
			Identity: p.identity,
			Logger:   d.log,
		})
		if err != nil {
			return fmt.Errorf("--shared-dir %q: %w", d.opts.sharedDir, err)
		}
		cfg.Store = store
		if p.state != nil {
			numbers, err := fullmap.Open(fullmap.Config{Dir: p.state, Name: p.name, Root: root, Logger: d.log})
			if err != nil {
				return errors.Join(fmt.Errorf("--shared-dir %q: %w", d.opts.sharedDir, err), store.Close())
			}
			cfg.FullMap = numbers
		}
	}
	// What becomes of the table is logged and counted by itself, and stops nothing: what
	// the guest has seen of it is durable already.
	d.table = qidpath.New(cfg)
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
	"vhost-user-9p/xattrstore"
	"vhost-user-9p/xattrstore/fullmap"
)

// Files of an export in its state directory, after its name.
const (
	tableSuffix = ".qids"
	mapSuffix   = ".fullmap"
)

// Export is a directory that is served, and where its file IDs are kept.
type Export struct {
	root      *os.File
	stateDir  *os.File // nil: there is none
	statePath string   // where it is, or would be

	dev, ino uint64
	identity qidpath.Identity
	name     string // of its files in the state directory
}

// Identify returns by what the file system of an export's root is told from others, and the
// name of the export's files in a state directory.
func Identify(root *os.File) (id qidpath.Identity, name string, st unix.Stat_t, err error) {
	if err = unix.Fstat(int(root.Fd()), &st); err != nil {
		return id, "", st, err
	}
	if id, err = fsid.Of(int(root.Fd()), -1); err != nil {
		return id, "", st, fmt.Errorf("identifying its file system: %w", err)
	}
	return id, xattrstore.StateName(id, st.Dev, st.Ino), st, nil
}

// New returns the Export whose root is open for reading as root, and whose state
// directory, statePath, is open as stateDir, if there is one. Both stay the caller's and
// must be open as long as the Export is used.
func New(root, stateDir *os.File, statePath string) (*Export, error) {
	id, name, st, err := Identify(root)
	if err != nil {
		return nil, err
	}
	return &Export{
		root:      root,
		stateDir:  stateDir,
		statePath: statePath,
		dev:       st.Dev,
		ino:       st.Ino,
		identity:  id,
		name:      name,
	}, nil
}

func (e *Export) config() xattrstore.Config {
	return xattrstore.Config{
		StateDir: e.stateDir,
		Identity: e.identity,
		Logger:   slog.New(slog.DiscardHandler), // the caller is told all of it
	}
}

// Look is what was stored of an Export at one time.
type Look struct {
	export  *Export
	table   *xattrstore.Report
	fullMap fullmap.Summary
	mapErr  error // if set, why fullMap is empty; fs.ErrNotExist: there is none
	mounted []fileSystem
}

// Look reads what is stored. An error is that it could not be read, whatever it is.
func (e *Export) Look() (*Look, error) {
	l := &Look{export: e, mapErr: fs.ErrNotExist}
	var err error
	if l.table, err = xattrstore.Inspect(e.root, e.config()); err != nil {
		return nil, err
	}
	if e.stateDir != nil {
		l.fullMap, l.mapErr = fullmap.Inspect(e.stateDir, e.name)
	}
	l.mounted, err = findMounted(e.root, l.keys())
	return l, err
}

// hasMap reports whether there is a full map.
func (l *Look) hasMap() bool { return !errors.Is(l.mapErr, fs.ErrNotExist) }

// elements returns the table that daemons would load or, if they would load none, the
// longest one that can be read; none, if there are several and they contradict each other.
func (l *Look) elements() []qidpath.Element {
	best := l.table.Elements
	if l.table.Err != nil && !contradict(l.table) {
		for _, p := range l.table.Places {
			if len(p.Table) > len(best) {
				best = p.Table
			}
		}
	}
	return best
}

// keys returns what stands for each file system that something is stored of.
func (l *Look) keys() map[key]struct{} {
	keys := make(map[key]struct{})
	add := func(table []qidpath.Element) {
		for _, e := range table {
			keys[keyOf(e)] = struct{}{}
		}
	}
	add(l.elements())
	if contradict(l.table) {
		for _, p := range l.table.Places {
			add(p.Table)
		}
	}
	for id := range l.fullMap.PerFS {
		keys[key{fs: id}] = struct{}{}
	}
	return keys
}

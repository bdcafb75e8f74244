// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/throttle"
)

// throttlePrefix starts the names of the flags that are limits.
const throttlePrefix = "throttle-"

// throttleSettings are the flags that are limits: QEMU's throttling options by their names.
func throttleSettings() []setting {
	var all []setting
	for _, name := range throttle.Names() {
		all = append(all, setting{name: throttlePrefix + name, parse: func(o *options, s string) error {
			o.limited = true
			return o.limits.Set(name, s)
		}})
	}
	return append(all, setting{name: "throttle-file", parse: func(o *options, s string) error {
		return parseNonEmpty(s, "a file with limits", &o.limitsFile)
	}})
}

func (o *options) checkLimits() error {
	if o.limitsFile != "" && o.limited {
		return errors.New("--throttle-file has all limits: it excludes the flags that set one")
	}
	if err := o.limits.Validate(); err != nil {
		return fmt.Errorf("--%s%w", throttlePrefix, err)
	}
	return nil
}

// limitsFile is the file that --throttle-file names, in a folder that is held open: the
// file may be replaced.
type limitsFile struct {
	dir  *os.File
	name string
}

// maxLimitsFile bounds the size of the file, in bytes.
const maxLimitsFile = 64 << 10

func openLimitsFile(path string) (*limitsFile, error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &limitsFile{dir, filepath.Base(path)}, nil
}

func (l *limitsFile) read() (throttle.Limits, error) {
	fd, err := unix.Openat(int(l.dir.Fd()), l.name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return throttle.Limits{}, err
	}
	f := os.NewFile(uintptr(fd), l.name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return throttle.Limits{}, errors.Join(err, errors.New("not a regular file"))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLimitsFile+1))
	if err != nil {
		return throttle.Limits{}, err
	}
	if len(text) > maxLimitsFile {
		return throttle.Limits{}, fmt.Errorf("larger than %d bytes", maxLimitsFile)
	}
	return throttle.Parse(string(text))
}

// openThrottle makes the limiter, if there are limits or a file that may get some.
func (d *daemon) openThrottle() error {
	limits := d.opts.limits
	if path := d.opts.limitsFile; path != "" {
		f, err := openLimitsFile(path)
		if err == nil {
			d.atClose(f.dir.Close)
			limits, err = f.read()
		}
		if err != nil {
			return fmt.Errorf("--throttle-file %q: %w", path, err)
		}
		d.limitsFile = f
	}
	if d.limitsFile == nil && limits == (throttle.Limits{}) {
		return nil
	}
	d.limiter = throttle.New(limits)
	d.log.Info("reading and writing is limited", "limits", limits.String())
	return nil
}

// readAgain does what a hangup signal asks for.
func (d *daemon) readAgain() {
	if d.limitsFile == nil {
		d.log.Info("hangup signal ignored: there is nothing to read again")
		return
	}
	limits, err := d.limitsFile.read()
	if err != nil {
		d.log.Error("limits stay as they are, their file cannot be used", "file", d.opts.limitsFile, "error", err,
			"limits", d.limiter.Limits().String())
		return
	}
	d.limiter.Set(limits)
	d.log.Info("limits read again", "file", d.opts.limitsFile, "limits", limits.String())
}

// throttled returns what was counted of a class of requests.
func (d *daemon) throttled(c throttle.Class) throttle.Stats {
	if d.limiter == nil {
		return throttle.Stats{}
	}
	return d.limiter.Stats(c)
}

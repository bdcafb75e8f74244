// SPDX-License-Identifier: Apache-2.0

package fullmap

import "golang.org/x/sys/unix"

// faults says which calls of a faultDisk fail.
type faults struct {
	disk
	calls int

	// fail reports how the call with that number, from 0, fails, if it does: nil
	// lets it through.
	fail func(call int) *fault
}

// fault is one failure.
type fault struct {
	err  error
	done bool // the call does its work nevertheless
	part bool // a write does part of its work
}

func (d *faults) call(f func() error) error {
	n := d.calls
	d.calls++
	if bad := d.fail(n); bad != nil {
		if bad.done {
			if err := f(); err != nil {
				return err
			}
		}
		return bad.err
	}
	return f()
}

func (d *faults) stat(name string) (st status, err error) {
	err = d.call(func() (err error) { st, err = d.disk.stat(name); return err })
	return st, err
}

func (d *faults) open(name string, flags int) (file, error) {
	var f file
	err := d.call(func() (err error) { f, err = d.disk.open(name, flags); return err })
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &faultFile{f, d}, nil
}

func (d *faults) link(name, as string) error {
	return d.call(func() error { return d.disk.link(name, as) })
}

func (d *faults) rename(from, to string) error {
	return d.call(func() error { return d.disk.rename(from, to) })
}

func (d *faults) remove(name string) error {
	return d.call(func() error { return d.disk.remove(name) })
}

func (d *faults) sync() error   { return d.call(d.disk.sync) }
func (d *faults) lock() error   { return d.call(d.disk.lock) }
func (d *faults) unlock() error { return d.call(d.disk.unlock) }

type faultFile struct {
	file
	d *faults
}

func (f *faultFile) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.d.call(func() (err error) { n, err = f.file.ReadAt(b, off); return err })
	return n, err
}

func (f *faultFile) WriteAt(b []byte, off int64) (n int, err error) {
	if bad := f.d.fail(f.d.calls); bad != nil && bad.part {
		f.d.calls++
		n, err := f.file.WriteAt(b[:len(b)/2], off)
		if err == nil {
			err = unix.ENOSPC
		}
		return n, err
	}
	err = f.d.call(func() (err error) { n, err = f.file.WriteAt(b, off); return err })
	return n, err
}

func (f *faultFile) Truncate(size int64) error {
	return f.d.call(func() error { return f.file.Truncate(size) })
}

func (f *faultFile) stat() (st status, err error) {
	err = f.d.call(func() (err error) { st, err = f.file.stat(); return err })
	return st, err
}

func (f *faultFile) sync() error { return f.d.call(f.file.sync) }

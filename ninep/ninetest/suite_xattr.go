// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// xattrcreate makes a fid that takes the value of an attribute of the file f.
func (e *env) xattrcreate(name string, size uint64, flags uint32) (uint32, error) {
	e.Helper()
	fid := e.walk("f")
	return fid, e.Do(&ninep.Txattrcreate{FID: fid, Name: ninep.Name(name), Size: size, Flags: flags}, &ninep.Rxattrcreate{})
}

// noXattr fails the test if the file f has the attribute.
func (e *env) noXattr(name string) {
	e.Helper()
	_, err := e.GetXattr(e.walk("f"), name)
	e.want(err, unix.ENODATA)
}

// xattrFIDTests are of the fids that stand for values: what is written to them, and when
// it counts.
var xattrFIDTests = []suiteTest{
	{name: "hole", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		for _, parts := range [][]uint64{{}, {5}, {0}, {5, 5, 0}, {0, 0, 5}} {
			x, err := e.xattrcreate(xattrName, 10, 0)
			e.ok(err)
			for _, off := range parts {
				n, err := e.Write(x, off, []byte("part "))
				e.ok(err)
				equal(e, "count", n, 5)
			}
			e.want(e.Clunk(x), unix.EINVAL)
			e.noXattr(xattrName)
		}
	}},
	{name: "write_at_the_end", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		x, err := e.xattrcreate(xattrName, 3, 0)
		e.ok(err)
		_, err = e.Write(x, 0, []byte("abc"))
		e.ok(err)
		n, err := e.Write(x, 3, []byte("d"))
		e.ok(err)
		equal(e, "count behind the end", n, 0)
		for _, off := range []uint64{4, 1 << 40} {
			_, err = e.Write(x, off, []byte("d"))
			e.want(err, unix.ENOSPC)
		}
		e.ok(e.Clunk(x))
		v, err := e.GetXattr(e.walk("f"), xattrName)
		e.ok(err)
		equal(e, "value", string(v), "abc")
	}},
	{name: "writes_at_once", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		value := pattern(3000)
		x, err := e.xattrcreate(xattrName, uint64(len(value)), 0)
		e.ok(err)
		var wg sync.WaitGroup
		errs := make(chan error, 30)
		for i := range 30 {
			wg.Go(func() {
				n, err := e.Write(x, uint64(i*100), value[i*100:][:100])
				if err == nil && n != 100 {
					err = fmt.Errorf("wrote %d of 100 bytes", n)
				}
				errs <- err
			})
		}
		wg.Wait()
		for range 30 {
			e.ok(<-errs)
		}
		e.ok(e.Clunk(x))
		v, err := e.GetXattr(e.walk("f"), xattrName)
		e.ok(err)
		equal(e, "value", string(v), string(value))
	}},
	{name: "flags_at_the_clunk", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		set := func(flags uint32, value string) error {
			x, err := e.xattrcreate(xattrName, uint64(len(value)), flags)
			e.ok(err)
			e.ok(e.WriteAll(x, 0, []byte(value)))
			return e.Clunk(x)
		}
		const both = unix.XATTR_CREATE | unix.XATTR_REPLACE
		e.want(set(unix.XATTR_REPLACE, "v"), unix.ENODATA)
		e.want(set(both, "v"), unix.ENODATA, unix.EINVAL)
		e.ok(set(unix.XATTR_CREATE, "v"))
		e.want(set(unix.XATTR_CREATE, "w"), unix.EEXIST)
		e.want(set(both, "w"), unix.EEXIST, unix.EINVAL)
		for _, bad := range []uint32{4, 1 << 31, ^uint32(0)} {
			_, err := e.xattrcreate(xattrName, 1, bad)
			e.want(err, unix.EINVAL)
		}
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "v")
	}},
	{name: "size_0", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		set := func(flags uint32) error {
			x, err := e.xattrcreate(xattrName, 0, flags)
			e.ok(err)
			return e.Clunk(x)
		}
		e.ok(set(unix.XATTR_CREATE)) // an empty value
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "length", len(v), 0)
		e.ok(set(unix.XATTR_REPLACE)) // Linux' removexattr
		e.noXattr(xattrName)
		e.want(set(unix.XATTR_REPLACE), unix.ENODATA)
		e.ok(set(0))
		e.want(set(unix.XATTR_CREATE), unix.EEXIST)
	}},
	{name: "forgotten_when_the_session_ends", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		x, err := e.xattrcreate(xattrName, 1, 0)
		e.ok(err)
		_, err = e.Write(x, 0, []byte("v"))
		e.ok(err)
		_, _, err = e.Version(64<<10, "9P2000.L")
		e.ok(err)
		_, err = e.Attach(root, 0, "")
		e.ok(err)
		e.noXattr(xattrName)
	}},
	{name: "removed_fid", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		x, err := e.xattrcreate(xattrName, 0, 0)
		e.ok(err)
		e.want(e.Remove(x), unix.EINVAL)
		e.want(e.Clunk(x), unix.EBADF)
		e.noXattr(xattrName)
		if !e.exists("f") {
			e.Error("the file is gone")
		}
	}},
	{name: "file_that_is_gone", lacks: func(l *Lacks) bool { return l.Xattrs || l.OpenUnlink }, run: func(e *env) {
		fid := e.create("f", "")
		x, err := e.xattrcreate(xattrName, 1, 0)
		e.ok(err)
		_, err = e.Write(x, 0, []byte("v"))
		e.ok(err)
		e.ok(e.Unlinkat(root, "f", 0))
		e.ok(e.Clunk(x))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "v")
	}},
	{name: "changes_while_read", lacks: lacksXattrs, run: func(e *env) {
		// Whatever others do meanwhile, a value is one that it had, and a list is whole.
		fid := e.create("f", "")
		values := [2][]byte{bytes.Repeat([]byte("a"), 10), bytes.Repeat([]byte("b"), 1000)}
		e.ok(e.SetXattr(fid, xattrName, values[0], 0))
		stop, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				more := xattrOther + strings.Repeat("x", 100)
				if err := errors.Join(e.SetXattr(fid, xattrName, values[i%2], 0), e.SetXattr(fid, more, nil, 0), e.RemoveXattr(fid, more)); err != nil {
					ended <- err
					return
				}
			}
		}()
		for range 200 {
			v, err := e.GetXattr(fid, xattrName)
			e.ok(err)
			if !bytes.Equal(v, values[0]) && !bytes.Equal(v, values[1]) {
				e.Fatalf("a value of %d bytes that it never had: %.20q", len(v), v)
			}
			list, err := e.GetXattr(fid, "")
			e.ok(err)
			for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
				if name != xattrName && strings.TrimRight(name, "x") != xattrOther {
					e.Fatalf("list %q", list)
				}
			}
		}
		close(stop)
		e.ok(<-ended)
	}},
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/gob"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// caller makes system calls as one user: in this process, or in a child that takes one
// call after the other over a pipe.
type caller struct {
	name     string
	uid, gid uint32
	groups   []uint32 // supplementary ones

	pid     int
	process *exec.Cmd // nil: this process
	in      io.Closer
	calls   *gob.Encoder
	results *gob.Decoder
}

// The users: neither has an account, and both are in the group shared.
const (
	aliceID = 21001
	bobID   = 21002
	own     = 21011 // a group of alice's only
	shared  = 21012
	foreign = 21013 // a group that nobody is in
)

// startCaller starts a child that runs as the user.
func startCaller(name string, uid, gid uint32, groups ...uint32) (*caller, error) {
	c := &caller{name: name, uid: uid, gid: gid, groups: groups}
	c.process = exec.Command("/proc/self/exe", "caller")
	c.process.Stderr = os.Stderr
	c.process.Dir = "/"
	c.process.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	in, err := c.process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	c.pid, c.in = c.process.Process.Pid, in
	c.calls, c.results = gob.NewEncoder(in), gob.NewDecoder(out)
	return c, nil
}

// serveCalls is what such a child does.
func serveCalls() error {
	prepareProcess()
	in, out := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var c call
		if err := in.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(c.make()); err != nil {
			return err
		}
	}
}

// prepareProcess: modes are taken as they are given, and a mapping beyond a file's end
// is no reason to end.
func prepareProcess() {
	unix.Umask(0)
	debug.SetPanicOnFault(true)
}

func (c *caller) end() {
	if c.process != nil {
		_ = c.in.Close()
		_ = c.process.Wait()
	}
}

// start begins a call that may block; wait returns its result.
func (c *caller) start(what call) {
	if err := c.calls.Encode(what); err != nil {
		panic(err)
	}
}

func (c *caller) wait() (r result) {
	if err := c.results.Decode(&r); err != nil {
		panic(err)
	}
	return r
}

func (c *caller) do(what call) result {
	if c.process == nil {
		return what.make()
	}
	c.start(what)
	return c.wait()
}

func (c *caller) open(path string, flags int, mode uint32) (int, unix.Errno) {
	r := c.do(call{Op: "open", Path: path, Flags: flags, Mode: mode})
	return int(r.N), r.Errno
}

// opens opens and closes.
func (c *caller) opens(path string, flags int) unix.Errno {
	fd, e := c.open(path, flags, 0o644)
	if e == 0 {
		c.close(fd)
	}
	return e
}

func (c *caller) close(fd int) { c.do(call{Op: "close", FD: fd}) }

func (c *caller) chmod(path string, mode uint32) unix.Errno {
	return c.do(call{Op: "chmod", Path: path, Mode: mode}).Errno
}

func (c *caller) chown(path string, uid, gid int) unix.Errno {
	return c.do(call{Op: "chown", Path: path, UID: uid, GID: gid}).Errno
}

func (c *caller) lchown(path string, uid, gid int) unix.Errno {
	return c.do(call{Op: "lchown", Path: path, UID: uid, GID: gid}).Errno
}

func (c *caller) link(from, to string) unix.Errno {
	return c.do(call{Op: "link", Path: from, Path2: to}).Errno
}

func (c *caller) symlink(target, path string) unix.Errno {
	return c.do(call{Op: "symlink", Path: target, Path2: path}).Errno
}

func (c *caller) readlink(path string) (string, unix.Errno) {
	r := c.do(call{Op: "readlink", Path: path})
	return string(r.Data), r.Errno
}

func (c *caller) mkdir(path string, mode uint32) unix.Errno {
	return c.do(call{Op: "mkdir", Path: path, Mode: mode}).Errno
}

func (c *caller) mknod(path string, mode uint32, dev uint64) unix.Errno {
	return c.do(call{Op: "mknod", Path: path, Mode: mode, Flags: int(dev)}).Errno
}

func (c *caller) rename(from, to string) unix.Errno {
	return c.do(call{Op: "rename", Path: from, Path2: to}).Errno
}

func (c *caller) rmdir(path string) unix.Errno { return c.do(call{Op: "rmdir", Path: path}).Errno }

func (c *caller) unlink(path string) unix.Errno { return c.do(call{Op: "unlink", Path: path}).Errno }

func (c *caller) truncate(path string, size int64) unix.Errno {
	return c.do(call{Op: "truncate", Path: path, Len: size}).Errno
}

func (c *caller) stat(path string) (unix.Stat_t, unix.Errno) {
	r := c.do(call{Op: "stat", Path: path})
	return r.Stat, r.Errno
}

func (c *caller) lstat(path string) (unix.Stat_t, unix.Errno) {
	r := c.do(call{Op: "lstat", Path: path})
	return r.Stat, r.Errno
}

func (c *caller) fstat(fd int) (unix.Stat_t, unix.Errno) {
	r := c.do(call{Op: "fstat", FD: fd})
	return r.Stat, r.Errno
}

// utimens sets times; without any, to the present, as with NULL.
func (c *caller) utimens(path string, flags int, times ...unix.Timespec) unix.Errno {
	return c.do(call{Op: "utimensat", FD: unix.AT_FDCWD, Path: path, Times: times, Flags: flags}).Errno
}

func (c *caller) write(fd int, data string) unix.Errno {
	r := c.do(call{Op: "write", FD: fd, Data: []byte(data)})
	return r.short(len(data))
}

func (c *caller) pwrite(fd int, data string, off int64) unix.Errno {
	r := c.do(call{Op: "pwrite", FD: fd, Data: []byte(data), Off: off})
	return r.short(len(data))
}

// short makes an error of a count that is not the one asked for.
func (r *result) short(want int) unix.Errno {
	if r.Errno == 0 && r.N != int64(want) {
		return unix.EIO
	}
	return r.Errno
}

func (c *caller) pread(fd, length int, off int64) (string, unix.Errno) {
	r := c.do(call{Op: "pread", FD: fd, Len: int64(length), Off: off})
	return string(r.Data), r.Errno
}

func (c *caller) setxattr(path, name, value string, flags int) unix.Errno {
	return c.do(call{Op: "setxattr", Path: path, Path2: name, Data: []byte(value), Flags: flags}).Errno
}

func (c *caller) getxattr(path, name string) (string, unix.Errno) {
	r := c.do(call{Op: "getxattr", Path: path, Path2: name, Len: 65536})
	return string(r.Data), r.Errno
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// call is one system call that a caller is to make. Op is its name; each uses the fields
// that it needs.
type call struct {
	Op           string
	Path, Path2  string
	FD, FD2      int
	Flags, Flag2 int
	Mode         uint32
	UID, GID     int
	Off, Len     int64
	Off2         int64
	Times        []unix.Timespec
	Data         []byte
	Lock         unix.Flock_t
}

// result is what a system call returned.
type result struct {
	Errno  unix.Errno
	N      int64 // descriptor, count or offset
	Data   []byte
	Stat   unix.Stat_t
	Statfs unix.Statfs_t
	Lock   unix.Flock_t
	Names  []string
	Offs   []int64 // with Names: the directory's offset behind each
}

// make makes the call in this process.
func (c *call) make() (r result) {
	n, err := 0, error(nil)
	switch c.Op {
	case "open":
		n, err = unix.Open(c.Path, c.Flags|unix.O_CLOEXEC, c.Mode)
	case "openat":
		n, err = unix.Openat(c.FD, c.Path, c.Flags|unix.O_CLOEXEC, c.Mode)
	case "close":
		err = unix.Close(c.FD)
	case "dup":
		n, err = unix.Dup(c.FD)
	case "read":
		r.Data = make([]byte, c.Len)
		n, err = unix.Read(c.FD, r.Data)
		r.Data = r.Data[:max(n, 0)]
	case "pread":
		r.Data = make([]byte, c.Len)
		n, err = unix.Pread(c.FD, r.Data, c.Off)
		r.Data = r.Data[:max(n, 0)]
	case "write":
		n, err = unix.Write(c.FD, c.Data)
	case "pwrite":
		n, err = unix.Pwrite(c.FD, c.Data, c.Off)
	case "lseek":
		r.N, err = unix.Seek(c.FD, c.Off, c.Flags)
		n = int(r.N)
	case "chmod":
		err = unix.Chmod(c.Path, c.Mode)
	case "fchmod":
		err = unix.Fchmod(c.FD, c.Mode)
	case "fchmodat":
		err = unix.Fchmodat(c.FD, c.Path, c.Mode, c.Flags)
	case "chown":
		err = unix.Chown(c.Path, c.UID, c.GID)
	case "lchown":
		err = unix.Lchown(c.Path, c.UID, c.GID)
	case "fchown":
		err = unix.Fchown(c.FD, c.UID, c.GID)
	case "link":
		err = unix.Link(c.Path, c.Path2)
	case "linkat":
		err = unix.Linkat(c.FD, c.Path, c.FD2, c.Path2, c.Flags)
	case "symlink":
		err = unix.Symlink(c.Path, c.Path2)
	case "readlink":
		r.Data = make([]byte, unix.PathMax)
		n, err = unix.Readlink(c.Path, r.Data)
		r.Data = r.Data[:max(n, 0)]
	case "mkdir":
		err = unix.Mkdir(c.Path, c.Mode)
	case "mkdirat":
		err = unix.Mkdirat(c.FD, c.Path, c.Mode)
	case "mknod":
		err = unix.Mknod(c.Path, c.Mode, c.Flags)
	case "rename":
		err = unix.Rename(c.Path, c.Path2)
	case "renameat2":
		err = unix.Renameat2(unix.AT_FDCWD, c.Path, unix.AT_FDCWD, c.Path2, uint(c.Flags))
	case "rmdir":
		err = unix.Rmdir(c.Path)
	case "unlink":
		err = unix.Unlink(c.Path)
	case "unlinkat":
		err = unix.Unlinkat(c.FD, c.Path, c.Flags)
	case "truncate":
		err = unix.Truncate(c.Path, c.Len)
	case "ftruncate":
		err = unix.Ftruncate(c.FD, c.Len)
	case "utimensat":
		err = unix.UtimesNanoAt(c.FD, c.Path, c.Times, c.Flags) // nil: NULL
	case "stat":
		err = unix.Stat(c.Path, &r.Stat)
	case "lstat":
		err = unix.Lstat(c.Path, &r.Stat)
	case "fstat":
		err = unix.Fstat(c.FD, &r.Stat)
	case "statfs":
		err = unix.Statfs(c.Path, &r.Statfs)
	case "fstatfs":
		err = unix.Fstatfs(c.FD, &r.Statfs)
	case "access":
		err = unix.Access(c.Path, uint32(c.Flags))
	case "chdir":
		err = unix.Chdir(c.Path)
	case "fchdir":
		err = unix.Fchdir(c.FD)
	case "umask":
		n = unix.Umask(c.Flags)
	case "fsync":
		err = unix.Fsync(c.FD)
	case "fdatasync":
		err = unix.Fdatasync(c.FD)
	case "syncfs":
		err = unix.Syncfs(c.FD)
	case "setxattr":
		err = unix.Setxattr(c.Path, c.Path2, c.Data, c.Flags)
	case "lsetxattr":
		err = unix.Lsetxattr(c.Path, c.Path2, c.Data, c.Flags)
	case "fsetxattr":
		err = unix.Fsetxattr(c.FD, c.Path2, c.Data, c.Flags)
	case "getxattr":
		r.Data = make([]byte, c.Len)
		n, err = unix.Getxattr(c.Path, c.Path2, r.Data)
		r.Data = r.Data[:min(max(n, 0), len(r.Data))]
	case "fgetxattr":
		r.Data = make([]byte, c.Len)
		n, err = unix.Fgetxattr(c.FD, c.Path2, r.Data)
		r.Data = r.Data[:min(max(n, 0), len(r.Data))]
	case "listxattr":
		r.Data = make([]byte, c.Len)
		n, err = unix.Listxattr(c.Path, r.Data)
		r.Data = r.Data[:min(max(n, 0), len(r.Data))]
	case "removexattr":
		err = unix.Removexattr(c.Path, c.Path2)
	case "fallocate":
		err = unix.Fallocate(c.FD, uint32(c.Flags), c.Off, c.Len)
	case "copy_file_range":
		in, out := c.Off, c.Off2
		n, err = unix.CopyFileRange(c.FD, &in, c.FD2, &out, int(c.Len), 0)
	case "sendfile":
		in := c.Off
		n, err = unix.Sendfile(c.FD2, c.FD, &in, int(c.Len))
	case "fcntl-lock":
		r.Lock = c.Lock
		err = unix.FcntlFlock(uintptr(c.FD), c.Flags, &r.Lock)
	case "fcntl":
		n, err = unix.FcntlInt(uintptr(c.FD), c.Flags, c.Flag2)
	case "flock":
		err = unix.Flock(c.FD, c.Flags)
	case "readdir":
		r.Names, r.Offs, err = readdir(c.FD, int(c.Len))
	case "bind":
		n, err = bind(c.Path, c.Flags)
	case "connect":
		n, err = connect(c.Path, c.Flags)
	case "accept":
		n, _, err = unix.Accept4(c.FD, unix.SOCK_CLOEXEC)
	case "execve":
		r.N, err = execute(c.Path)
		n = int(r.N)
	case "spawn":
		n, err = spawn(c.Path)
	case "reap":
		r.N, err = reap(c.FD)
		n = int(r.N)
	case "fsize":
		limit := unix.Rlimit{Cur: uint64(c.Len), Max: unix.RLIM_INFINITY}
		err = unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	case "mmap":
		n, err = mapFile(c.FD, c.Off, int(c.Len), c.Flags, c.Flag2)
	case "peek":
		r.Data, err = peek(c.FD, int(c.Off), int(c.Len))
	case "poke":
		err = poke(c.FD, int(c.Off), c.Data)
	case "msync":
		err = unix.Msync(maps[c.FD], c.Flags)
	case "munmap":
		err = unix.Munmap(maps[c.FD])
	default:
		err = unix.ENOSYS
	}
	r.N = int64(n)
	if err != nil {
		r.Errno = err.(unix.Errno)
	}
	return r
}

// readdir reads a directory from where its descriptor stands, with a buffer of the given
// size, and returns the names with the offsets behind them; one buffer's worth if the
// size is negative.
func readdir(fd, size int) (names []string, offs []int64, err error) {
	once := size < 0
	if once {
		size = -size
	}
	buf := make([]byte, size)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return names, offs, err
		}
		for b := buf[:n]; len(b) > 0; {
			length := binary.NativeEndian.Uint16(b[16:])
			name := b[19:length]
			name = name[:slices.Index(name, 0)]
			names = append(names, string(name))
			offs = append(offs, int64(binary.NativeEndian.Uint64(b[8:])))
			b = b[length:]
		}
		if once {
			return names, offs, nil
		}
	}
}

// bind binds a unix socket, of type flags, and listens if that is for it.
func bind(path string, flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, flags|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if flags == unix.SOCK_STREAM {
		err = unix.Listen(fd, 5)
	}
	return fd, err
}

func connect(path string, flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, flags|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// execute runs a program and returns its exit status.
func execute(path string) (int64, error) {
	pid, err := start(path, 0)
	if err != nil {
		return 0, err
	}
	return wait(pid)
}

// start starts a program. ForkExec reports exec's own error number.
func start(path string, stdin uintptr) (int, error) {
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{Files: []uintptr{stdin, 1, 2}})
	if err != nil {
		return -1, err.(syscall.Errno)
	}
	return pid, nil
}

func wait(pid int) (int64, error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, unix.ECHILD
	}
	state, err := p.Wait()
	if err != nil {
		return 0, unix.ECHILD
	}
	return int64(state.ExitCode()), nil
}

// inputs are the standard inputs of programs that run, which end when these are closed.
var inputs = map[int]*os.File{}

// spawn starts a program, which reads its standard input, and returns when it runs; reap waits for
// its end. An execve that is known to succeed has not mapped the file yet, which is an access to it.
func spawn(path string) (int, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return -1, unix.EMFILE
	}
	defer r.Close()
	if _, err := w.Write([]byte{0}); err != nil {
		w.Close()
		return -1, unix.EIO
	}
	pid, err := start(path, r.Fd())
	if err != nil {
		w.Close()
		return -1, err
	}
	inputs[pid] = w
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if left, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ); err != nil || left == 0 {
			return pid, err
		}
		if time.Now().After(end) {
			return pid, unix.ETIMEDOUT
		}
	}
}

func reap(pid int) (int64, error) {
	inputs[pid].Close()
	delete(inputs, pid)
	return wait(pid)
}

// maps are the mappings that this process has made, by their number.
var maps [][]byte

func mapFile(fd int, off int64, length, prot, flags int) (int, error) {
	m, err := unix.Mmap(fd, off, length, prot, flags)
	if err != nil {
		return -1, err
	}
	maps = append(maps, m)
	return len(maps) - 1, nil
}

// peek reads from a mapping, and poke writes to it: EFAULT where there is no page.
func peek(number, off, length int) (data []byte, err error) {
	defer caught(&err)
	return bytes.Clone(maps[number][off : off+length]), nil
}

func poke(number, off int, data []byte) (err error) {
	defer caught(&err)
	copy(maps[number][off:], data)
	return nil
}

func caught(err *error) {
	if fault := recover(); fault != nil {
		*err = unix.EFAULT
	}
}

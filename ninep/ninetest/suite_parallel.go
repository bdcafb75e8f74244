// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

var readonlyTests = []suiteTest{
	{name: "changes_are_refused", run: func(e *env) {
		e.create("f", "data")
		e.mkdir("d")
		if !e.cfg.Lacks.Xattrs {
			e.ok(e.SetXattr(e.walk("f"), xattrName, []byte("v"), 0))
		}
		e.connect(ninep.Config{ReadOnly: true})

		_, err := e.Lcreate(e.walk(), "x", unix.O_RDONLY, 0o644, 0)
		e.want(err, unix.EROFS)
		_, err = e.Mkdir(root, "x", 0o755, 0)
		e.want(err, unix.EROFS)
		_, err = e.Symlink(root, "x", "y", 0)
		e.want(err, unix.EROFS)
		_, err = e.Mknod(root, "x", unix.S_IFREG, 0, 0, 0)
		e.want(err, unix.EROFS)
		e.want(e.Link(root, e.walk("f"), "x"), unix.EROFS)
		e.want(e.Rename(e.walk("f"), root, "x"), unix.EROFS)
		e.want(e.Renameat(root, "f", root, "x"), unix.EROFS)
		e.want(e.Unlinkat(root, "f", 0), unix.EROFS)
		e.want(e.Setattr(e.walk("f"), ninep.SetAttr{Valid: ninep.SetMode}), unix.EROFS)
		e.want(e.SetXattr(e.walk("f"), xattrOther, []byte("v"), 0), unix.EROFS)
		fid := e.walk("f")
		e.want(e.Remove(fid), unix.EROFS)
		e.want(e.Clunk(fid), unix.EBADF) // gone all the same
		for _, flags := range []uint32{unix.O_WRONLY, unix.O_RDWR, unix.O_RDONLY | unix.O_TRUNC} {
			_, _, err = e.Lopen(e.walk("f"), flags)
			e.want(err, unix.EROFS)
		}
		for _, flags := range []uint32{unix.O_RDONLY | unix.O_APPEND, unix.O_RDONLY | unix.O_CREAT} {
			_, _, err = e.Lopen(e.walk("f"), flags)
			e.ok(err)
		}
		fid = e.open(unix.O_RDONLY, "f")
		_, err = e.Write(fid, 0, []byte("x"))
		e.want(err, unix.EROFS)

		equal(e, "content", e.content("f"), "data")
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), 4096)
		e.ok(err)
		equal(e, "entries", len(list), 4)
		_, err = e.Statfs(root)
		e.ok(err)
		e.ok(e.Fsync(fid, false))
		if !e.cfg.Lacks.Xattrs {
			v, err := e.GetXattr(fid, xattrName)
			e.ok(err)
			equal(e, "value", string(v), "v")
		}
		if !e.cfg.Lacks.Locks {
			e.tryLock(fid, by("A", 1, ninep.LockRead, 0, 0), ninep.LockSuccess)
		}
	}},
}

var parallelTests = []suiteTest{
	{name: "own_files", run: func(e *env) {
		e.inParallel(8, func(i int) error {
			name := fmt.Sprint("dir", i)
			if _, err := e.Mkdir(root, name, 0o755, 0); err != nil {
				return err
			}
			dir, err := e.WalkTo(root, name)
			if err != nil {
				return err
			}
			for j := range 10 {
				fid, err := e.WalkTo(dir)
				if err != nil {
					return err
				}
				if _, err := e.Lcreate(fid, "f", unix.O_RDWR|unix.O_EXCL, 0o644, 0); err != nil {
					return err
				}
				data := bytes.Repeat([]byte{byte(i), byte(j)}, 3000)
				if err := e.WriteAll(fid, 0, data); err != nil {
					return err
				}
				got, err := e.ReadAll(fid)
				if err != nil {
					return err
				}
				if !bytes.Equal(got, data) {
					return errors.New("other bytes read than written")
				}
				if err := e.Renameat(dir, "f", root, fmt.Sprint("f", i)); err != nil {
					return err
				}
				if err := e.Unlinkat(root, fmt.Sprint("f", i), 0); err != nil {
					return err
				}
				if err := e.Clunk(fid); err != nil {
					return err
				}
			}
			return e.Unlinkat(root, name, unix.AT_REMOVEDIR)
		})
	}},
	{name: "one_file", run: func(e *env) {
		fid := e.create("f", "")
		e.inParallel(8, func(i int) error {
			off := uint64(i * 1000)
			for j := range 20 {
				data := bytes.Repeat([]byte{byte(i), byte(j)}, 500)
				if err := e.WriteAll(fid, off, data); err != nil {
					return err
				}
				got, err := e.Read(fid, off, 1000)
				if err != nil {
					return err
				}
				if !bytes.Equal(got, data) {
					return errors.New("other bytes read than written")
				}
			}
			return nil
		})
	}},
	{name: "clunk_of_a_fid_in_use", run: func(e *env) {
		e.create("f", "data")
		for range 20 {
			fid := e.open(unix.O_RDONLY, "f")
			var reads []*Request
			for range 10 {
				q, err := e.Start(&ninep.Tread{FID: fid, Count: 100})
				e.ok(err)
				reads = append(reads, q)
			}
			e.ok(e.Clunk(fid))
			for _, q := range reads {
				var r ninep.Rread
				switch err := q.Wait(&r); {
				case errors.Is(err, unix.EBADF): // came later
				case err != nil:
					e.Fatal(err)
				case string(r.Data) != "data":
					e.Fatalf("read %q", r.Data)
				}
			}
		}
	}},
	{name: "renames_across", run: func(e *env) {
		// Requests with two fids, in both orders, next to some that hold one alone.
		e.mkdir("a")
		e.mkdir("b")
		a, b := e.walk("a"), e.walk("b")
		e.inParallel(6, func(i int) error {
			from, to := a, b
			if i%2 == 1 {
				from, to = b, a
			}
			name := fmt.Sprint("f", i)
			if _, err := e.Mknod(from, name, unix.S_IFREG|0o644, 0, 0, 0); err != nil {
				return err
			}
			fid, err := e.WalkTo(from, name)
			if err != nil {
				return err
			}
			for range 20 {
				if err := e.Renameat(from, name, to, name); err != nil {
					return err
				}
				if err := e.Renameat(to, name, from, name); err != nil {
					return err
				}
				if err := e.Rename(fid, to, name); err != nil {
					return err
				}
				if err := e.Rename(fid, from, name); err != nil {
					return err
				}
			}
			return e.Remove(fid)
		})
	}},
	{name: "same_name", run: func(e *env) {
		// Only one of many makes it.
		for range 10 {
			var mu sync.Mutex
			made := 0
			e.inParallel(6, func(int) error {
				_, err := e.Mkdir(root, "d", 0o755, 0)
				if errors.Is(err, unix.EEXIST) {
					return nil
				}
				mu.Lock()
				made++
				mu.Unlock()
				return err
			})
			equal(e, "directories made", made, 1)
			e.ok(e.Unlinkat(root, "d", unix.AT_REMOVEDIR))
		}
	}},
}

// inParallel runs do n times at once.
func (e *env) inParallel(n int, do func(i int) error) {
	e.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	e.ok(errors.Join(errs...))
}

// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// The operations on names.

func (r *runner) open() error {
	if len(r.handles) == maxHandles {
		return r.close()
	}
	path := r.path()
	flags := []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR}[r.rng.IntN(4)]
	if r.rng.IntN(4) > 0 {
		flags |= unix.O_CREAT
		if r.rng.IntN(5) == 0 {
			flags |= unix.O_EXCL
		}
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		if r.rng.IntN(4) == 0 && !r.NoAppend {
			flags |= unix.O_APPEND
		}
		if r.rng.IntN(8) == 0 {
			flags |= unix.O_TRUNC
		}
	}
	i, want := r.names.find(path)
	switch {
	case i == nil && flags&unix.O_CREAT != 0:
		want = r.names.place(path)
	case i != nil && flags&unix.O_EXCL != 0:
		want = unix.EEXIST
	}
	made := i == nil && want == nil
	if made {
		r.inodes++
		i = &inode{id: r.inodes, links: 1}
	}
	h := &handle{id: r.opened + 1, inode: i, flags: flags}
	text := openText(path, flags)
	if want != nil {
		r.note(nil, 0, 0, "%s, which is %v", text, want)
	} else {
		end := int64(0)
		if flags&unix.O_TRUNC != 0 {
			end = int64(len(i.content))
		}
		r.note(i, 0, end, "%s: handle %d (file %d, size %d)", text, h.id, i.id, len(i.content))
	}
	f, err := r.fs.Open(path, flags)
	if err == nil && want != nil {
		_ = f.Close()
	}
	if err := same("open", err, want); err != nil || want != nil {
		return err
	}
	h.file = f
	if made {
		r.names.files[path] = i
	}
	if flags&unix.O_TRUNC != 0 {
		i.resize(0)
	}
	r.opened++
	r.handles = append(r.handles, h)
	return nil
}

func openText(path string, flags int) string {
	text := "open " + path + " " + []string{"r", "w", "rw"}[flags&unix.O_ACCMODE]
	for _, f := range []struct {
		bit  int
		name string
	}{{unix.O_CREAT, "create"}, {unix.O_EXCL, "exclusive"}, {unix.O_TRUNC, "truncate"}, {unix.O_APPEND, "append"}} {
		if flags&f.bit != 0 {
			text += " " + f.name
		}
	}
	return text
}

func (r *runner) rename() error {
	old, to := r.path(), r.path()
	i, want := r.names.find(old)
	if want == nil && !r.names.folders[folderOf(to)] {
		want = unix.ENOENT
	}
	r.note(i, 0, 0, "rename %s to %s", old, to)
	if err := same("rename", r.fs.Rename(old, to), want); err != nil || want != nil {
		return err
	}
	if r.names.files[to] == i {
		return nil // two names of one file stay
	}
	if r.names.files[to] != nil {
		r.names.remove(to)
	}
	delete(r.names.files, old)
	r.names.files[to] = i
	return nil
}

func (r *runner) link() error {
	if r.NoLinks {
		return nil
	}
	old, to := r.path(), r.path()
	i, want := r.names.find(old)
	if want == nil {
		want = r.names.place(to)
	}
	r.note(i, 0, 0, "link %s to %s", old, to)
	if err := same("link", r.fs.Link(old, to), want); err != nil || want != nil {
		return err
	}
	i.links++
	r.names.files[to] = i
	return nil
}

func (r *runner) unlink() error {
	path := r.path()
	i, want := r.names.find(path)
	r.note(i, 0, 0, "unlink %s", path)
	if err := same("unlink", r.fs.Unlink(path), want); err != nil || want != nil {
		return err
	}
	r.names.remove(path)
	return nil
}

func (r *runner) stat() error {
	if h := r.pick(func(*handle) bool { return true }); h != nil && r.rng.IntN(2) == 0 {
		r.note(h.inode, 0, 0, "stat handle %d (file %d)", h.id, h.inode.id)
		got, err := h.file.Stat()
		if err != nil {
			return fmt.Errorf("stat: %w", err)
		}
		return sameStat(got, h.inode)
	}
	path := r.path()
	i, want := r.names.find(path)
	r.note(i, 0, 0, "stat %s", path)
	got, err := r.fs.Stat(path)
	if err := same("stat", err, want); err != nil || want != nil {
		return err
	}
	return sameStat(got, i)
}

func sameStat(got Stat, i *inode) error {
	if got != i.stat() {
		return fmt.Errorf("stat of file %d: %+v, want %+v", i.id, got, i.stat())
	}
	return nil
}

func (r *runner) list() error {
	folder := folders[r.rng.IntN(len(folders))]
	var want error
	if !r.names.folders[folder] {
		want = unix.ENOENT
	}
	r.note(nil, 0, 0, "list %s", folder)
	got, err := r.fs.List(folder)
	if err := same("list", err, want); err != nil || want != nil {
		return err
	}
	slices.Sort(got)
	if names := r.names.in(folder); !slices.Equal(got, names) {
		return fmt.Errorf("list: %q, want %q", got, names)
	}
	return nil
}

// renameFolder gives one of the folders the name that is free.
func (r *runner) renameFolder() error {
	var there []string
	free := ""
	for _, f := range folders {
		if r.names.folders[f] {
			there = append(there, f)
		} else {
			free = f
		}
	}
	folder := there[r.rng.IntN(len(there))]
	r.note(nil, 0, 0, "rename the folder %s to %s", folder, free)
	if err := r.fs.Rename(folder, free); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	for _, name := range r.names.in(folder) {
		r.names.files[free+"/"+name] = r.names.files[folder+"/"+name]
		delete(r.names.files, folder+"/"+name)
	}
	delete(r.names.folders, folder)
	r.names.folders[free] = true
	return nil
}

// readWhole opens a file anew and reads all of it.
func (r *runner) readWhole() error {
	path := r.path()
	if _, err := r.names.find(path); err != nil {
		return nil
	}
	return r.readPath(path)
}

func (r *runner) readPath(path string) error {
	i := r.names.files[path]
	r.note(i, 0, int64(len(i.content)), "read all of %s (file %d, size %d)", path, i.id, len(i.content))
	f, err := r.fs.Open(path, unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	p := make([]byte, len(i.content)+1)
	n, err := f.ReadAt(p, 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return compare(path, i, 0, p[:n], i.content)
}

// drop empties the caches.
func (r *runner) drop() error {
	d, ok := r.fs.(Dropper)
	if !ok || !r.Drop || r.rng.IntN(4) > 0 {
		return nil
	}
	r.note(nil, 0, 0, "drop the caches")
	return d.Drop()
}

// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a run does.
type Config struct {
	Seed uint64
	// Ops is the number of operations, and Duration for how long they go on: what comes
	// first ends the run, and what is 0 does not.
	Ops      int
	Duration time.Duration
	// MaxSize bounds files, in bytes; if 0, 1 MiB.
	MaxSize int64
	// NoMapRead and NoMapWrite leave out mappings that the file system does not have.
	NoMapRead, NoMapWrite bool
	// NoLinks leaves out hard links, for clients that take each name of a file for a file
	// of its own.
	NoLinks bool
	// NoAppend leaves O_APPEND out.
	NoAppend bool
	// Drop empties the kernel's caches now and then, if they can be: of all file systems.
	Drop bool
}

// Result is what a run did.
type Result struct {
	Ops     int
	Refused int    // operations that the file system does not have (EOPNOTSUPP)
	State   string // the tree at the end, see State
}

// The names that are used: two of the folders exist at any time.
var (
	folders = []string{"a", "b", "c"}
	leaves  = []string{"0", "1", "2", "3"}
)

// maxHandles is how many files are open at once.
const maxHandles = 12

// runner is a run under way.
type runner struct {
	Config
	fs      FS
	names   names
	handles []*handle
	inodes  int // how many there have been
	opened  int // and handles
	number  int // of the operation under way
	rng     *rand.Rand
	log     log
	result  Result
}

// operation is one kind of them. It returns nil if it found what the model has.
type operation struct {
	weight int
	run    func(*runner) error
}

var operations = []operation{
	{14, (*runner).read},
	{18, (*runner).write},
	{5, (*runner).append},
	{7, (*runner).truncate},
	{6, (*runner).mapRead},
	{7, (*runner).mapWrite},
	{3, (*runner).allocate},
	{2, (*runner).sync},
	{14, (*runner).open},
	{10, (*runner).close},
	{4, (*runner).rename},
	{4, (*runner).link},
	{4, (*runner).unlink},
	{6, (*runner).stat},
	{2, (*runner).list},
	{1, (*runner).renameFolder},
	{4, (*runner).readWhole},
	{1, (*runner).drop},
}

// Run tries an empty file system. The error describes what differs from the model and the
// operations that led there.
func Run(fs FS, c Config) (Result, error) {
	c.MaxSize = cmp.Or(c.MaxSize, 1<<20)
	r := &runner{Config: c, fs: fs, names: names{folders: map[string]bool{}, files: map[string]*inode{}}}
	err := r.all()
	for _, h := range r.handles {
		err = errors.Join(err, h.file.Close())
	}
	r.result.Ops = r.number
	r.result.State = r.names.state()
	return r.result, err
}

func (r *runner) all() error {
	for _, folder := range folders[:2] {
		if err := r.fs.Mkdir(folder); err != nil {
			return err
		}
		r.names.folders[folder] = true
	}
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	end := time.Now().Add(r.Duration)
	for (r.Ops == 0 || r.number < r.Ops) && (r.Duration == 0 || time.Now().Before(end)) {
		r.number++
		r.rng = rand.New(rand.NewPCG(r.Seed, uint64(r.number)))
		at := r.rng.IntN(total)
		for _, o := range operations {
			if at -= o.weight; at >= 0 {
				continue
			}
			if err := o.run(r); err != nil {
				return r.failed(err)
			}
			break
		}
	}
	r.number++
	for _, path := range slices.Sorted(maps.Keys(r.names.files)) {
		if err := r.readPath(path); err != nil {
			return r.failed(err)
		}
	}
	r.number--
	return nil
}

func (r *runner) failed(err error) error {
	return fmt.Errorf("seed %d, operation %d: %w\n%s", r.Seed, r.number, err, r.log.report(err))
}

// note writes an operation to the log, before it is made.
func (r *runner) note(i *inode, lo, hi int64, format string, args ...any) {
	r.log.entries = append(r.log.entries, entry{r.number, fmt.Sprintf(format, args...), i, lo, hi})
}

// same returns an error if an operation's error is not the expected one.
func same(what string, got, want error) error {
	if errors.Is(got, want) || got == nil && want == nil {
		return nil
	}
	return fmt.Errorf("%s: %s, want %s", what, outcome(got), outcome(want))
}

func outcome(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// refused counts an operation that the file system does not have.
func (r *runner) refused(err error) bool {
	if errors.Is(err, unix.EOPNOTSUPP) {
		r.result.Refused++
		return true
	}
	return false
}

// pick returns one of the open files for which ok holds, or nil.
func (r *runner) pick(ok func(*handle) bool) *handle {
	var fit []*handle
	for _, h := range r.handles {
		if ok(h) {
			fit = append(fit, h)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return fit[r.rng.IntN(len(fit))]
}

// path returns a name, mostly in a folder that exists.
func (r *runner) path() string {
	folder := folders[r.rng.IntN(len(folders))]
	for range 3 {
		if r.names.folders[folder] {
			break
		}
		folder = folders[r.rng.IntN(len(folders))]
	}
	return folder + "/" + leaves[r.rng.IntN(len(leaves))]
}

// length returns a number of bytes from 1 to most: small ones, about pages, and large
// ones.
func (r *runner) length(most int64) int64 {
	const page = 4096
	var n int64
	switch r.rng.IntN(6) {
	case 0:
		n = 1 + r.rng.Int64N(64)
	case 1:
		n = page*(1+r.rng.Int64N(4)) - 1 + r.rng.Int64N(3)
	case 2, 3:
		n = 1 + r.rng.Int64N(20_000)
	case 4:
		n = 1 + r.rng.Int64N(100_000)
	default:
		n = 1 + r.rng.Int64N(r.MaxSize)
	}
	return max(1, min(n, most))
}

// offset returns one from 0 to most, often at a page or at most itself.
func (r *runner) offset(most int64) int64 {
	if most <= 0 {
		return 0
	}
	off := r.rng.Int64N(most + 1)
	switch r.rng.IntN(5) {
	case 0:
		return off &^ 4095
	case 1:
		return most
	}
	return off
}

// data returns bytes that no other operation writes.
func (r *runner) data(n int64) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(r.number), byte(r.number >> 8), byte(r.number >> 16), byte(r.number >> 24), byte(r.Seed)}).Read(p)
	return p
}

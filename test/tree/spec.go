// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Spec says which tree to make.
type Spec struct {
	Seed  uint64
	Files int   // entries, of all kinds, besides the root
	Big   int64 // size of the one big file, in bytes; 0 for none
	// WholeSeconds leaves out what Linux's 9p client cannot set on a file: it cuts
	// times to seconds since 1970. It does show finer and earlier ones.
	WholeSeconds bool
}

// extent is a range of a file that holds data; the rest is holes.
type extent struct{ off, len int64 }

// entry is one name to be made.
type entry struct {
	path   string // relative to the root
	kind   uint32 // unix.S_IFREG and so on; 0 for another name of link
	link   string // an earlier entry's path, or a symbolic link's target
	mode   uint32 // 07777 bits
	uid    int
	gid    int
	size   int64
	data   []extent
	dev    int
	xattrs map[string][]byte
	mtime  time.Time
	atime  time.Time
}

var (
	modes = []uint32{
		0o644, 0o644, 0o644, 0o600, 0o755, 0o755, 0o444, 0o400, 0o000, 0o111, 0o666, 0o777,
		0o4755, 0o2755, 0o6711, 0o1644, 0o2644, 0o7777, 0o4000, 0o1777,
	}
	dirModes = []uint32{0o755, 0o755, 0o700, 0o1777, 0o2775, 0o3777, 0o555, 0o000, 0o7755}
	owners   = []int{0, 0, 0, 1, 1000, 65534, 100000, 1 << 31, 1<<32 - 3}
	sizes    = []int64{
		1, 2, 511, 512, 1023, 1024, 1025, 4085, 4095, 4096, 4097, 8191, 65535, 65536, 65537,
		511976, 511989, 512000, 524288, 1<<20 + 1,
	}
	oddNames = []string{
		" ", "a b", "-rf", "--", "~", "new\nline", "tab\t", "quote'\"`", "back\\slash", "$HOME", "*", "?", "[a]",
		"...", ".hidden", "trailing.", "trailing ", "\x01\x02\x7f", "ünïcödé", "名前", "é", "é", "\u202e", "a:b", "con",
		"semi;colon", "(paren)", "a=b", "#", "%41", "a,b",
	}
)

// entries is the tree's content, folders before what is in them. The root comes
// first, with the empty path.
func (s Spec) entries() []entry {
	r := rand.New(rand.NewPCG(s.Seed, 0x7472656573))
	list := []entry{s.dress(r, entry{kind: unix.S_IFDIR})}
	list[0].mode = 0o755
	dirs := []string{""}
	depth := map[string]int{"": 0}
	var linkable []string
	add := func(e entry) {
		list = append(list, s.dress(r, e))
		switch {
		case e.kind == unix.S_IFDIR:
			dirs = append(dirs, e.path)
			depth[e.path] = depth[filepath.Dir("/" + e.path)[1:]] + 1
		case e.kind != 0:
			linkable = append(linkable, e.path)
		}
	}
	if s.Big > 0 {
		e := entry{path: "big", kind: unix.S_IFREG, size: s.Big}
		for off := int64(0); off < s.Big; off += 16 << 20 {
			e.data = append(e.data, extent{off, min(1<<20, s.Big-off)})
		}
		e.data = append(e.data, extent{s.Big - 1, 1})
		add(e)
	}
	for i := len(list) - 1; i < s.Files; i++ {
		parent := dirs[r.IntN(len(dirs))]
		e := entry{path: filepath.Join(parent, name(r, i))}
		switch n := r.IntN(1000); {
		case n < 40 && depth[parent] < 6:
			e.kind = unix.S_IFDIR
		case n < 120:
			e.kind, e.link = unix.S_IFLNK, target(r, list)
		case n < 190 && len(linkable) > 0:
			e.link = linkable[r.IntN(len(linkable))]
		case n < 220:
			e.kind = unix.S_IFIFO
		case n < 225:
			e.kind = unix.S_IFSOCK
		case n < 228:
			e.kind, e.dev = unix.S_IFCHR, int(unix.Mkdev(1, 3))
		case n < 230:
			e.kind, e.dev = unix.S_IFBLK, int(unix.Mkdev(uint32(r.IntN(4000)), uint32(r.IntN(1<<20))))
		case n < 300:
			e.kind = unix.S_IFREG // empty
		case n < 320:
			e.kind = unix.S_IFREG
			e.size = 1<<20 + r.Int64N(8<<20)
			for range 1 + r.IntN(3) {
				off := r.Int64N(e.size)
				e.data = append(e.data, extent{off, min(1+r.Int64N(20000), e.size-off)})
			}
		case n < 360:
			e.kind, e.size = unix.S_IFREG, sizes[r.IntN(len(sizes))]
			e.data = []extent{{0, e.size}}
		default:
			e.kind, e.size = unix.S_IFREG, 1+r.Int64N(1<<r.IntN(15))
			e.data = []extent{{0, e.size}}
		}
		add(e)
	}
	return list
}

// dress gives an entry its mode, owners, times and attributes.
func (s Spec) dress(r *rand.Rand, e entry) entry {
	e.mode = modes[r.IntN(len(modes))]
	if e.kind == unix.S_IFDIR {
		e.mode = dirModes[r.IntN(len(dirModes))]
	}
	e.uid, e.gid = owners[r.IntN(len(owners))], owners[r.IntN(len(owners))]
	// From 1950 to 2100, to the nanosecond.
	e.mtime = time.Unix(-600_000_000+r.Int64N(4_700_000_000), r.Int64N(1_000_000_000))
	// Reading moves an access time that is older than the modification or than a
	// day (relatime), so these lie far in the future.
	e.atime = time.Unix(4_200_000_000+r.Int64N(1_000_000_000), r.Int64N(1_000_000_000))
	if s.WholeSeconds {
		e.mtime, e.atime = time.Unix(max(e.mtime.Unix(), 0), 0), time.Unix(e.atime.Unix(), 0)
	}
	if (e.kind == unix.S_IFREG || e.kind == unix.S_IFDIR) && r.IntN(7) == 0 {
		e.xattrs = map[string][]byte{}
		for range 1 + r.IntN(3) {
			value := make([]byte, 1+r.IntN(1<<(1+r.IntN(9))))
			fill(r.Uint64(), 0, value)
			e.xattrs[fmt.Sprintf("user.%s.%d", strings.Repeat("n", 1+r.IntN(100)), r.IntN(1000))] = value
		}
	}
	return e
}

// name makes a file name that only i has.
func name(r *rand.Rand, i int) string {
	switch n := r.IntN(100); {
	case n < 4: // as long as names get
		s := fmt.Sprintf("%d-", i)
		return s + strings.Repeat("long", 64)[:255-len(s)]
	case n < 7: // as long, in three-byte characters
		s := fmt.Sprintf("%0*d", 255%3, i)
		if len(s) > 255%3 {
			s = fmt.Sprintf("%06d", i)
		}
		return s + strings.Repeat("長", (255-len(s))/3)
	case n < 12: // not UTF-8
		b := fmt.Appendf(nil, "%d", i)
		for range 1 + r.IntN(40) {
			b = append(b, byte(0x80+r.IntN(128)))
		}
		return string(b)
	case n < 24:
		return fmt.Sprintf("%s%d", oddNames[r.IntN(len(oddNames))], i)
	case n < 28:
		return fmt.Sprintf("%d%s", i, oddNames[r.IntN(len(oddNames))])
	default:
		return fmt.Sprintf("file-%d.txt", i)
	}
}

// target makes a symbolic link's target.
func target(r *rand.Rand, list []entry) string {
	switch r.IntN(6) {
	case 0:
		return "does-not-exist"
	case 1:
		return "/absolute/\xff\xfe"
	case 2:
		return strings.Repeat("../", 20) + "etc/passwd"
	case 3:
		return strings.Repeat("long/", 600)
	case 4:
		return "."
	default:
		return "./" + list[r.IntN(len(list))].path
	}
}

// fill writes what a file with a seed has at an offset.
func fill(seed uint64, off int64, p []byte) {
	x := seed ^ uint64(off)*0x9e3779b97f4a7c15 | 1
	for i := range p {
		if i&7 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		p[i] = byte(x>>(8*(i&7))) | 1 // never zero, so a lost page shows
	}
}

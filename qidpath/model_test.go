// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/qidpath"
)

// file is one as the host has it: on a file system, whatever its number is.
type file struct {
	fs  qidpath.Identity
	ino uint64
}

// model is the mapping as its documentation says it, for one table whose store
// is not shared.
type model struct {
	layout       qidpath.Layout
	prefixes     map[qidpath.Key]uint64 // 0: the full map; -1: that, volatile
	elements     uint64
	perFS        map[qidpath.Identity]int
	nextVolatile uint64
	numbers      map[file]uint64
	stored       uint64 // numbers
	volatileNo   uint64
}

func newModel(layout qidpath.Layout) *model {
	return &model{
		layout: layout, prefixes: map[qidpath.Key]uint64{}, perFS: map[qidpath.Identity]int{}, nextVolatile: 65535,
		numbers: map[file]uint64{}, volatileNo: qidpath.MaxNumber,
	}
}

const volatileKey = ^uint64(0)

func (m *model) element(key qidpath.Key) {
	m.elements++
	m.perFS[key.FS]++
	m.prefixes[key] = m.elements
	if m.layout == qidpath.Suffix && m.elements > 255 {
		m.prefixes[key] = 0
	}
}

func (m *model) path(f file, storeWorks, mapWorks bool) uint64 {
	key := qidpath.Key{FS: f.fs, InoPrefix: uint16(f.ino >> 48)}
	if _, ok := m.prefixes[key]; !ok {
		switch {
		case m.perFS[f.fs] >= 16 || m.elements >= qidpath.MaxElements:
			m.prefixes[key] = 0
		case storeWorks:
			m.element(key)
		case m.layout == qidpath.Prefix:
			m.prefixes[key] = m.nextVolatile
			m.nextVolatile--
		default:
			m.prefixes[key] = volatileKey
		}
	}
	p := m.prefixes[key]
	if p != 0 && p != volatileKey {
		if m.layout == qidpath.Prefix {
			return p<<48 | f.ino&low48
		}
		return suffixed(f.ino&low48, p)
	}
	n, ok := m.numbers[f]
	if !ok {
		if p == 0 && mapWorks {
			m.stored++
			n = m.stored
		} else {
			n = m.volatileNo
			m.volatileNo--
		}
		m.numbers[f] = n
	}
	if m.layout == qidpath.Prefix {
		return n
	}
	return suffixed(n, 256)
}

// suffixed puts the code of p behind n, bit by bit: p's bits from the lowest to
// the highest, and as many zeros as there are behind the first.
func suffixed(n, p uint64) uint64 {
	code := ""
	for v := p; v > 0; v >>= 1 {
		code += fmt.Sprint(v & 1)
	}
	zeros := len(code) - 1
	for range zeros {
		code += "0"
	}
	for _, bit := range code {
		n = n<<1 | uint64(bit-'0')
	}
	return n
}

// host is a machine whose file systems get other device numbers now and then.
type host struct {
	rng     *rand.Rand
	fs      []qidpath.Identity // that there are; zero: none, told by its number alone
	mounted map[uint64]int     // device number -> index of fs
}

// remount gives file systems that have an identity new numbers, also of each other.
func (h *host) remount() {
	numbers := h.rng.Perm(len(h.fs) + 2)
	clear(h.mounted)
	for i, id := range h.fs {
		dev := uint64(0x700 + numbers[i])
		if id.IsZero() {
			dev = 0x20 + uint64(i)
		}
		h.mounted[dev] = i
	}
}

// pick returns a file and the number its file system has, with inode prefixes that
// repeat and low bits that do so often.
func (h *host) pick() (dev uint64, f file) {
	for dev = range h.mounted {
		break
	}
	f.fs = h.fs[h.mounted[dev]]
	if f.fs.IsZero() {
		f.fs = qidpath.DeviceIdentity(dev)
	}
	f.ino = h.rng.Uint64()
	switch h.rng.IntN(4) {
	case 0:
		f.ino &= 0x1f_0000_0000_000f
	case 1:
		f.ino &= 0x3_0000_0000_000f
	case 2:
		f.ino &= 0xffff_ffff
	}
	return dev, f
}

// TestMappingAgainstModel asks for random files, some again and again, while file
// systems get other numbers, stores fail, and the daemon is started again. It checks
// each answer against the model, and that no two files share one.
func TestMappingAgainstModel(t *testing.T) {
	for _, layout := range []qidpath.Layout{qidpath.Prefix, qidpath.Suffix} {
		for name, preload := range map[string]int{"empty": 0, "nearly full": qidpath.MaxElements - 100, "suffixes run out": 250} {
			t.Run(layout.String()+"/"+name, func(t *testing.T) { testModel(t, layout, preload) })
		}
	}
}

func testModel(t *testing.T, layout qidpath.Layout, preload int) {
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	t.Logf("seed %#x", seed)
	rng := rand.New(rand.NewPCG(seed[0], seed[1]))
	store, full := &memStore{}, &memMap{}
	for i := range preload {
		store.elements = append(store.elements, identified(qidpath.Identity{1, byte(i), byte(i >> 8)}, uint64(i), 0))
	}
	h := &host{rng: rng, mounted: map[uint64]int{}}
	for i := range 12 {
		var id qidpath.Identity
		if i%3 > 0 {
			id = qidpath.Identity{2, byte(i)}
		}
		h.fs = append(h.fs, id)
	}
	files := make(map[uint64]file) // durable answers, of all runs
	for range 4 {
		table := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open(), Layout: layout, Logger: slog.New(slog.DiscardHandler)})
		store.fail, full.fail = nil, nil
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
		m := newModel(layout)
		for _, e := range store.elements {
			m.element(e.Key)
		}
		for i, f := range full.files {
			m.numbers[file{f.FS, f.Ino}] = uint64(i + 1)
			m.stored++
		}
		run := make(map[uint64]file) // answers of this run
		for p, f := range files {
			run[p] = f
		}
		h.remount()
		table.Forget()
		for range 2000 {
			if rng.IntN(100) == 0 {
				h.remount()
				table.Forget()
			}
			dev, f := h.pick()
			works, mapWorks := rng.IntN(10) > 0, rng.IntN(10) > 0
			store.fail, full.fail = nil, nil
			if !works {
				store.fail = errFake
			}
			if !mapWorks {
				full.fail = errFake
			}
			want := m.path(f, works, mapWorks)
			got, err := table.Path(dev, f.ino)
			if err == qidpath.ErrUnknownDevice {
				table.Bind(dev, h.fs[h.mounted[dev]], nil)
				got, err = table.Path(dev, f.ino)
			}
			if err != nil || got != want {
				t.Fatalf("Path(%#x, %#x) = %#x, %v; the model says %#x", dev, f.ino, got, err, want)
			}
			_, numbered := m.numbers[f]
			if p, ok := table.Span(dev, f.ino).Path(f.ino); ok == numbered || ok && p != want {
				t.Fatalf("the span of %#x, %#x: %#x, %v; the path is %#x", dev, f.ino, p, ok, want)
			}
			if other, ok := run[got]; ok && other != f {
				t.Fatalf("%#x names both %v and %v", got, other, f)
			}
			run[got] = f
		}
		// What was stored is the same in the next run.
		table = newTableOf(t, qidpath.Config{Store: store, FullMap: full.open(), Layout: layout, Logger: slog.New(slog.DiscardHandler)})
		store.fail, full.fail = nil, nil
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
		for p, f := range run {
			if m.durable(f) {
				files[p] = f
			}
		}
		for dev, i := range h.mounted {
			table.Bind(dev, h.fs[i], nil)
			id := h.fs[i]
			if id.IsZero() {
				id = qidpath.DeviceIdentity(dev)
			}
			for p, f := range files {
				if f.fs == id {
					wantPath(t, table, dev, f.ino, p)
				}
			}
		}
	}
	t.Logf("%d durable files, %d elements, %d numbers", len(files), len(store.elements), len(full.files))
}

// durable reports whether the answer for f is stored.
func (m *model) durable(f file) bool {
	p := m.prefixes[qidpath.Key{FS: f.fs, InoPrefix: uint16(f.ino >> 48)}]
	if p == 0 {
		return m.numbers[f] <= m.stored
	}
	return p <= qidpath.MaxElements
}

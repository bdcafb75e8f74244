// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vhost-user-9p/virtqueue/virtqtest"
)

var update = flag.Bool("update", false, "write the seeds of FuzzWalk and FuzzPacked again")

// walkSeeds are the named inputs of FuzzWalk: each hostile chain between two good ones, each
// corrupt ring, and rings that are as they should be.
func walkSeeds() map[string]walkInput {
	seeds := map[string]walkInput{}
	one := walkLayout(area{0, hostileData, walkRing})
	for name, h := range hostile {
		seeds["hostile-"+name] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
			d.Add(nil, []virtqtest.Buf{{Addr: data + 8, Len: 100}})
			h.make(d, data)
			d.AddHead(3)
			d.Add([]virtqtest.Buf{{Addr: data, Len: 100}}, nil)
		})
	}
	for name, h := range map[string]func(d *virtqtest.Driver){
		"index 9 ahead":           func(d *virtqtest.Driver) { d.SetAvailIdx(d.AvailIdx() + 9) },
		"index half way round":    func(d *virtqtest.Driver) { d.SetAvailIdx(d.AvailIdx() + 0x8000) },
		"index behind":            func(d *virtqtest.Driver) { d.SetAvailIdx(d.AvailIdx() - 2) },
		"head is the ring's size": func(d *virtqtest.Driver) { d.AddHead(hostileSize) },
		"head is far out":         func(d *virtqtest.Driver) { d.AddHead(0xffff) },
	} {
		seeds["corrupt-"+name] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
			d.Add(nil, []virtqtest.Buf{{Addr: data, Len: 100}})
			h(d)
		})
	}

	// Three regions that touch, the second of three bytes, then one apart.
	several := walkLayout(area{0, 3*page - 5, walkRing}, area{0, 3, walkRing + 3*page - 5}, area{0, page, walkRing + 3*page - 2}, area{page, 10, 7})
	request := func(data uint64) (out, in []virtqtest.Buf) {
		return []virtqtest.Buf{{Addr: data + 1, Len: 23}, {Addr: data + page, Len: 2*page + 7}},
			[]virtqtest.Buf{{Addr: data + 3*page - 20, Len: 15}, {Addr: data + 3*page - 5, Len: 3}, {Addr: data + 3*page - 2, Len: page}}
	}
	seeds["good-across regions"] = walkSeed(several, func(d *virtqtest.Driver, data uint64) {
		d.Add(request(data))
	})
	seeds["good-table across regions"] = walkSeed(several, func(d *virtqtest.Driver, data uint64) {
		out, in := request(data)
		d.AddIndirect(data+3*page-40, out, in)
	})
	seeds["good-table not aligned"] = walkSeed(several, func(d *virtqtest.Driver, data uint64) {
		out, in := request(data)
		d.AddIndirect(data+1, out, in)
	})
	seeds["good-table of 1024 descriptors"] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
		in := make([]virtqtest.Buf, 1024)
		for i := range in {
			in[i] = virtqtest.Buf{Addr: data + 32<<10 + uint64(i)*5, Len: 4}
		}
		d.AddIndirect(data, nil, in)
	})
	seeds["good-table after descriptors"] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 9, Flags: virtqtest.Next, Next: 1})
		d.SetDesc(d.Desc, 1, virtqtest.Desc{Addr: data, Len: 32, Flags: virtqtest.Indirect | virtqtest.Write})
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data + 50, Len: 9, Flags: virtqtest.Next | virtqtest.Write, Next: 1})
		d.SetDesc(data, 1, virtqtest.Desc{Addr: data + 59, Len: 9, Flags: virtqtest.Write})
		d.AddHead(3)
	})
	seeds["good-table is the used ring"] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
		d.Add(nil, []virtqtest.Buf{{Addr: data, Len: 100}})
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: d.Used + 4, Len: 64, Flags: virtqtest.Indirect})
		d.AddHead(3)
	})
	seeds["good-same chain again"] = walkSeed(one, func(d *virtqtest.Driver, data uint64) {
		head := d.Add([]virtqtest.Buf{{Addr: data, Len: 100}}, []virtqtest.Buf{{Addr: data, Len: 0}, {Addr: data, Len: 100}})
		for range hostileSize - 1 {
			d.AddHead(head)
		}
	})
	seeds["good-empty ring"] = walkSeed(one, func(*virtqtest.Driver, uint64) {})
	without := walkSeed(one, func(d *virtqtest.Driver, data uint64) {
		d.AddIndirect(data, nil, []virtqtest.Buf{{Addr: data, Len: 100}})
	})
	without.indirect = false
	seeds["hostile-table not negotiated"] = without
	return seeds
}

// walkLayout makes the layout of an input; addr of an area is the gap before it.
func walkLayout(areas ...area) (b []byte) {
	for _, a := range areas {
		b = binary.LittleEndian.AppendUint32(b, uint32(a.addr))
		b = binary.LittleEndian.AppendUint32(b, uint32(a.len))
		b = binary.LittleEndian.AppendUint32(b, uint32(a.offset))
	}
	return b
}

// walkSeed makes an input of what a driver does with a ring of hostileSize entries, the
// indices of which are about to wrap.
func walkSeed(layout []byte, add func(d *virtqtest.Driver, data uint64)) walkInput {
	const start, sizeLog = 0xffff, 3
	mem := make([]byte, walkFile)
	ring, _ := virtqtest.LayoutAt(guestBase, hostileSize)
	d := virtqtest.New(mem, guestBase, ring, false)
	d.StartAt(start)
	add(d, guestBase+walkRing)
	image := mem[:walkImage]
	for len(image) > 0 && image[len(image)-1] == 0 {
		image = image[:len(image)-1]
	}
	return walkInput{image, layout, sizeLog, start, true}
}

func (in *walkInput) encode() string {
	return fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n[]byte(%q)\nbyte(%q)\nuint16(%d)\nbool(%v)\n",
		in.image, in.layout, in.sizeLog, in.next, in.indirect)
}

// The seeds in testdata are those of walkSeeds (-update writes them), besides what fuzzing
// has found.
func TestWalkSeeds(t *testing.T) {
	for name, in := range walkSeeds() {
		checkSeed(t, "FuzzWalk", name, in.encode())
	}
}

// checkSeed compares a named seed with its file, or writes it.
func checkSeed(t *testing.T, target, name, content string) {
	t.Helper()
	dir := filepath.Join("testdata/fuzz", target)
	path := filepath.Join(dir, strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(name))
	if *update {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != content {
		t.Errorf("%s is not up to date (%v): go test -run Seeds -update", path, err)
	}
}

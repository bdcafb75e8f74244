// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"math"

	"vhost-user-9p/virtqueue/virtqtest"
)

// hostileSize is the ring size that the hostile chains are made for.
const hostileSize = 8

// hostile are chains that no driver should make, each with what is wrong in the words of
// the error. They begin at descriptor 3 of the ring, and may use memory from data on up to
// data+hostileData; there is none at 0 and at the top.
var hostile = map[string]struct {
	want string
	make func(d *virtqtest.Driver, data uint64)
}{
	"loop of one": {"longer than its table", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 3})
	}},
	"loop of two": {"longer than its table", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 5})
		d.SetDesc(d.Desc, 5, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 3})
	}},
	"loop of empty buffers": {"longer than its table", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Flags: virtqtest.Next, Next: 3})
	}},
	"loop in a table": {"longer than its table", func(d *virtqtest.Driver, data uint64) {
		table(d, data, 2)
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 1})
		d.SetDesc(data, 1, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 0})
	}},
	"next is the ring's size": {"next descriptor out of range", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: hostileSize})
	}},
	"next is far out": {"next descriptor out of range", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 0xffff})
	}},
	"next is the table's size": {"next descriptor out of range", func(d *virtqtest.Driver, data uint64) {
		table(d, data, 2) // shorter than the ring
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next, Next: 2})
	}},
	"readable after writable": {"device-readable descriptor after", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next | virtqtest.Write, Next: 4})
		d.SetDesc(d.Desc, 4, virtqtest.Desc{Addr: data, Len: 1})
	}},
	"readable after empty writable": {"device-readable descriptor after", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Flags: virtqtest.Next | virtqtest.Write, Next: 4})
		d.SetDesc(d.Desc, 4, virtqtest.Desc{Addr: data, Len: 1})
	}},
	"readable in a table after writable in the ring": {"device-readable descriptor after", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 1, Flags: virtqtest.Next | virtqtest.Write, Next: 4})
		d.SetDesc(d.Desc, 4, virtqtest.Desc{Addr: data, Len: 16, Flags: virtqtest.Indirect})
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 1})
	}},
	"buffer at 0":           unmapped(0, 1),
	"buffer at the top":     unmapped(math.MaxUint64, 1),
	"buffer around the top": unmapped(math.MaxUint64-7, 16),
	"buffer of 4 GiB at 0":  unmapped(0, math.MaxUint32),
	"buffer runs out of memory": {"outside guest memory", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data + hostileData - 8, Len: 9})
	}},
	"buffer of 2 GiB runs out of memory": {"outside guest memory", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: math.MaxInt32})
	}},
	"buffer of 4 GiB": {"more than 2 GiB", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: math.MaxUint32})
	}},
	"buffers of 2 GiB in all": {"more than 2 GiB", func(d *virtqtest.Driver, data uint64) {
		table(d, data, 1024)
		for i := range 1024 {
			d.SetDesc(data, i, virtqtest.Desc{Addr: data, Len: 2<<20 + 1, Flags: virtqtest.Next, Next: uint16(i + 1)})
		}
	}},
	"second buffer not mapped": {"outside guest memory", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 16, Flags: virtqtest.Next | virtqtest.Write, Next: 4})
		d.SetDesc(d.Desc, 4, virtqtest.Desc{Addr: 0, Len: 16, Flags: virtqtest.Write})
	}},
	"nested tables": {"inside an indirect table", func(d *virtqtest.Driver, data uint64) {
		table(d, data, 2)
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 16, Flags: virtqtest.Next, Next: 1})
		d.SetDesc(data, 1, virtqtest.Desc{Addr: data + 16, Len: 16, Flags: virtqtest.Indirect})
	}},
	"table that is itself": {"inside an indirect table", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: d.Desc + 3*16, Len: 16, Flags: virtqtest.Indirect})
	}},
	"table with a next one": {"with a next one", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: 16, Flags: virtqtest.Indirect | virtqtest.Next, Next: 4})
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 16})
		d.SetDesc(d.Desc, 4, virtqtest.Desc{Addr: data, Len: 16})
	}},
	"adjacent buffers and next is the table's size": adjacent("next descriptor out of range", 0,
		virtqtest.Desc{Len: 16, Flags: virtqtest.Next, Next: adjacentLen + 1}),
	"adjacent buffers and next is the first": adjacent("longer than its table", 0,
		virtqtest.Desc{Len: 16, Flags: virtqtest.Next, Next: 0}),
	"adjacent buffers and next is itself, empty": adjacent("longer than its table", virtqtest.Write,
		virtqtest.Desc{Flags: virtqtest.Next | virtqtest.Write, Next: adjacentLen}),
	"adjacent buffers and a nested table": adjacent("inside an indirect table", 0,
		virtqtest.Desc{Len: 16, Flags: virtqtest.Indirect}),
	"adjacent writable buffers and a readable one": adjacent("device-readable descriptor after", virtqtest.Write,
		virtqtest.Desc{Len: 16}),
	"adjacent buffers run out of memory": adjacent("outside guest memory", 0,
		virtqtest.Desc{Len: hostileData, Flags: virtqtest.Next, Next: 1}),

	"table of length 0":         tableLength(0),
	"table of length 15":        tableLength(15),
	"table of length 17":        tableLength(17),
	"table of 1025 descriptors": tableLength(16 * 1025),
	"table of 4 GiB":            tableLength(math.MaxUint32 &^ 15),
	"table at 0":                tableAt(0),
	"table at the top":          tableAt(math.MaxUint64 - 7),
	"table runs out of memory": {"indirect table outside", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(data+hostileData-16, 0, virtqtest.Desc{Addr: data, Len: 1})
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data + hostileData - 16, Len: 32, Flags: virtqtest.Indirect})
	}},
}

// adjacentLen is the number of buffers that adjacent begins with.
const adjacentLen = 10

// adjacent is a table of buffers that lie one behind the other, with the flags of their direction, and
// of one more behind them, of which the address is filled in.
func adjacent(want string, flags uint16, last virtqtest.Desc) hostileChain {
	return hostileChain{want, func(d *virtqtest.Driver, data uint64) {
		table(d, data, adjacentLen+1)
		at := data + page
		for i := range adjacentLen {
			d.SetDesc(data, i, virtqtest.Desc{Addr: at, Len: 16, Flags: flags | virtqtest.Next, Next: uint16(i + 1)})
			at += 16
		}
		last.Addr = at
		d.SetDesc(data, adjacentLen, last)
	}}
}

// hostileData is what there is of memory from data on.
const hostileData = 4 << 20

type hostileChain = struct {
	want string
	make func(d *virtqtest.Driver, data uint64)
}

// table makes descriptor 3 refer to a table of n descriptors at data.
func table(d *virtqtest.Driver, data uint64, n int) {
	d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: uint32(16 * n), Flags: virtqtest.Indirect})
}

func unmapped(addr uint64, n uint32) hostileChain {
	want := "outside guest memory"
	if n > math.MaxInt32 {
		want = "more than 2 GiB"
	}
	return hostileChain{want, func(d *virtqtest.Driver, _ uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: addr, Len: n, Flags: virtqtest.Write})
	}}
}

func tableLength(n uint32) hostileChain {
	return hostileChain{"length of an indirect table", func(d *virtqtest.Driver, data uint64) {
		d.SetDesc(data, 0, virtqtest.Desc{Addr: data, Len: 1})
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: data, Len: n, Flags: virtqtest.Indirect})
	}}
}

func tableAt(addr uint64) hostileChain {
	return hostileChain{"indirect table outside", func(d *virtqtest.Driver, _ uint64) {
		d.SetDesc(d.Desc, 3, virtqtest.Desc{Addr: addr, Len: 16, Flags: virtqtest.Indirect})
	}}
}

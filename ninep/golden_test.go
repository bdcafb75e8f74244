// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// golden are messages and their bytes, written down by hand from the field lists
// of the protocol documents and of the Linux client. The tag is always 0x0201.
var golden = append(goldenL[:len(goldenL):len(goldenL)], goldenU...)

type goldenMessage struct {
	m    Message
	wire string
}

var goldenL = []goldenMessage{
	{&Tversion{Msize: 8192, Version: Name("9P2000.L")},
		"15000000 64 0102 00200000 0800 39503230 30302e4c"},
	{&Rversion{Msize: 8192, Version: Name("9P2000.L")},
		"15000000 65 0102 00200000 0800 39503230 30302e4c"},
	{&Tauth{AFID: 1, UName: Name("u"), AName: Name("a"), NUName: 0x3e8},
		"15000000 66 0102 01000000 0100 75 0100 61 e8030000"},
	{&Tattach{FID: 1, AFID: NoFID, UName: Name("nobody"), AName: Name("/x"), NUName: 0x3e8},
		"1f000000 68 0102 01000000 ffffffff 0600 6e6f626f6479 0200 2f78 e8030000"},
	{&Rattach{QID: QID{Type: QTDir, Version: 0x11223344, Path: 0x1122334455667788}},
		"14000000 69 0102 80 44332211 8877665544332211"},
	{&Rlerror{Ecode: uint32(unix.ENOENT)},
		"0b000000 07 0102 02000000"},
	{&Tflush{OldTag: 0xbeef},
		"09000000 6c 0102 efbe"},
	{&Rflush{},
		"07000000 6d 0102"},
	{&Twalk{FID: 1, NewFID: 2, Names: []Name{}},
		"11000000 6e 0102 01000000 02000000 0000"},
	{&Twalk{FID: 1, NewFID: 2, Names: []Name{Name("a"), Name("..")}},
		"18000000 6e 0102 01000000 02000000 0200 0100 61 0200 2e2e"},
	{&Rwalk{QIDs: []QID{{Type: QTDir, Version: 1, Path: 2}, {Type: QTSymlink, Version: 3, Path: 4}}},
		"23000000 6f 0102 0200 80 01000000 0200000000000000 02 03000000 0400000000000000"},
	{&Tclunk{FID: 1},
		"0b000000 78 0102 01000000"},
	{&Rclunk{},
		"07000000 79 0102"},
	{&Tremove{FID: 1},
		"0b000000 7a 0102 01000000"},
	{&Rremove{},
		"07000000 7b 0102"},

	{&Tlopen{FID: 1, Flags: unix.O_RDWR | unix.O_LARGEFILE | 0o100000},
		"0f000000 0c 0102 01000000 02800000"},
	{&Rlopen{QID: QID{Version: 1, Path: 2}, IOUnit: 0x1000},
		"18000000 0d 0102 00 01000000 0200000000000000 00100000"},
	{&Tlcreate{FID: 1, Name: Name("new"), Flags: 0o302, Mode: 0o644, GID: 5},
		"1c000000 0e 0102 01000000 0300 6e6577 c2000000 a4010000 05000000"},
	{&Rlcreate{QID: QID{Version: 1, Path: 2}, IOUnit: 0x1000},
		"18000000 0f 0102 00 01000000 0200000000000000 00100000"},
	{&Tread{FID: 1, Offset: 0x1122334455667788, Count: 4096},
		"17000000 74 0102 01000000 8877665544332211 00100000"},
	{&Rread{Data: []byte("data")},
		"0f000000 75 0102 04000000 64617461"},
	{&Twrite{FID: 1, Offset: 0x1122334455667788, Count: 4, Data: []byte("data")},
		"1b000000 76 0102 01000000 8877665544332211 04000000 64617461"},
	{&Rwrite{Count: 4},
		"0b000000 77 0102 04000000"},
	{&Treaddir{FID: 1, Offset: 3, Count: 4096},
		"17000000 28 0102 01000000 0300000000000000 00100000"},
	{&Rreaddir{Data: []byte{}},
		"0b000000 29 0102 00000000"},
	{&Tfsync{FID: 1, DataSync: 1},
		"0f000000 32 0102 01000000 01000000"},
	{&Rfsync{},
		"07000000 33 0102"},
	{&Tlock{FID: 1, Lock: Lock{Type: LockWrite, Flags: LockFlagBlock, Start: 2, Length: 3, ProcID: 4, ClientID: Name("host")}},
		"2a000000 34 0102 01000000 01 01000000 0200000000000000 0300000000000000 04000000 0400 686f7374"},
	{&Rlock{Status: LockBlocked},
		"08000000 35 0102 01"},
	{&Tgetlock{FID: 1, Lock: Lock{Type: LockRead, Start: 2, Length: 3, ProcID: 4, ClientID: Name("host")}},
		"26000000 36 0102 01000000 00 0200000000000000 0300000000000000 04000000 0400 686f7374"},
	{&Rgetlock{Lock: Lock{Type: LockUnlock, Start: 2, Length: 3, ProcID: 4, ClientID: Name("host")}},
		"22000000 37 0102 02 0200000000000000 0300000000000000 04000000 0400 686f7374"},

	{&Tgetattr{FID: 1, Mask: AttrBasic},
		"13000000 18 0102 01000000 ff07000000000000"},
	{&Rgetattr{Attr: Attr{
		Valid: AttrBasic, QID: QID{Version: 1, Path: 2}, Mode: 0o100644, UID: 3, GID: 4, NLink: 5,
		RDev: 6, Size: 7, BlkSize: 8, Blocks: 9, ATime: Time{10, 11}, MTime: Time{12, 13},
		CTime: Time{14, 15}, BTime: Time{16, 17}, Gen: 18, DataVersion: 19,
	}},
		"a0000000 19 0102 ff07000000000000 00 01000000 0200000000000000 a4810000 03000000 04000000" +
			"0500000000000000 0600000000000000 0700000000000000 0800000000000000 0900000000000000" +
			"0a00000000000000 0b00000000000000 0c00000000000000 0d00000000000000" +
			"0e00000000000000 0f00000000000000 1000000000000000 1100000000000000" +
			"1200000000000000 1300000000000000"},
	{&Tsetattr{FID: 1, Set: SetAttr{
		Valid: SetMode | SetMTimeSet, Mode: 0o600, UID: 3, GID: 4, Size: 5, ATime: Time{6, 7}, MTime: Time{-1, 999999999},
	}},
		"43000000 1a 0102 01000000 01010000 80010000 03000000 04000000 0500000000000000" +
			"0600000000000000 0700000000000000 ffffffffffffffff ffc99a3b00000000"},
	{&Rsetattr{},
		"07000000 1b 0102"},
	{&Tstatfs{FID: 1},
		"0b000000 08 0102 01000000"},
	{&Rstatfs{StatFS: StatFS{Type: 0x01021997, BSize: 4096, Blocks: 1, BFree: 2, BAvail: 3, Files: 4, FFree: 5, FSID: 6, NameLen: 255}},
		"43000000 09 0102 97190201 00100000 0100000000000000 0200000000000000 0300000000000000" +
			"0400000000000000 0500000000000000 0600000000000000 ff000000"},
	{&Txattrwalk{FID: 1, NewFID: 2, Name: Name("user.a")},
		"17000000 1e 0102 01000000 02000000 0600 757365722e61"},
	{&Rxattrwalk{Size: 3},
		"0f000000 1f 0102 0300000000000000"},
	{&Txattrcreate{FID: 1, Name: Name("user.a"), Size: 3, Flags: 2},
		"1f000000 20 0102 01000000 0600 757365722e61 0300000000000000 02000000"},
	{&Rxattrcreate{},
		"07000000 21 0102"},

	{&Tsymlink{DFID: 1, Name: Name("l"), Target: Name("to"), GID: 5},
		"16000000 10 0102 01000000 0100 6c 0200 746f 05000000"},
	{&Rsymlink{QID: QID{Type: QTSymlink, Version: 1, Path: 2}},
		"14000000 11 0102 02 01000000 0200000000000000"},
	{&Tmknod{DFID: 1, Name: Name("n"), Mode: 0o20600, Major: 5, Minor: 6, GID: 7},
		"1e000000 12 0102 01000000 0100 6e 80210000 05000000 06000000 07000000"},
	{&Rmknod{QID: QID{Version: 1, Path: 2}},
		"14000000 13 0102 00 01000000 0200000000000000"},
	{&Trename{FID: 1, DFID: 2, Name: Name("n")},
		"12000000 14 0102 01000000 02000000 0100 6e"},
	{&Rrename{},
		"07000000 15 0102"},
	{&Treadlink{FID: 1},
		"0b000000 16 0102 01000000"},
	{&Rreadlink{Target: Name("to")},
		"0b000000 17 0102 0200 746f"},
	{&Tlink{DFID: 1, FID: 2, Name: Name("n")},
		"12000000 46 0102 01000000 02000000 0100 6e"},
	{&Rlink{},
		"07000000 47 0102"},
	{&Tmkdir{DFID: 1, Name: Name("d"), Mode: 0o755, GID: 5},
		"16000000 48 0102 01000000 0100 64 ed010000 05000000"},
	{&Rmkdir{QID: QID{Type: QTDir, Version: 1, Path: 2}},
		"14000000 49 0102 80 01000000 0200000000000000"},
	{&Trenameat{OldDFID: 1, OldName: Name("a"), NewDFID: 2, NewName: Name("b")},
		"15000000 4a 0102 01000000 0100 61 02000000 0100 62"},
	{&Rrenameat{},
		"07000000 4b 0102"},
	{&Tunlinkat{DFID: 1, Name: Name("n"), Flags: unix.AT_REMOVEDIR},
		"12000000 4c 0102 01000000 0100 6e 00020000"},
	{&Runlinkat{},
		"07000000 4d 0102"},
}

// statU is a Stat of 9P2000.u, stat9P the same in 9P2000.
var statU = Stat{
	Type: 1, Dev: 2, QID: QID{QTDir, 3, 4}, Mode: DMDir | 0o755, ATime: 5, MTime: 6, Length: 7,
	Name: Name("d"), UID: Name("10"), GID: Name("11"), MUID: Name(""), Extension: Name("HARDLINKCOUNT 2"),
	NUID: 10, NGID: 11, NMUID: NoUID,
}

var stat9P = func() Stat {
	st := statU
	st.Extension, st.NUID, st.NGID, st.NMUID = nil, NoUID, NoUID, NoUID
	return st
}()

// newName is what renames a file, in either.
func newName(ext Name) Stat {
	st := NullStat()
	st.Name, st.UID, st.GID, st.MUID, st.Extension = Name("n"), Name(""), Name(""), Name(""), ext
	return st
}

const (
	statHead = "0100 02000000 80 03000000 0400000000000000 ed010080 05000000 06000000 0700000000000000" +
		"0100 64 0200 3130 0200 3131 0000"
	nullHead = "ffff ffffffff ff ffffffff ffffffffffffffff ffffffff ffffffff ffffffff ffffffffffffffff" +
		"0100 6e 0000 0000 0000"
)

// goldenU are messages of 9P2000.u.
var goldenU = []goldenMessage{
	{&Rerror{EName: Name("No such file or directory"), Errno: 2},
		"26000000 6b 0102 1900 4e6f2073756368 2066696c65 206f72 206469726563746f7279 02000000"},
	{&Topen{FID: 1, Mode: OWrite | OTrunc},
		"0c000000 70 0102 01000000 11"},
	{&Ropen{QID: QID{Version: 1, Path: 2}, IOUnit: 0x1000},
		"18000000 71 0102 00 01000000 0200000000000000 00100000"},
	{&Tcreate{FID: 1, Name: Name("new"), Perm: DMSymlink | 0o777, Mode: ORead, Extension: Name("to")},
		"19000000 72 0102 01000000 0300 6e6577 ff010002 00 0200 746f"},
	{&Rcreate{QID: QID{Version: 1, Path: 2}, IOUnit: 0x1000},
		"18000000 73 0102 00 01000000 0200000000000000 00100000"},
	{&Tstat{FID: 1},
		"0b000000 7c 0102 01000000"},
	{&Rstat{Stat: statU},
		"5c000000 7d 0102 5300 5100" + statHead + "0f00 48415244 4c494e4b 434f554e 542032 0a000000 0b000000 ffffffff"},
	{&Twstat{FID: 1, Stat: newName(Name(""))},
		"4d000000 7e 0102 01000000 4000 3e00" + nullHead + "0000 ffffffff ffffffff ffffffff"},
	{&Rwstat{},
		"07000000 7f 0102"},
}

// golden9P are the messages that are other ones in 9P2000.
var golden9P = []goldenMessage{
	{&Tauth{AFID: 1, UName: Name("u"), AName: Name("a")},
		"11000000 66 0102 01000000 0100 75 0100 61"},
	{&Tattach{FID: 1, AFID: NoFID, UName: Name("root"), AName: Name("")},
		"17000000 68 0102 01000000 ffffffff 0400 726f6f74 0000"},
	{&Rerror{EName: Name("No such file or directory")},
		"22000000 6b 0102 1900 4e6f2073756368 2066696c65 206f72 206469726563746f7279"},
	{&Tcreate{FID: 1, Name: Name("new"), Perm: DMDir | 0o755},
		"15000000 72 0102 01000000 0300 6e6577 ed010080 00"},
	{&Rstat{Stat: stat9P},
		"3f000000 7d 0102 3600 3400" + statHead},
	{&Twstat{FID: 1, Stat: newName(nil)},
		"3f000000 7e 0102 01000000 3200 3000" + nullHead},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T)       { testGolden(t, Dialect2000L, goldenL) }
func TestGoldenU(t *testing.T)      { testGolden(t, Dialect2000U, goldenU) }
func TestGolden9P2000(t *testing.T) { testGolden(t, Dialect2000, golden9P) }

func testGolden(t *testing.T, d Dialect, golden []goldenMessage) {
	for _, g := range golden {
		name := reflect.TypeOf(g.m).Elem().Name()
		t.Run(name, func(t *testing.T) {
			want := unhex(t, g.wire)
			got, err := d.AppendMessage(nil, 0x0201, g.m)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("encoded\n% x, want\n% x", got, want)
			}
			if g.m.Type().String() != name {
				t.Errorf("type is called %v", g.m.Type())
			}
			back := newMessage(g.m)
			tag, err := d.ParseMessage(want, back)
			if err != nil || tag != 0x0201 {
				t.Fatalf("tag %#x, %v", tag, err)
			}
			if !reflect.DeepEqual(back, g.m) {
				t.Errorf("decoded %+v, want %+v", back, g.m)
			}
			// A message of any other length is none.
			for n := range want {
				cut := bytes.Clone(want[:n])
				if n >= headerSize {
					putHeader(cut, n, g.m.Type(), 0x0201)
				}
				if shortForm(g.m.Type(), n) {
					continue
				}
				if _, err := d.ParseMessage(cut, newMessage(g.m)); err != unix.EBADMSG {
					t.Errorf("%d of %d bytes: %v", n, len(want), err)
				}
			}
			long := append(bytes.Clone(want), 0)
			putHeader(long, len(long), g.m.Type(), 0x0201)
			if _, err := d.ParseMessage(long, newMessage(g.m)); err != unix.EBADMSG {
				t.Errorf("one byte too many: %v", err)
			}
		})
	}
}

// shortForm reports whether n bytes are a message too: the Tfsync of TestShortFsync.
func shortForm(t MsgType, n int) bool { return t == MsgTfsync && n == 11 }

// TestShortFsync decodes what clients send that know no datasync.
func TestShortFsync(t *testing.T) {
	var m Tfsync
	tag, err := ParseMessage(unhex(t, "0b000000 32 0102 01000000"), &m)
	if err != nil || tag != 0x0201 || m != (Tfsync{FID: 1}) {
		t.Errorf("decoded %+v with tag %#x, %v", m, tag, err)
	}
}

// newMessage returns an empty message of m's type that can be decoded to.
func newMessage(m Message) Message {
	n := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
	switch n := n.(type) {
	case *Twalk:
		n.Names = make([]Name, 0, maxWalkNames)
	case *Rwalk:
		n.QIDs = make([]QID, 0, maxWalkNames)
	}
	return n
}

func TestEveryOperationHasGoldenBytes(t *testing.T) {
	seen := map[MsgType]bool{}
	for _, g := range golden {
		seen[g.m.Type()] = true
	}
	for _, o := range ops[1:] {
		if !seen[o.typ] {
			t.Errorf("no golden bytes for %v", o.typ)
		}
		if o.run != nil && !seen[o.typ+1] {
			t.Errorf("no golden bytes for %v", o.typ+1)
		}
	}
}

// TestSizesOfStatsAreNotTrusted takes what clients send that miscount.
func TestSizesOfStatsAreNotTrusted(t *testing.T) {
	for _, sizes := range []string{"0000 0000", "ffff ffff", "4200 4000"} {
		wire := "4d000000 7e 0102 01000000" + sizes + nullHead + "0000 ffffffff ffffffff ffffffff"
		var m Twstat
		if _, err := Dialect2000U.ParseMessage(unhex(t, wire), &m); err != nil || string(m.Stat.Name) != "n" {
			t.Errorf("sizes %s: %v", sizes, err)
		}
	}
}

func TestBaseHasNoSymlinks(t *testing.T) {
	r := &Rwalk{QIDs: []QID{{QTDir, 1, 2}, {QTSymlink, 3, 4}}}
	got, err := Dialect2000.AppendMessage(nil, 0x0201, r)
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, "23000000 6f 0102 0200 80 01000000 0200000000000000 00 03000000 0400000000000000"); !bytes.Equal(got, want) {
		t.Errorf("encoded\n% x, want\n% x", got, want)
	}
	if r.QIDs[1].Type != QTSymlink {
		t.Error("encoding has changed the message")
	}
}

func TestParseStat(t *testing.T) {
	for d, wire := range map[Dialect]string{
		Dialect2000U: "5100" + statHead + "0f00 48415244 4c494e4b 434f554e 542032 0a000000 0b000000 ffffffff",
		Dialect2000:  "3400" + statHead,
	} {
		one := unhex(t, wire)
		var st Stat
		rest, ok := d.ParseStat(append(bytes.Clone(one), one...), &st)
		if !ok || !bytes.Equal(rest, one) || string(st.Name) != "d" || st.Length != 7 {
			t.Errorf("%v: %+v, rest % x", d, st, rest)
		}
		for n := range one {
			if _, ok := d.ParseStat(one[:n], &st); ok {
				t.Errorf("%v: %d of %d bytes are a stat", d, n, len(one))
			}
		}
	}
}

func TestDirWriter(t *testing.T) {
	const first = "80 01000000 0200000000000000 0300000000000000 04 0100 2e"
	const second = "00 05000000 0600000000000000 0700000000000000 08 0300 616263"
	want := unhex(t, first+second)
	w := NewDirWriter(make([]byte, len(want)+24))
	if !w.Add(QID{QTDir, 1, 2}, 3, unix.DT_DIR, []byte(".")) || !w.Add(QID{QTFile, 5, 6}, 7, unix.DT_REG, []byte("abc")) {
		t.Fatal("entries do not fit")
	}
	if w.Remaining() != 24 {
		t.Errorf("%d bytes remain", w.Remaining())
	}
	if w.Add(QID{}, 9, 0, []byte("x")) {
		t.Error("an entry of 25 bytes fits in 24")
	}
	if !bytes.Equal(w.Bytes(), want) {
		t.Fatalf("encoded\n% x, want\n% x", w.Bytes(), want)
	}
	var e DirEntry
	rest, ok := ParseDirEntry(want, &e)
	if !ok || e.Offset != 3 || string(e.Name) != "." {
		t.Fatalf("%+v", e)
	}
	if rest, ok = ParseDirEntry(rest, &e); !ok || len(rest) != 0 || string(e.Name) != "abc" || e.QID != (QID{QTFile, 5, 6}) {
		t.Fatalf("%+v", e)
	}
	if _, ok = ParseDirEntry(want[:24], &e); ok {
		t.Error("decoded a part of an entry")
	}
}

// An Rgetattr is encoded by hand, which is to be what the list of its fields says.
func TestAttrPut(t *testing.T) {
	at := func(n int64) Time { return Time{Sec: -n<<40 - 1, Nsec: uint32(n) * 0x01020304} }
	a := Attr{
		Valid: 0x0102030405060708, QID: QID{QTSymlink, 0x11121314, 0x2122232425262728},
		Mode: 0x31323334, UID: 0x41424344, GID: 0x51525354, NLink: 0x6162636465666768,
		RDev: 0x7172737475767778, Size: 0x8182838485868788, BlkSize: 0x9192939495969798,
		Blocks: 0xa1a2a3a4a5a6a7a8, ATime: at(1), MTime: at(2), CTime: at(3), BTime: at(4),
		Gen: 0xb1b2b3b4b5b6b7b8, DataVersion: 0xc1c2c3c4c5c6c7c8,
	}
	c := coder{b: make([]byte, 2*attrSize), enc: true}
	a.fields(&c)
	got := make([]byte, attrSize)
	a.put(got)
	if want := c.b[:c.off]; !bytes.Equal(got, want) {
		t.Errorf("encoded\n% x, want\n% x", got, want)
	}
}

func TestDev(t *testing.T) {
	for _, d := range []struct {
		major, minor uint32
		wire         uint64
	}{
		{0, 0, 0},
		{8, 1, 0x801},
		{8, 0x100, 0x100800}, // minor numbers from 256 on go above the major
		{0xfff, 0xfffff, 0xffffffff},
		{259, 0x12345, 0x12310345},
	} {
		if got := EncodeDev(d.major, d.minor); got != d.wire {
			t.Errorf("EncodeDev(%#x, %#x) = %#x, want %#x", d.major, d.minor, got, d.wire)
		}
		if major, minor := DecodeDev(d.wire); major != d.major || minor != d.minor {
			t.Errorf("DecodeDev(%#x) = %#x, %#x", d.wire, major, minor)
		}
	}
}

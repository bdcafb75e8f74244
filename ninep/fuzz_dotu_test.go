// SPDX-License-Identifier: Apache-2.0

package ninep_test

import (
	"strings"

	"vhost-user-9p/ninep"
)

// fuzzSeedsU is the part of the corpus that speaks 9P2000.u or 9P2000: as fuzzSeeds.
func fuzzSeedsU() map[string][]byte {
	n := func(s string) ninep.Name { return ninep.Name(s) }
	create := func(name string, perm ninep.Perm, mode ninep.OpenMode, ext string) []ninep.Message {
		return []ninep.Message{
			&ninep.Twalk{FID: 0, NewFID: 1},
			&ninep.Tcreate{FID: 1, Name: n(name), Perm: perm, Mode: mode, Extension: n(ext)},
		}
	}
	wstat := func(fid uint32, change func(*ninep.Stat)) ninep.Message {
		m := &ninep.Twstat{FID: fid, Stat: ninep.NullStat()}
		change(&m.Stat)
		return m
	}
	then := func(mode byte, before []ninep.Message, msgs ...ninep.Message) []byte {
		return session(mode, append(before[:len(before):len(before)], msgs...)...)
	}
	file := create("f", 0o644, ninep.ORdWr, "")
	list := []ninep.Message{
		&ninep.Twalk{FID: 0, NewFID: 2},
		&ninep.Topen{FID: 2},
		&ninep.Tread{FID: 2, Count: 4000},
		&ninep.Tread{FID: 2, Offset: 90, Count: 4000},
		&ninep.Tread{FID: 2, Offset: 7, Count: 4000},
		&ninep.Tread{FID: 2, Offset: 0, Count: 1},
	}
	all := append(append(file[:2:2],
		&ninep.Twrite{FID: 1, Data: []byte("data")},
		&ninep.Tread{FID: 1, Count: 100},
		&ninep.Tstat{FID: 1},
		wstat(1, func(st *ninep.Stat) { st.Name, st.MUID = n("g"), n("nobody") }),
		wstat(1, func(st *ninep.Stat) { st.Name, st.Mode, st.Length = n("h"), 0o600, 2 }),
		wstat(1, func(*ninep.Stat) {}),
	), list...)
	return map[string][]byte{
		"u_attach":      session(fuzzU, &ninep.Tattach{FID: 1, AFID: ninep.NoFID, UName: n("u"), NUName: 1000}),
		"u_file":        session(fuzzU, all...),
		"u_dir":         then(fuzzU, create("d", ninep.DMDir|0o755, 0, ""), list...),
		"u_symlink":     then(fuzzU, create("l", ninep.DMSymlink|0o777, 0, "to"), append(list, &ninep.Tstat{FID: 1})...),
		"u_device":      then(fuzzU, create("n", ninep.DMDevice|0o600, 0, "c 1 3"), &ninep.Tstat{FID: 1}),
		"u_fifo":        then(fuzzU, create("p", ninep.DMNamedPipe|0o600, 0, ""), &ninep.Topen{FID: 1}),
		"u_socket":      then(fuzzU, create("s", ninep.DMSocket|0o600, 0, ""), &ninep.Tremove{FID: 1}),
		"u_link":        then(fuzzU, file, &ninep.Twalk{FID: 0, NewFID: 3}, &ninep.Tcreate{FID: 3, Name: n("g"), Perm: ninep.DMLink, Extension: n("1\n")}),
		"u_rclose":      then(fuzzU, create("t", 0o600, ninep.OWrite|ninep.ORClose, ""), &ninep.Tclunk{FID: 1}),
		"u_rclose_left": session(fuzzU, create("t", 0o600, ninep.OWrite|ninep.ORClose, "")...),
		"u_open_modes":  then(fuzzU, file, &ninep.Tclunk{FID: 1}, &ninep.Twalk{NewFID: 1, Names: []ninep.Name{n("f")}}, &ninep.Topen{FID: 1, Mode: 0xff}, &ninep.Topen{FID: 1, Mode: ninep.OTrunc}, &ninep.Topen{FID: 1}),
		"u_read_only":   session(fuzzU|fuzzReadOnly, append(all, &ninep.Topen{FID: 0, Mode: ninep.ORClose})...),
		"u_late":        session(fuzzU|fuzzLate, all...),
		"u_little_room": session(fuzzU|fuzzLittle, all...),
		"base_file":     session(fuzzBase, all...),
		"base_attach":   session(fuzzBase, &ninep.Tattach{FID: 1, AFID: ninep.NoFID, UName: n("root")}, &ninep.Tattach{FID: 2, AFID: 1, UName: n("x")}),

		"hostile_u_link_to_itself":    session(fuzzU, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMLink, Extension: n("0")}),
		"hostile_u_link_nowhere":      session(fuzzU, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMLink, Extension: n("4294967295")}, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMLink, Extension: n("-1")}),
		"hostile_u_every_type":        session(fuzzU, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: 0xffffffff}, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMDir | ninep.DMSymlink}),
		"hostile_u_device_numbers":    session(fuzzU, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMDevice, Extension: n("c 4096 0")}, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMDevice, Extension: n("c  1 3")}),
		"hostile_u_target_too_long":   session(fuzzU, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMSymlink, Extension: n(strings.Repeat("t", 4096))}),
		"hostile_u_wstat_slash":       then(fuzzU, file, wstat(1, func(st *ninep.Stat) { st.Name = n("a/b") }), wstat(1, func(st *ninep.Stat) { st.Name = n("..") })),
		"hostile_u_wstat_root":        session(fuzzU, wstat(0, func(st *ninep.Stat) { st.Name = n("x") })),
		"hostile_u_wstat_sizes":       raw(fuzzU, 13, 0, 0, 0, 126, 1, 0, 0, 0, 0, 0, 0xff, 0xff),
		"hostile_u_stat_cut":          raw(fuzzU, 60, 0, 0, 0, 126, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"hostile_base_create_symlink": session(fuzzBase, &ninep.Tcreate{FID: 0, Name: n("g"), Perm: ninep.DMSymlink | 0o777}),
	}
}

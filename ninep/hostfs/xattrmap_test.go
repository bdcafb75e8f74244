// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func parseXattrMap(t testing.TB, text string) *XattrMap {
	t.Helper()
	m, err := ParseXattrMap(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseXattrMap(t *testing.T) {
	for _, c := range []struct{ text, say string }{
		{"", "there is no rule"},
		{" \n\t", "there is no rule"},
		{":", `rule 1 has no ":" after its type`},
		{":ok", `rule 1 has no ":" after its type`},
		{":ok:all", `rule 1 has no ":" after its scope`},
		{":ok:all:", `rule 1 has no ":" after its key`},
		{":ok:all::", `rule 1 has no ":" after its prepend`},
		{":ok:all:::x", `rule 2 has no "x" after its type`},
		{":ok:all:::/ok/all//:", `rule 2 has no "/" after its prepend`},
		{":good:all:::", `rule 1 has the type "good"`},
		{": ok:all:::", `rule 1 has the type " ok"`},
		{":ok:both:::", `rule 1 has the scope "both"`},
		{":ok:all:::  :bad:none:::", `rule 2 has the scope "none"`},
		{":map:", `rule 1 has no ":" after its key`},
		{":map:trusted.:", `rule 1 has no ":" after its prepend`},
		{":map:trusted.::", `rule 1 maps to no prefix`},
		{":map::user.x.::ok:all:::", `rule 1 is a map, which must be the last rule`},
		{":map::user.x.: :map::user.y.:", `rule 1 is a map, which must be the last rule`},
		{"é", `rule 1 begins with a character that is not ASCII`},
	} {
		if m, err := ParseXattrMap(c.text); err == nil || !strings.HasPrefix(err.Error(), c.say) {
			t.Errorf("%q: %v, %v, want %s", c.text, m, err, c.say)
		}
	}
	for text, rules := range map[string]int{
		":ok:all:::":                          1,
		"  :ok:all:::\n /bad/server//user./ ": 2,
		"xokxallxxx":                          1,
		":unsupported:client:security.selinux:::prefix:all:trusted.:user.t.::ok:all:::": 3,
		":map::user.guest.:":              2,
		":ok:all:user.:user.::map:a:b:\n": 5,
	} {
		if m, err := ParseXattrMap(text); err != nil || len(m.rules) != rules {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
}

// TestXattrMapRules has what virtiofsd's documentation says of its examples.
func TestXattrMapRules(t *testing.T) {
	const hidden = "-" // no name at all
	type names map[string]string
	for _, c := range []struct {
		rules string
		// From the guest's name to the host's, or the errno.
		toHost names
		// From the host's name to the guest's.
		toGuest names
	}{
		{
			":prefix:client:trusted.:user.virtiofs.:",
			names{"trusted.a": "user.virtiofs.trusted.a", "user.a": "EPERM"},
			names{"user.virtiofs.trusted.a": hidden, "user.a": hidden},
		},
		{
			":prefix:server::user.virtiofs.:",
			names{"trusted.a": "EPERM"},
			names{"user.virtiofs.trusted.a": "trusted.a", "user.virtiofs.": hidden, "trusted.a": hidden},
		},
		{":ok:client:user.::", names{"user.a": "user.a", "trusted.a": "EPERM"}, names{"user.a": hidden}},
		{":ok:server::security.:", names{"security.a": "EPERM"}, names{"security.a": "security.a", "user.a": hidden}},
		{":ok:all:::", names{"a": "a"}, names{"a": "a"}},
		{":bad:server::security.::ok:all:::", names{"security.a": "security.a"}, names{"security.a": hidden, "user.a": "user.a"}},
		{
			":prefix:all::user.virtiofs.::bad:all:::",
			names{"trusted.a": "user.virtiofs.trusted.a", "user.virtiofs.a": "user.virtiofs.user.virtiofs.a"},
			names{"user.virtiofs.trusted.a": "trusted.a", "trusted.a": hidden, "user.a": hidden},
		},
		{
			":map::user.virtiofs.:",
			names{"trusted.a": "user.virtiofs.trusted.a", "user.virtiofs.a": "user.virtiofs.user.virtiofs.a"},
			names{"user.virtiofs.trusted.a": "trusted.a", "trusted.a": hidden, "user.a": hidden},
		},
		{
			"/prefix/all/trusted./user.virtiofs./\n/bad/server//trusted./\n/bad/client/user.virtiofs.//\n/ok/all///",
			names{"trusted.a": "user.virtiofs.trusted.a", "user.virtiofs.trusted.a": "EPERM", "user.a": "user.a", "security.a": "security.a"},
			names{"user.virtiofs.trusted.a": "trusted.a", "trusted.a": hidden, "user.a": "user.a"},
		},
		{
			"/map/trusted./user.virtiofs./",
			names{"trusted.a": "user.virtiofs.trusted.a", "user.virtiofs.trusted.a": "EPERM", "user.a": "user.a", "security.a": "security.a"},
			names{"user.virtiofs.trusted.a": "trusted.a", "trusted.a": hidden, "user.a": "user.a"},
		},
		{
			"/bad/all/security./security./ /ok/all///",
			names{"security.a": "EPERM", "user.a": "user.a"},
			names{"security.a": hidden, "user.a": "user.a"},
		},
		{
			"/unsupported/all/security.selinux/security.selinux//ok/all///",
			names{"security.selinux": "ENOTSUP", "security.a": "security.a"},
			names{"security.selinux": hidden, "security.a": "security.a"},
		},
	} {
		m := parseXattrMap(t, c.rules)
		for name, want := range c.toHost {
			prepend, e := m.toHost([]byte(name))
			got := prepend + name
			if e != 0 {
				got = unix.ErrnoName(e)
			}
			if got != want {
				t.Errorf("%q: the guest's %s is %s, want %s", c.rules, name, got, want)
			}
		}
		for name, want := range c.toGuest {
			got, ok := m.toGuest([]byte(name))
			if !ok {
				got = []byte(hidden)
			}
			if string(got) != want {
				t.Errorf("%q: the host's %s is %s, want %s", c.rules, name, got, want)
			}
		}
	}
}

// TestXattrMap keeps the guest's attributes under names that need no privileges.
func TestXattrMap(t *testing.T) {
	r := newRigAt(t, t.TempDir(), Config{XattrMap: parseXattrMap(t, ":map::user.guest.:")})
	r.put("f", "")
	r.must(unix.Setxattr(r.path("f"), "user.host", []byte("h"), 0))
	f := r.walk("f")
	given := map[string]string{
		"user.a": "1", "user.host": "2", "trusted.a": "3", "security.selinux": "4",
		"system.posix_acl_access": "5", "user.virtfs.uid": "6", "user.virtfs.system.qidp.0": "7",
	}
	for name, value := range given {
		r.must(f.SetXattr(r.c, name, []byte(value), unix.XATTR_CREATE))
	}
	list, err := f.ListXattr(r.c)
	r.must(err)
	got := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	slices.Sort(got)
	if want := slices.Sorted(maps.Keys(given)); !slices.Equal(got, want) {
		t.Errorf("list %q, want %q", got, want)
	}
	for name, value := range given {
		v, err := f.GetXattr(r.c, ninep.Name(name))
		r.must(err)
		buf := make([]byte, 10)
		n, err := unix.Getxattr(r.path("f"), "user.guest."+name, buf)
		r.must(err)
		if string(v) != value || string(buf[:n]) != value {
			t.Errorf("%s: %q, on the host %q, want %q", name, v, buf[:n], value)
		}
		r.must(f.RemoveXattr(r.c, name))
		_, err = f.GetXattr(r.c, ninep.Name(name))
		r.want(err, unix.ENODATA)
	}
	if n, err := unix.Listxattr(r.path("f"), nil); err != nil || n != len("user.host")+1 {
		t.Errorf("%d bytes of names are left, %v", n, err)
	}
	// The longest name is the host's.
	longest := strings.Repeat("n", 255-len("user.guest."))
	r.must(f.SetXattr(r.c, longest, nil, 0))
	r.want(f.SetXattr(r.c, longest+"n", nil, 0), unix.ERANGE)
}

// TestXattrMapRefusals: what rules refuse cannot be written, and reads as absent.
func TestXattrMapRefusals(t *testing.T) {
	r := newRigAt(t, t.TempDir(), Config{XattrMap: parseXattrMap(t,
		":bad:all:user.bad:user.bad: :unsupported:all:user.no:user.no: :prefix:client:user.in:user.: :ok:all:user.:user.:")})
	r.put("f", "")
	for _, name := range []string{"user.bad", "user.no", "user.yes"} {
		r.must(unix.Setxattr(r.path("f"), name, []byte("v"), 0))
	}
	f := r.walk("f")
	for name, errnos := range map[string][2]unix.Errno{
		"user.bad": {unix.EPERM, unix.ENODATA}, "user.no": {unix.EOPNOTSUPP, unix.EOPNOTSUPP},
		"nomatch": {unix.EPERM, unix.ENODATA}, "system.posix_acl_access": {unix.EPERM, unix.ENODATA},
	} {
		r.want(f.SetXattr(r.c, name, []byte("w"), 0), errnos[0])
		r.want(f.RemoveXattr(r.c, name), errnos[0])
		_, err := f.GetXattr(r.c, ninep.Name(name))
		r.want(err, errnos[1])
	}
	if list, err := f.ListXattr(r.c); err != nil || string(list) != "user.yes\x00" {
		t.Errorf("list %q, %v", list, err)
	}
}

// TestXattrMapHidesTables: no rule leads to what the daemon keeps for itself.
func TestXattrMapHidesTables(t *testing.T) {
	for rules, name := range map[string]string{
		":ok:all:::": "user.virtfs.system.qidp.0",
		":prefix:all::user.virtfs.system.::ok:all:::":                                   "qidp.0",
		":prefix:all::user.: :ok:all:::":                                                "virtfs.system.qidp.0",
		":prefix:server::user.virtfs.: :prefix:client:system.:user.virtfs.: :ok:all:::": "system.qidp.0",
	} {
		r := newRigAt(t, t.TempDir(), Config{XattrMap: parseXattrMap(t, rules)})
		const table = "user.virtfs.system.qidp.0"
		r.must(unix.Setxattr(r.dir, table, []byte("table"), 0))
		if list, err := r.root.ListXattr(r.c); err != nil || strings.Contains(string(list), "qidp") {
			t.Errorf("%q: list %q, %v", rules, list, err)
		}
		_, err := r.root.GetXattr(r.c, ninep.Name(name))
		r.want(err, unix.ENODATA)
		r.want(r.root.SetXattr(r.c, name, []byte("forged"), 0), unix.EACCES)
		r.want(r.root.RemoveXattr(r.c, name), unix.EACCES)
		buf := make([]byte, 10)
		if n, err := unix.Getxattr(r.dir, table, buf); err != nil || string(buf[:n]) != "table" {
			t.Errorf("%q: the table is %q, %v", rules, buf[:n], err)
		}
	}
}

// TestXattrMapCapabilities: the kernel does not know capabilities under another name, so
// they are taken off where it would.
func TestXattrMapCapabilities(t *testing.T) {
	for change, do := range map[string]func(r *rig){
		"write":    func(r *rig) { r.write(r.open(unix.O_WRONLY, "f"), 0, "D") },
		"truncate": func(r *rig) { r.must(r.walk("f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize})) },
		"open":     func(r *rig) { r.open(unix.O_WRONLY|lTruncated, "f") },
		"create": func(r *rig) {
			_, err := r.walk().Create(r.c, ninep.Name("f"), unix.O_WRONLY|lTruncated, 0o600, 0)
			r.must(err)
		},
		"chown": func(r *rig) {
			r.must(r.walk("f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID, GID: r.attr(r.root).GID}))
		},
	} {
		t.Run(change, func(t *testing.T) {
			r := newRigAt(t, t.TempDir(), Config{XattrMap: parseXattrMap(t, ":map:security.:user.guest.:")})
			r.put("f", "data")
			f := r.walk("f")
			r.must(f.SetXattr(r.c, capXattr, []byte(capValue), 0))
			r.read(r.open(unix.O_RDONLY, "f"), 0, 4)
			if v, err := f.GetXattr(r.c, ninep.Name(capXattr)); err != nil || string(v) != capValue {
				t.Fatalf("%q, %v", v, err)
			}
			do(r)
			if _, err := f.GetXattr(r.c, ninep.Name(capXattr)); !errors.Is(err, unix.ENODATA) {
				t.Errorf("the capabilities are left: %v", err)
			}
			do(r)
		})
	}
}

func FuzzParseXattrMap(f *testing.F) {
	for _, seed := range []string{
		":ok:all:::", ":map::user.guest.:", "/map/trusted./user.virtiofs./", ":prefix:all::a::bad:all:::", "\xff", ":::::", " : ",
	} {
		f.Add(seed, "user.a")
	}
	f.Fuzz(func(t *testing.T, rules, name string) {
		m, err := ParseXattrMap(rules)
		if err != nil {
			return
		}
		if prepend, e := m.toHost([]byte(name)); e != 0 && prepend != "" {
			t.Errorf("%q and %v", prepend, e)
		}
		if guest, ok := m.toGuest([]byte(name)); ok && !strings.HasSuffix(name, string(guest)) {
			t.Errorf("%q has become %q", name, guest)
		}
	})
}

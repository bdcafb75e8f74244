// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// ownershipScript has what users, groups, ACLs and capabilities must do in the share, as on
// a local file system. "as ID GROUPS COMMAND..." runs a command as that user and group.
const ownershipScript = `
export LC_ALL=C
umask 022
as() { setpriv --reuid "$1" --regid "$1" --groups "$2" "${@:3}"; }
same() { # WHAT GOT WANT
	if [ "$2" != "$3" ]; then echo "FAIL $1: $2, want $3"; return 1; fi
}
refused() {
	if "$@"; then echo "FAIL: this was not refused: $*"; return 1; fi
}
mode() { same "mode of $1 $3" "$(stat -c %a "$1")" "$2"; }
owner() { same "owner of $1" "$(stat -c %u:%g "$1")" "$2"; }
caps() { same "capabilities of $1 $3" "$(getcap "$1")" "$2"; }

owners() {
	install -d -m 1777 all
	as 1000 1000 touch all/f
	as 1000 1000 mkdir all/d
	as 1000 1000 mkfifo all/p
	as 1000 1000 ln -s x all/l
	for n in f d p l; do owner all/$n 1000:1000; done
	as 1001 1001 cp all/f all/copy
	owner all/copy 1001:1001
	refused as 1001 1001 rm -f all/f
	as 1000 50 chgrp 50 all/f
	owner all/f 1000:50
	refused as 1000 1000 chgrp 51 all/f
	# A directory of a team, to which the user belongs by a group besides the first.
	install -d -g 50 -m 2770 team
	as 1000 50 touch team/f
	as 1000 50 mkdir team/d
	owner team/f 1000:50
	owner team/d 1000:50
	mode team/d 2755 "inherits the bit"
	refused as 1001 1001 touch team/g
	as 1001 50 mv team/f team/g
	as 1001 50 rm team/g
}

setids() {
	install -o 1000 -g 50 /dev/null p
	local before
	for before in 6775 4755; do
		chmod $before p
		echo root >>p
		mode p $before "after root has written"
		: >p
		mode p $before "after root has emptied it"
		as 1000 50 sh -c 'echo user >>p'
		mode p ${before#?} "after its user has written"
		chmod $before p
		as 1000 50 truncate -s 1 p
		mode p ${before#?} "after its user has truncated"
		chmod $before p
		as 1000 50 sh -c ': >p'
		mode p ${before#?} "after its user has emptied it"
		chmod $before p
		chown 1000:51 p
		mode p ${before#?} "after chown"
		chown 1000:50 p
	done
	as 1000 50 chmod 2755 p
	mode p 2755 "set by a member of the group"
	as 1000 1000 chmod 2755 p
	mode p 755 "set by who is not in the group"
}

capabilities() {
	cp /bin/cat program
	local want="program cap_net_bind_service=ep"
	give() { setcap cap_net_bind_service=ep program; caps program "$want" "$1"; }
	give "once set"
	as 1000 1000 ./program /proc/self/status | grep -qx 'CapEff:	0000000000000400'
	setcap -r program
	caps program "" "when removed"
	give "before a write"
	printf x >>program
	caps program "" "after root has written"
	give "before chown"
	chown 1000:1000 program
	caps program "" "after chown"
	give "before truncation"
	truncate -s 10 program
	caps program "" "after truncation"
	give "before a user's write"
	as 1000 1000 sh -c 'echo >>program'
	caps program "" "after a user has written"
	refused as 1000 1000 setcap cap_net_bind_service=ep program
	# For whom another user is root: of revision 3.
	setcap -n 1000 cap_net_bind_service=ep program
	same "of a namespace" "$(getcap -n program)" "program cap_net_bind_service=ep [rootid=1000]"
}

acls() {
	install -m 600 /dev/null acl
	setfacl -m u:1001:rw,g:50:r acl
	same "the ACL" "$(getfacl -nc acl | xargs)" "user::rw- user:1001:rw- group::--- group:50:r-- mask::rw- other::---"
	as 1001 1001 sh -c 'echo yes >>acl'
	as 1002 50 cat acl >/dev/null
	refused as 1002 50 sh -c 'echo no >>acl'
	refused as 1002 1002 cat acl
	chmod 640 acl
	refused as 1001 1001 sh -c 'echo no >>acl'
	setfacl -b acl
	same "without the ACL" "$(getfacl -nc acl | xargs)" "user::rw- group::--- other::---"
	mkdir defaults
	setfacl -m u:1001:rwx -d -m u:1001:rwx,g:50:rx defaults
	as 1001 1001 touch defaults/f
	as 1001 1001 mkdir defaults/d
	owner defaults/f 1001:1001
	same "an inherited ACL" "$(getfacl -nc defaults/f | xargs)" \
		"user::rw- user:1001:rwx #effective:rw- group::r-x #effective:r-- group:50:r-x #effective:r-- mask::rw- other::r--"
	same "an inherited default ACL" "$(getfacl -ncd defaults/d | xargs)" "$(getfacl -ncd defaults | xargs)"
	# A set-group-id directory stays one.
	install -d -o 1000 -g 50 -m 2770 groups
	as 1000 50 setfacl -m u:1002:rx groups
	mode groups 2770 "with an ACL"
}

attributes() {
	echo content >x
	local name
	for name in user.a trusted.a security.a; do
		setfattr -n $name -v value x
		same $name "$(getfattr --only-values -n $name x)" value
		setfattr -n $name -v other x
		same $name "$(getfattr --only-values -n $name x)" other
	done
	same "the list" "$(getfattr -m - x | grep -v '^#' | sort | xargs)" "security.a trusted.a user.a"
	as 1000 1000 getfattr -m - x >list
	same "a user's list" "$(grep -v '^#' list | xargs)" "security.a user.a"
	refused as 1000 1000 setfattr -n user.a -v no x
	for name in user.a trusted.a security.a; do setfattr -x $name x; done
	same "the empty list" "$(getfattr -m - x)" ""
	refused setfattr -x user.a x
	# Empty is not absent.
	setfattr -n user.empty x
	same "an empty value" "$(getfattr -n user.empty x | grep -v '^#' | xargs)" "user.empty="
	setfattr -x user.empty x
	refused getfattr -n user.empty x
}

hidden() { # what the daemon keeps for itself
	same "the root's list" "$(getfattr -m - . | grep -c virtfs)" 0
	refused getfattr -n user.virtfs.system.qidp.0 .
	refused setfattr -n user.virtfs.system.qidp.0 -v forged .
	setfattr -n user.virtfsx -v fine . && setfattr -x user.virtfsx .
}

sizes() { # LARGEST
	echo content >x
	local size
	for size in 1 4095 4096 4097 65535 65536; do
		((size <= $1)) || continue
		"$guest" xattr -n $size x
	done
}
`

// Under other names on the host, all names are the guest's.
const hiddenPart = "part hidden hidden\n"

const ownershipParts = `
part owners owners
part setids setids
part capabilities capabilities
part acls acls
part attributes attributes
`

func testOwnership(t *testing.T, export, script string, parts []string, check func(uid, gid uint32) (uint32, uint32), args ...string) {
	t.Helper()
	d := rig.StartDaemon(t, export, args...)
	g := rig.UML(t, d, rig.GuestConfig{Options: "posixacl", Script: ownershipScript + script})
	defer func() {
		for line := range strings.Lines(g.Stdout()) {
			if strings.HasPrefix(line, "FAIL") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}()
	for _, part := range parts {
		g.Part(part, time.Minute)
	}
	g.Wait(time.Minute)
	if check == nil {
		return
	}
	for name, ids := range map[string][2]uint32{"all/d": {1000, 1000}, "all/copy": {1001, 1001}, "team/d": {1000, 50}} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(export, name), &st); err != nil {
			t.Error(err)
			continue
		}
		if uid, gid := check(ids[0], ids[1]); st.Uid != uid || st.Gid != gid {
			t.Errorf("%s: %d:%d on the host, want %d:%d", name, st.Uid, st.Gid, uid, gid)
		}
	}
}

var ownershipPartNames = [...]string{"owners", "setids", "capabilities", "acls", "attributes"}

func TestUMLOwnership(t *testing.T) {
	rig.NeedRoot(t)
	testOwnership(t, rig.Export(t), ownershipParts+hiddenPart, append(ownershipPartNames[:], "hidden"),
		func(uid, gid uint32) (uint32, uint32) { return uid, gid })
}

// TestUMLMappedOwnership: in the guest all is the same where its users are others of the
// host.
func TestUMLMappedOwnership(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	if err := os.Chown(export, 100000, 200000); err != nil {
		t.Fatal(err)
	}
	testOwnership(t, export, ownershipParts+hiddenPart, append(ownershipPartNames[:], "hidden"),
		func(uid, gid uint32) (uint32, uint32) { return 100000 + uid, 200000 + gid },
		"--map-uid", "0:100000:65536", "--map-gid", "0:200000:65536")
}

// TestUMLRenamedAttributes: nor does it matter under which names the host has attributes,
// capabilities and ACLs among them.
func TestUMLRenamedAttributes(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	testOwnership(t, export, ownershipParts, ownershipPartNames[:],
		func(uid, gid uint32) (uint32, uint32) { return uid, gid },
		"--xattrmap", ":map::user.guest.:")
	buf := make([]byte, 100)
	if n, err := unix.Getxattr(filepath.Join(export, "program"), "user.guest.security.capability", buf); err != nil || n != 24 {
		t.Errorf("the program's capabilities: %x, %v", buf[:max(n, 0)], err)
	}
}

// TestUMLXattrSizes: the largest values there can be, on a file system that takes them.
func TestUMLXattrSizes(t *testing.T) {
	rig.NeedRoot(t)
	export, err := os.MkdirTemp("/dev/shm", "xattrs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(export) })
	if err := os.Chmod(export, 0o755); err != nil {
		t.Fatal(err)
	}
	testOwnership(t, export, "part sizes sizes 65536\n", []string{"sizes"}, nil)
}

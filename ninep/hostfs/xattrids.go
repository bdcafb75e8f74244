// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Values of extended attributes that have IDs in them, little-endian: ACLs (struct
// posix_acl_xattr_header, then struct posix_acl_xattr_entry), and capabilities (struct
// vfs_cap_data of revision 2, struct vfs_ns_cap_data of revision 3), which hold where the
// user with the ID rootid is root, in revision 2 the user 0. What has another form is the
// kernel's to judge.
const (
	aclVersion   = 2
	aclHeadSize  = 4
	aclEntrySize = 8 // u16 tag, u16 permissions, u32 ID
	aclUser      = 0x02
	aclGroup     = 0x08

	capRevision  = 0xff000000
	capRevision2 = 0x02000000
	capRevision3 = 0x03000000
	capSize2     = 20
	capSize3     = 24
)

// valueToHost returns what is to be written for a value of the guest's under a name on
// the host: EOVERFLOW if it names somebody whom the host does not have.
func (fs *FS) valueToHost(host, value []byte) ([]byte, unix.Errno) {
	if fs.sameIDs() {
		return value, 0
	}
	switch string(host) {
	case xattrACLAccess, xattrACLDefault:
		value = bytes.Clone(value)
		ok := true
		eachACLEntry(value, func(tag uint16, id uint32) uint32 {
			mapped, found := fs.idsOf(tag).pair(id)
			ok = ok && found
			return mapped
		})
		if !ok {
			return nil, unix.EOVERFLOW
		}
	case xattrCapability:
		root, ok := capRoot(value)
		if !ok {
			break
		}
		if root, ok = fs.uids.pair(root); !ok {
			return nil, unix.EOVERFLOW
		}
		value = withCapRoot(value, root)
	}
	return value, 0
}

// valueToGuest returns what the guest is shown of a value that was read under a name on
// the host. It may change value.
func (fs *FS) valueToGuest(host, value []byte) []byte {
	if fs.sameIDs() {
		return value
	}
	switch string(host) {
	case xattrACLAccess, xattrACLDefault:
		eachACLEntry(value, func(tag uint16, id uint32) uint32 {
			return fs.idsOf(tag).toGuest(id)
		})
	case xattrCapability:
		if root, ok := capRoot(value); ok {
			return withCapRoot(value, fs.uids.toGuest(root))
		}
	}
	return value
}

func (fs *FS) sameIDs() bool { return fs.uids.same && fs.gids.same }

// idsOf returns the map for the IDs in entries of an ACL with the tag.
func (fs *FS) idsOf(tag uint16) *ids {
	if tag == aclUser {
		return &fs.uids
	}
	return &fs.gids
}

// eachACLEntry replaces the IDs in an ACL.
func eachACLEntry(acl []byte, replace func(tag uint16, id uint32) uint32) {
	if len(acl) < aclHeadSize || binary.LittleEndian.Uint32(acl) != aclVersion {
		return
	}
	for rest := acl[aclHeadSize:]; len(rest) >= aclEntrySize; rest = rest[aclEntrySize:] {
		switch tag := binary.LittleEndian.Uint16(rest); tag {
		case aclUser, aclGroup:
			id := binary.LittleEndian.Uint32(rest[4:])
			binary.LittleEndian.PutUint32(rest[4:], replace(tag, id))
		}
	}
}

// capRoot returns the rootid of capabilities.
func capRoot(value []byte) (uint32, bool) {
	if len(value) < capSize2 {
		return 0, false
	}
	switch rev := binary.LittleEndian.Uint32(value) & capRevision; {
	case rev == capRevision2 && len(value) == capSize2:
		return 0, true
	case rev == capRevision3 && len(value) == capSize3:
		return binary.LittleEndian.Uint32(value[capSize2:]), true
	}
	return 0, false
}

// withCapRoot returns capabilities with another rootid.
func withCapRoot(value []byte, root uint32) []byte {
	out := bytes.Clone(value[:capSize2])
	rev := uint32(capRevision2)
	if root != 0 {
		rev = capRevision3
		out = binary.LittleEndian.AppendUint32(out, root)
	}
	binary.LittleEndian.PutUint32(out, binary.LittleEndian.Uint32(out)&^capRevision|rev)
	return out
}

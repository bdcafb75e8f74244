// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"

	"golang.org/x/sys/unix"
)

const (
	xattrACLAccess  = "system.posix_acl_access"
	xattrACLDefault = "system.posix_acl_default"
	xattrCapability = "security.capability"
	xattrTrusted    = "trusted."
)

// xattrNames is where names of extended attributes go from the guest to the host and
// back. What is hidden is judged by the host's names, so that no rule leads there.
type xattrNames struct {
	hidden string    // begins the host's names that no guest gets at
	rules  *XattrMap // nil: names are the same on both sides

	// Access control lists are kept as aclStore and their name, where the host does not
	// obey them.
	aclsApart bool

	// The name on the host of security.capability if that is another one: then the
	// kernel does not take capabilities off where it takes set-id bits off.
	capability string
}

// aclStore begins the names of access control lists in the model MappedXattr.
const aclStore = "user.virtfs."

// mappedXattrs is for mapped models: what is more would be done to the daemon's own files.
var mappedXattrs = &XattrMap{rules: []xattrRule{
	{xattrOK, true, true, "user.", "user."},
	{xattrOK, true, true, xattrACLAccess, xattrACLAccess},
	{xattrOK, true, true, xattrACLDefault, xattrACLDefault},
	{xattrUnsupported, true, true, "", ""},
}}

func newXattrNames(hidden string, rules *XattrMap, model Model) xattrNames {
	if rules == nil && model.Mapped() {
		rules = mappedXattrs
	}
	x := xattrNames{hidden: hidden, rules: rules, aclsApart: model == MappedXattr}
	if rules != nil {
		if prepend, e := rules.toHost([]byte(xattrCapability)); e == 0 && prepend != "" {
			x.capability = prepend + xattrCapability
		}
	}
	return x
}

// toHost returns the host's name for one of the guest's, which it is given to write or
// remove, in memory of t's that lasts as long as that of cname.
func (x *xattrNames) toHost(t *thread, name []byte) ([]byte, unix.Errno) {
	prepend, apart := "", x.aclsApart && isACL(name)
	if apart {
		prepend = aclStore
	} else if x.rules != nil {
		var e unix.Errno
		if prepend, e = x.rules.toHost(name); e != 0 {
			return nil, e
		}
	}
	n := len(prepend) + len(name)
	if n >= len(t.name1) {
		return nil, unix.ERANGE
	}
	host := t.name1[:n]
	copy(host[copy(host, prepend):], name)
	t.name1[n] = 0
	if !apart && hasPrefix(host, x.hidden) {
		return nil, unix.EACCES
	}
	return host, 0
}

// toHostRead is toHost for a name that is to be read: what the guest may not get at is
// not there.
func (x *xattrNames) toHostRead(t *thread, name []byte) ([]byte, unix.Errno) {
	host, e := x.toHost(t, name)
	if e == unix.EACCES || e == unix.EPERM {
		// Linux looks for ACLs whenever it meets a file, and would take the file for
		// unusable.
		e = unix.ENODATA
	}
	return host, e
}

// toGuest returns the guest's name for one on the host, the end of that, or false if it
// sees none.
func (x *xattrNames) toGuest(name []byte) ([]byte, bool) {
	if x.aclsApart {
		if kept, ok := bytes.CutPrefix(name, []byte(aclStore)); ok && isACL(kept) {
			return kept, true
		} else if isACL(name) {
			return nil, false
		}
	}
	switch {
	case hasPrefix(name, x.hidden):
		return nil, false
	case x.rules == nil:
		return name, true
	}
	return x.rules.toGuest(name)
}

func isACL(name []byte) bool {
	return string(name) == xattrACLAccess || string(name) == xattrACLDefault
}

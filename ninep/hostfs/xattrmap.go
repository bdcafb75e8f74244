// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// XattrMap is a list of rules by which extended attributes have other names on the host
// than in the guest. The rules and how they are written are virtiofsd's.
type XattrMap struct{ rules []xattrRule }

// xattrRule is one rule. The first one that matches a name decides; a name that none
// matches is treated as by xattrBad.
type xattrRule struct {
	kind           xattrKind
	client, server bool   // matches names from the guest; from the host
	key            string // begins the names from the guest that match
	prepend        string // begins those from the host, and goes before the guest's
}

// xattrKind is what a rule does with a name.
type xattrKind uint8

const (
	xattrOK          xattrKind = iota // leaves it as it is
	xattrPrefix                       // puts prepend before it, or takes it off
	xattrBad                          // refuses it with EPERM, and hides it
	xattrUnsupported                  // refuses it with EOPNOTSUPP, and hides it
)

var xattrKinds = map[string]xattrKind{
	"ok": xattrOK, "prefix": xattrPrefix, "bad": xattrBad, "unsupported": xattrUnsupported,
}

// ParseXattrMap reads rules of the form ":TYPE:SCOPE:KEY:PREPEND:", or ":map:KEY:PREPEND:" for
// the last one. Each rule can have another separator than the colon: its first character.
func ParseXattrMap(text string) (*XattrMap, error) {
	m := new(XattrMap)
	for n := 1; ; n++ {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			break
		}
		more, err := m.parseRule(text)
		if err != nil {
			return nil, fmt.Errorf("rule %d %w", n, err)
		}
		text = more
	}
	if len(m.rules) == 0 {
		return nil, errors.New("there is no rule")
	}
	return m, nil
}

// parseRule reads the rule at the beginning of text, and returns what follows it.
func (m *XattrMap) parseRule(text string) (more string, err error) {
	sep := text[:1]
	if sep[0] >= 0x80 {
		return "", errors.New("begins with a character that is not ASCII, needed is a separator such as ':'")
	}
	more = text[1:]
	field := func(name string) (value string) {
		value, rest, ok := strings.Cut(more, sep)
		if !ok && err == nil {
			err = fmt.Errorf("has no %q after its %s", sep, name)
		}
		more = rest
		return value
	}
	kind := field("type")
	if err != nil {
		return "", err
	}
	if kind == "map" {
		key, prepend := field("key"), field("prepend")
		switch {
		case err != nil:
			return "", err
		case prepend == "":
			return "", errors.New("maps to no prefix")
		case strings.TrimSpace(more) != "":
			return "", errors.New("is a map, which must be the last rule")
		}
		m.rules = append(m.rules, mapRules(key, prepend)...)
		return "", nil
	}
	r := xattrRule{}
	var ok bool
	if r.kind, ok = xattrKinds[kind]; !ok {
		return "", fmt.Errorf("has the type %q, which is not one of prefix, ok, bad, unsupported, map", kind)
	}
	scope := field("scope")
	switch {
	case err != nil:
		return "", err
	case scope == "all":
		r.client, r.server = true, true
	case scope == "client":
		r.client = true
	case scope == "server":
		r.server = true
	default:
		return "", fmt.Errorf("has the scope %q, which is not one of client, server, all", scope)
	}
	r.key, r.prepend = field("key"), field("prepend")
	if err != nil {
		return "", err
	}
	m.rules = append(m.rules, r)
	return more, nil
}

// mapRules are the rules that the type map stands for: names that begin with key have
// prepend before them on the host, where neither side can get at the names of the other.
func mapRules(key, prepend string) []xattrRule {
	rules := []xattrRule{{xattrPrefix, true, true, key, prepend}}
	if key == "" {
		return append(rules, xattrRule{xattrBad, true, true, "", ""})
	}
	return append(rules,
		xattrRule{xattrBad, false, true, "", key},
		xattrRule{xattrBad, true, false, prepend, ""},
		xattrRule{xattrOK, true, true, "", ""})
}

// toHost returns what goes before a name from the guest.
func (m *XattrMap) toHost(name []byte) (prepend string, e unix.Errno) {
	for i := range m.rules {
		r := &m.rules[i]
		if !r.client || !hasPrefix(name, r.key) {
			continue
		}
		switch r.kind {
		case xattrOK:
			return "", 0
		case xattrPrefix:
			return r.prepend, 0
		case xattrUnsupported:
			return "", unix.EOPNOTSUPP
		}
		break
	}
	return "", unix.EPERM
}

// toGuest returns the name that the guest sees for one on the host, or false if it sees
// none. It is the end of the host's.
func (m *XattrMap) toGuest(name []byte) ([]byte, bool) {
	for i := range m.rules {
		r := &m.rules[i]
		if !r.server || !hasPrefix(name, r.prepend) {
			continue
		}
		switch r.kind {
		case xattrOK:
			return name, true
		case xattrPrefix:
			name = name[len(r.prepend):]
			return name, len(name) > 0
		}
		break
	}
	return nil, false
}

func hasPrefix(name []byte, prefix string) bool { return bytes.HasPrefix(name, []byte(prefix)) }

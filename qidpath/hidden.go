// SPDX-License-Identifier: Apache-2.0

package qidpath

import "strings"

// HiddenPrefix begins the names of the extended attributes that belong to the
// host side, a stored table's among them. A guest never sees, sets or removes
// one, on any file: who can write the table can exchange files.
const HiddenPrefix = "user.virtfs."

// Hidden reports whether the attribute name is the host side's. It is the name
// on the host, after any mapping of the guest's names.
func Hidden(name string) bool { return strings.HasPrefix(name, HiddenPrefix) }

// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"
	"strconv"

	"vhost-user-9p/qidpath"
)

// Prefix begins the names of all attributes of this package, which are hidden
// from guests.
const Prefix = qidpath.HiddenPrefix

const (
	chunkPrefix = Prefix + "system.qidp."
	badPrefix   = chunkPrefix + "bad."
)

// chunkName returns the attribute that holds chunk i of the table.
func chunkName(i int) string { return chunkPrefix + strconv.Itoa(i) }

// badName returns the attribute for chunk i of a table that was set aside.
func badName(crc uint32, i int) string { return fmt.Sprintf("%s%08x.%d", badPrefix, crc, i) }

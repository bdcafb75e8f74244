// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"os/user"
	"strconv"
)

// lookupGroup returns the number of a group that is given by name or number, -1 for none.
func lookupGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil && n < math.MaxUint32 {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("--socket-group %q: no such group", name)
	}
	return strconv.Atoi(g.Gid)
}

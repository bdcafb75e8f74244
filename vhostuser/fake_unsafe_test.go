// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// bytesOf returns what an iovec points at. Sound while the chain that it is of has not been
// given back: the memory is mapped.
func bytesOf(v unix.Iovec) []byte { return unsafe.Slice(v.Base, v.Len) }

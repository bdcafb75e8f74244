// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
)

// A program of some hundred bytes, so that running it takes no reading of a large file:
// an ELF header, one segment, and x86-64 instructions.
func program(code []byte) string {
	const base, head = 0x400000, 64 + 56
	size := uint64(head + len(code))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, field := range []any{
		uint16(2), uint16(62), uint32(1), // an executable for x86-64
		uint64(base + head), uint64(64), uint64(0), uint32(0), // entry, program headers, no sections
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), // to be loaded, readable and executable
		uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.Write(code)
	return b.String()
}

// exits is a program that ends with a status.
func exits(status byte) []byte {
	return []byte{
		0xbf, status, 0, 0, 0, // mov edi, status
		0xb8, 60, 0, 0, 0, // mov eax, exit
		0x0f, 0x05, // syscall
	}
}

// exitsWith is a program that ends with the result of a system call as its status, cut
// to a byte.
func exitsWith(number byte) []byte {
	return []byte{
		0xb8, number, 0, 0, 0, // mov eax, number
		0x0f, 0x05, // syscall
		0x89, 0xc7, // mov edi, eax
		0xb8, 60, 0, 0, 0, // mov eax, exit
		0x0f, 0x05, // syscall
	}
}

// waits is a program that reads its standard input, and ends when that does.
func waits() []byte {
	return []byte{
		0x31, 0xff, // again: xor edi, edi
		0x48, 0x8d, 0x74, 0x24, 0xc0, // lea rsi, [rsp-64]
		0xba, 1, 0, 0, 0, // mov edx, 1
		0x31, 0xc0, // xor eax, eax (read)
		0x0f, 0x05, // syscall
		0x85, 0xc0, // test eax, eax
		0x7f, 0xec, // jg again
		0x31, 0xff, // xor edi, edi
		0xb8, 60, 0, 0, 0, // mov eax, exit
		0x0f, 0x05, // syscall
	}
}

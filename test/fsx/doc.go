// SPDX-License-Identifier: Apache-2.0

// Package fsx tries a file system with random operations and compares it, byte by byte,
// with a model in memory.
//
// The operations are those that programs make: files are opened in every way, read,
// written, appended to, truncated, mapped, allocated, synced, linked, renamed, replaced and
// removed while they are open, folders renamed while files in them are open. Every result
// is compared: data, sizes, numbers of links, lists of names, and which error.
//
// A run depends on its seed alone: operation n of a seed is always the same. When
// something differs, the error has the seed and the operations that led there.
//
// The file system is an FS: Local is one by system calls, on the host or in a guest, whose
// driver is then tried with its caches; a 9P client makes another, without a kernel.
package fsx

// SPDX-License-Identifier: Apache-2.0

// Package tree makes directory trees with files of every kind from a seed, and
// writes down what a tree holds.
//
// The same seed makes the same tree on every file system, and a manifest names
// everything about a tree that a copy has to keep. So a tree made in a guest, its
// copy in the share, the same files seen from the host, and a tree made on the
// host are compared line by line. The program that runs in guests and the tests on
// the host use the same code.
package tree

// SPDX-License-Identifier: Apache-2.0

//go:build race

package ninep

// raceEnabled says that sync.Pool drops some of what it is given, so that
// allocations cannot be counted.
const raceEnabled = true

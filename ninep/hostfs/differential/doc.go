// SPDX-License-Identifier: Apache-2.0

// Package differential has no code but its test: random operations by 9P on one directory and
// the same by system calls on another, whose results, errors and trees must be the same.
//
//	go test ./ninep/hostfs/differential                        a few seconds
//	V9P_DIFFERENTIAL=10m go test -timeout 1h ./ninep/hostfs/differential
//	V9P_SEED=123 go test -run ... -v                           one sequence again
package differential

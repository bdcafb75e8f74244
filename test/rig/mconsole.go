// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// showTasks has a guest in User-mode Linux write to its console what each of its tasks waits
// for, by SysRq's key t. Nothing is said if it does not listen.
func (g *Guest) showTasks() {
	g.t.Helper()
	found, _ := filepath.Glob(g.path("*/uml/*/mconsole"))
	if len(found) == 0 {
		return // QEMU, or it has ended
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: found[0], Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	for _, command := range []string{"sysrq 9", "sysrq t"} { // 9: the console gets it all
		// struct mconsole_request of arch/um/drivers/mconsole.h: magic, version, length, text.
		request := binary.LittleEndian.AppendUint32(nil, 0xcafebabe)
		request = binary.LittleEndian.AppendUint32(request, 2)
		request = binary.LittleEndian.AppendUint32(request, uint32(len(command)))
		request = append(request, make([]byte, 512)...)
		copy(request[12:], command)
		_, _ = conn.Write(request)
	}
	const last = "Showing busy workqueues"
	for range 50 {
		if strings.Contains(tail(g.path("console"), 200), last) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	showTail(g.t, g.name+"'s tasks", g.path("console"), 3000)
}

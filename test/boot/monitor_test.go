// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// storedTable is where the export's root has the table of file IDs.
const storedTable = "user.virtfs.system.qidp.0"

// flushes watches how a daemon flushes the table of file IDs.
type flushes struct {
	t       *testing.T
	d       *rig.Daemon
	monitor string // socket of QEMU's monitor, which the daemon watches
}

// watchMonitor starts a daemon that watches the monitor of the guests it will have.
func watchMonitor(t *testing.T) *flushes {
	t.Helper()
	if rig.Peer() {
		t.Skip("missing capability: a server that watches QEMU's monitor")
	}
	monitor := filepath.Join(rig.Dir(t), "monitor")
	f := &flushes{t: t, monitor: monitor}
	f.d = rig.StartDaemon(t, rig.Export(t), "--qmp", monitor)
	f.d.AllowError("qid table lost elements") // which the test removes
	return f
}

// connected waits until the daemon watches a monitor, for the nth time.
func (f *flushes) connected(n int) {
	f.t.Helper()
	rig.Eventually(f.t, rig.Moment, func() error {
		if m := f.d.Metrics(); m["vhost_user_9p_qmp_connected"] != 1 || m["vhost_user_9p_qmp_connections_total"] != float64(n) {
			return fmt.Errorf("connected %v, %v times, want %d", m["vhost_user_9p_qmp_connected"], m["vhost_user_9p_qmp_connections_total"], n)
		}
		return nil
	})
}

// by does something, after which the daemon must have flushed the table for these triggers,
// and no others: log and metrics say so, and the table, which is removed before, is whole. A
// trigger may be one of several: "a|b".
func (f *flushes) by(do func(), triggers ...string) {
	f.t.Helper()
	table := f.stored()
	if err := unix.Removexattr(f.d.Export, storedTable); err != nil {
		f.t.Fatal(err)
	}
	before, logged, began := f.counts(), len(f.d.Log()), time.Now()
	do()
	// one returns which of the alternatives of a trigger was counted.
	one := func(after map[string]float64, trigger string) (string, error) {
		for name := range strings.SplitSeq(trigger, "|") {
			if after[name] > before[name] {
				return name, nil
			}
		}
		return "", fmt.Errorf("no flush for %s", trigger)
	}
	var after map[string]float64
	rig.Eventually(f.t, rig.Moment, func() error {
		after = f.counts()
		for _, trigger := range triggers {
			name, err := one(after, trigger)
			if err != nil {
				return err
			}
			if log := f.d.Log()[logged:]; !strings.Contains(log, `msg="qid table flushed" trigger=`+name+" ") {
				return fmt.Errorf("no word in the log of the flush for %s:\n%s", name, log)
			}
		}
		return nil
	})
	for name, n := range after {
		if wanted := "|" + strings.Join(triggers, "|") + "|"; n != before[name] && !strings.Contains(wanted, "|"+name+"|") {
			f.t.Errorf("%v flushes for %s, besides %v", n-before[name], name, triggers)
		}
	}
	last := f.d.Metrics()["vhost_user_9p_qid_last_flush_timestamp_seconds"]
	if from, to := float64(began.UnixMilli())/1e3, float64(time.Now().UnixMilli()+1)/1e3; last < from || last > to {
		f.t.Errorf("the last flush was at %.3f, want %.3f to %.3f", last, from, to)
	}
	if stored := f.stored(); !bytes.Equal(stored, table) {
		f.t.Errorf("the stored table is %x after %v, before it was %x", stored, triggers, table)
	}
}

// counts returns how often the table was flushed, by trigger.
func (f *flushes) counts() map[string]float64 {
	f.t.Helper()
	counts := map[string]float64{}
	for series, n := range f.d.Series() {
		if rest, ok := strings.CutPrefix(series, `vhost_user_9p_qid_flushes_total{trigger="`); ok {
			counts[strings.TrimSuffix(rest, `"}`)] = n
		}
	}
	return counts
}

func (f *flushes) stored() []byte {
	f.t.Helper()
	table := make([]byte, 1<<16)
	n, err := unix.Getxattr(f.d.Export, storedTable, table)
	if err != nil {
		f.t.Fatalf("the stored table: %v", err)
	}
	return table[:n]
}

// ended waits until QEMU has ended.
func ended(t *testing.T, g *rig.Guest) {
	t.Helper()
	rig.Eventually(t, rig.Moment, func() error {
		if g.Running() {
			return errors.New("QEMU has not ended")
		}
		return nil
	})
}

// TestQEMUPowerdown stops and continues a guest, tells it to power off, and lets it do so.
func TestQEMUPowerdown(t *testing.T) {
	f := watchMonitor(t)
	o := orderGuest(t, rig.QEMU, "guest", f.d, rig.GuestConfig{Bare: true, Monitor: f.monitor})
	qmp := o.QMP()
	f.connected(1)
	o.do("mkdir d; echo hello >d/file")
	f.by(func() { qmp.Run("stop") }, "qmp_stop", "suspended")
	qmp.Run("cont")
	if got := o.do("cat d/file"); got != "hello" {
		t.Errorf("after stop and cont: %q", got)
	}
	// The guest has nobody who heeds the button, and nothing comes on the connection.
	f.by(func() { qmp.Run("system_powerdown") }, "qmp_powerdown")
	if got := o.do("cat d/file"); got != "hello" {
		t.Errorf("after the button: %q", got)
	}
	f.by(func() {
		o.start("/bin/busybox poweroff -f")
		ended(t, o.Guest)
	}, "qmp_shutdown", "suspended", "disconnected|unplugged")
}

// TestQEMUSuspend suspends a guest to its memory and wakes it up, and then kills QEMU; a
// second one is told to quit. The driver in the guest does not set its queue up again when it
// wakes up, so it has to be bound anew.
func TestQEMUSuspend(t *testing.T) {
	f := watchMonitor(t)
	g := rig.QEMU(t, f.d, rig.GuestConfig{Bare: true, Unmounted: true, Monitor: f.monitor, Script: `
cd /sys/bus/virtio/drivers/9pnet_virtio
device=$(echo virtio*)
share() { mount -t 9p -o trans=virtio,version=9p2000.L ` + rig.Tag + ` /mnt; }
mkdir -p /mnt
share
echo hello >/mnt/file
until [ -e /mnt/suspend ]; do sleep 0.1; done
umount /mnt
exec >/dev/console 2>&1 # QEMU takes nothing from the serial ports any more
echo mem >/sys/power/state
echo $device >unbind
echo $device >bind
share
cp /mnt/file /mnt/copy
sleep 1000
`})
	qmp := g.QMP()
	f.connected(1)
	file := filepath.Join(f.d.Export, "file")
	rig.Eventually(t, rig.Moment, func() error { return longer(file, 0) })
	f.by(func() {
		write(t, "", f.d.Export, "suspend")
		qmp.WaitEvents("SUSPEND", 1)
	}, "suspended", "qmp_suspend")
	qmp.Run("system_wakeup")
	qmp.WaitEvents("WAKEUP", 1)
	rig.Eventually(t, rig.Moment, func() error { return longer(filepath.Join(f.d.Export, "copy"), 0) })
	// Nobody is left to tell why. Which of QEMU's two connections ends first is a matter of
	// chance, and the end of the second one alone would be an unplugged device.
	f.by(func() {
		g.Signal(unix.SIGKILL)
		ended(t, g)
	}, "disconnected|unplugged")
	g.Kill()

	g = rig.QEMU(t, f.d, rig.GuestConfig{Bare: true, Monitor: f.monitor, Script: "cp file again; sleep 1000"})
	qmp = g.QMP()
	f.connected(2)
	rig.Eventually(t, rig.Moment, func() error { return longer(filepath.Join(f.d.Export, "again"), 0) })
	f.by(func() {
		qmp.Run("quit")
		ended(t, g)
	}, "qmp_shutdown", "suspended", "disconnected|unplugged")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"vhost-user-9p/cmd/vhost-user-9p/internal/flush"
	"vhost-user-9p/cmd/vhost-user-9p/internal/qmp"
)

// What becomes of the table of file IDs is logged and counted where it happens, and stops
// nothing: what the guest has seen of it is durable already.

// realized is called when a front end takes the device.
func (d *daemon) realized() {
	_ = d.table.Load()
	if d.watcher != nil {
		d.watcher.Retry() // the front end is a QEMU, most likely
	}
}

// closeTable flushes the table for the last time, if it can have been used.
func (d *daemon) closeTable() error {
	if d.ready {
		_ = d.flusher.End(d.table.Close)
	} else {
		_ = d.table.Close()
	}
	return nil
}

// triggers are the events of QEMU after which the guest may not come back as it was.
var triggers = map[qmp.Event]flush.Trigger{
	qmp.Shutdown:    flush.QMPShutdown,
	qmp.Suspend:     flush.QMPSuspend,
	qmp.SuspendDisk: flush.QMPSuspendDisk,
	qmp.Powerdown:   flush.QMPPowerdown,
	qmp.Stop:        flush.QMPStop,
}

// openQMP watches QEMU's monitor from now on, if that is wanted.
func (d *daemon) openQMP() error {
	path := d.opts.qmp
	if path == "" {
		return nil
	}
	w, err := qmp.Watch(path, qmp.Config{
		Event:  func(e qmp.Event) { d.flusher.Soon(triggers[e]) },
		Logger: d.log,
	})
	if err != nil {
		return fmt.Errorf("--qmp %q: %w", path, err)
	}
	d.watcher = w
	d.atClose(w.Close)
	return nil
}

// qmpStats returns what was counted of QEMU's monitor.
func (d *daemon) qmpStats() qmp.Stats {
	if d.watcher == nil {
		return qmp.Stats{}
	}
	return d.watcher.Stats()
}

// SPDX-License-Identifier: Apache-2.0

// Package qmp watches the QMP monitor of the QEMU that runs the guest, for events after
// which the guest or the host may not come back as they were.
//
// The protocol is spoken by a SocketMonitor of go-qemu's package of the same name. That one
// trusts its peer, and expects to be used in one way only, so a guard stands between it and
// QEMU:
//
//		QEMU's socket <── guard ──> SocketMonitor ── events ──> Watcher ──> Config.Event
//
//	  - What comes in one piece with the greeting, or with the answer to the first command,
//	    would be lost with the decoder that has read it: the guard sends the greeting alone,
//	    then the answer, and nothing else before the monitor's reader runs. If an event comes
//	    before the answer, the monitor would take it for the answer.
//	  - A line of more than 64 KiB would stop the monitor's reader without a word, and a
//	    greeting without an end would fill the memory: the guard bounds lines, and ends the
//	    connection.
//	  - Anything but an event would stop the reader, too, until somebody runs a command, and
//	    so would an error: the guard passes on events only, and then an end of file.
//	  - Nothing in the monitor can be interrupted: the guard closes the connection instead.
//
// The monitor can only dial. So the guard listens, for that one connection, at an abstract
// address, and takes none but this process's.
//
// # Life
//
//	Watch        opens the socket's folder
//	└── attempt      one connection, as long as it lasts; then a pause, and the next
//	    ├── connect      fails while QEMU does not run
//	    ├── negotiate    takes as long as another client has the monitor
//	    └── watch        until QEMU ends
//	Close        interrupts all of it, and waits for its end
//
// Spec: docs/interop/qmp-spec.rst in QEMU.
package qmp

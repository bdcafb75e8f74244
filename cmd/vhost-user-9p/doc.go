// SPDX-License-Identifier: Apache-2.0

// Command vhost-user-9p serves a directory of the host to a virtual machine: it is the
// vhost-user back end of a virtio-9p device. See its --help.
//
// # Life
//
//	run          reads the command line (flags.go)
//	└── open     export, QID store, sockets: all that can fail, before anything is served
//	    └── serve    connections, one at a time, until a signal or, with the --fd of a
//	                 connection, until that ends
//	        └── close   QID table flushed, socket removed
//
// Nothing is opened by a path outside the export after open.
//
// # Exit status
//
//	0  ended by SIGTERM or SIGINT, or the connection given with --fd has ended
//	1  could not start or go on; a second signal before the first was carried out
//	2  the command line is wrong
//
// # Stored file IDs
//
// With the first argument "qid" it serves nothing, but looks at what is stored (qid.go); the
// exit status is then that of the subcommand.
package main

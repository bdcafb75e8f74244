// SPDX-License-Identifier: Apache-2.0

// Package qids shows, checks and repairs what is stored of an export's file IDs: the
// table of prefixes in both places of package xattrstore, and the full map.
//
//	Export.Look      reads all of it, under the lock of the export's daemons
//	├── Look.Dump    what is there, as data and as text
//	└── Look.Check   what is wrong with it, and what that means
//	Export.Repair    repairs what can be repaired
//
// Looking changes nothing, and makes no directories.
package qids

// SPDX-License-Identifier: Apache-2.0

package main

// qidUsage is what qid --help prints.
const qidUsage = `Usage: vhost-user-9p qid dump|check|repair [FLAG]... DIR

Looks at what is stored of the file IDs of the shared directory DIR, while
daemons serve it or not.

  dump    print the table, and which file system each entry belongs to
  check   say what is wrong, and what that means for file IDs
  repair  repair what can be repaired; what cannot be read is never destroyed

'vhost-user-9p qid dump --help' and so on have the flags.
`

// qidFlagsUsage has the flags of all subcommands.
const qidFlagsUsage = `  --state-dir DIR       (default: $STATE_DIRECTORY, else /var/lib/vhost-user-9p
                         if root looks, else ~/.local/state/vhost-user-9p)
        The state directory of the daemons that serve DIR: what they were given,
        or have by default as the user that they run as. It is not made.
  --json
        Print JSON, whose shape docs/operations.md describes.
  --help, -h
        Print this, and exit.
`

const qidDumpUsage = `Usage: vhost-user-9p qid dump [FLAG]... DIR

Prints what is stored of the file IDs of the shared directory DIR: where the
table is, its header, and its entries, with the file systems that they belong to
as far as these are mounted now; what is left of appends that were cut off, and
of tables that were set aside; and how many files are numbered one by one.
Nothing is changed. That nothing is stored is no error.

` + qidFlagsUsage + `
Exit status: 0 if it could be printed, 2 if the command line is wrong or the
directories cannot be looked at.
`

const qidCheckUsage = `Usage: vhost-user-9p qid check [FLAG]... DIR

Verifies what is stored of the file IDs of the shared directory DIR, in its
attributes and in the state directory, and prints each finding on a line of its
own: a keyword, where, what, and what that means for file IDs. Findings that
begin with "note:" are no errors. Nothing is changed.

` + qidFlagsUsage + `
Exit status: 0 if all is well, 1 if something is wrong, 2 if the command line is
wrong or something cannot be looked at.
`

const qidRepairUsage = `Usage: vhost-user-9p qid repair [FLAG]... DIR

Repairs what is stored of the file IDs of the shared directory DIR, as far as
that is possible: damaged tables are set aside, so that new ones can be begun,
what appends that were cut off have left is removed, and damaged records of the
full map are left out. Says what it has done, and what is left. What a newer
version has stored stays as it is. Daemons may serve the directory meanwhile.

  --dry-run
        Change nothing, and say what would be done.
  --keep xattr|file
        Where the table in the attributes and the one in the state directory
        contradict each other, keep this one and set the other aside.
` + qidFlagsUsage + `
Exit status: 0 if nothing is wrong any more (or would be), 1 if something is,
2 if the command line is wrong or something cannot be looked at.
`

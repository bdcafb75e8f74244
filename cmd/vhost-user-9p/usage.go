// SPDX-License-Identifier: Apache-2.0

package main

// usage is what --help prints.
const usage = `Usage: vhost-user-9p --socket-path PATH --shared-dir DIR --tag TAG [FLAG]...
       vhost-user-9p qid dump|check|repair [FLAG]... DIR

vhost-user-9p shares a directory of this machine with a virtual machine. QEMU
connects to its socket and shares the guest's memory with it; from then on it
answers the guest's 9P requests straight from there. The guest needs
nothing but the 9p driver that Linux has. The numbers that the guest sees as
file IDs stay the same when the daemon, the guest or the host is restarted.

Example: the directory /srv/share for one guest. Start the daemon before QEMU.

  host$  vhost-user-9p --socket-path /run/share.sock --shared-dir /srv/share --tag share

  host$  qemu-system-x86_64 ... -m 2G \
           -machine memory-backend=mem \
           -object memory-backend-memfd,id=mem,size=2G,share=on \
           -chardev socket,id=c0,path=/run/share.sock \
           -device vhost-user-test-device-pci,chardev=c0,virtio-id=9,num_vqs=1,vq_size=128,config_size=7

  guest# mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /mnt

This needs QEMU 10.2 or newer. share=on lets the daemon see the guest's memory.
config_size is the length of the mount tag (here "share", see --tag) plus 2; a
larger one does no harm, a smaller one cuts the tag off.

Run as root, it acts for each user of the guest: what uid 1000 makes there
belongs to uid 1000 here. Otherwise everything is its own user's on the host,
and the guest sees the owners that it has set (see --security-model).

A flag's value follows it after a space or '='.

The socket (one of the two is needed)
  --socket-path PATH
        Make a Unix socket at PATH and listen there. One front end is served at
        a time, and another one is sent away until that has disconnected. Only
        the daemon's user can connect (mode 0600), unless --socket-group is
        given. A socket that a dead process left at PATH is replaced; a file, or
        a socket that somebody listens on, is not. PATH has at most 107 bytes.
  --fd N
        Use file descriptor N, which the daemon was started with: a Unix stream
        socket that either listens, as systemd or libvirt pass one, or is
        connected to the front end already; then the daemon ends when the
        connection does.
  --socket-group GROUP
        Let the members of GROUP (a name or a number) connect too (mode 0660),
        so that QEMU need not run as the daemon's user. Whoever can connect can
        do to the directory what the daemon can.

What is shared
  --shared-dir DIR
        The directory, with all below it, other file systems included. The guest
        cannot leave it. Needed.
  --tag TAG
        The name by which the guest mounts the directory, 1 to 254 bytes. QEMU
        must be given a config_size of 2 more. Needed.
  --readonly
        Refuse every request that would change anything. Tables of file IDs are
        then not stored either: file systems that the stored table lacks get IDs
        that the next start may change.
  --statfs-type TYPE                                             (default: host)
        What programs in the guest are told the file system to be (f_type of
        statfs): what the host has there, or for all of it one of bcachefs,
        btrfs, ceph, cifs, ext2, ext3, ext4, f2fs, fuse, nfs, overlayfs, ramfs,
        smb2, tmpfs, v9fs, xfs, zfs, or a number such as 0x1021997.
  --multidevs HOW                                               (default: remap)
        How files on other file systems below the directory are told from those
        on its own. The names are those of QEMU's multidevs.
        remap   All files have different IDs.
        forbid  The ID is the inode number; other file systems cannot be
                reached (ENODEV).
        warn    The ID is the inode number; files may have the same one. The
                log says so when another file system is met.
  --qmp PATH                                                (default: not set)
        Watch QEMU's monitor (QMP) at the Unix socket PATH, which need not be
        there yet, and store the table of file IDs also when the guest is
        stopped, suspended or shut down by it. The monitor should be one for the
        daemon alone, such as -qmp unix:PATH,server=on,wait=off.
  --writeout immediate                                      (default: not set)
        Have what the guest writes sent to the disk at once, so that it does not
        stay in the host's memory besides the guest's. Writing takes longer, and
        nothing is promised: that is for fsync.

File IDs
  --qid-store auto|xattr|file|none                             (default: auto)
        Where the table is that keeps file IDs the same. xattr: in extended
        attributes of the shared directory, which the guest does not see. file:
        in the state directory. auto: xattr, and file where they have no room
        for it or may not be written (--readonly). none: nowhere, and each start
        may give other IDs.
  --qid-layout prefix|suffix                                 (default: prefix)
        What IDs look like. suffix: as QEMU's multidevs=remap makes them, so
        that a guest that used QEMU's own 9P server sees the same.
  --state-dir DIR       (default: $STATE_DIRECTORY, which systemd sets, else
                         /var/lib/vhost-user-9p if the daemon is root, else
                         ~/.local/state/vhost-user-9p)
        Where files of the daemon's are kept: the table, with --qid-store, and
        the IDs of files on file systems that use all of 64 bits for inode
        numbers (FUSE, NFS). All daemons that share a directory must use the
        same one. It is made if it is missing.

Who owns what
  --security-model MODEL            (default: passthrough if the daemon is root,
                                     else mapped-xattr, or none)
        Where the owners, modes and types of the guest's files are kept. The
        names, and what is on the disk, are those of QEMU's security_model.
        passthrough   They are those of the host's files. The guest's users can
                      own files only if the daemon is root.
        mapped-xattr  (or mapped) In extended attributes of files that are the
                      daemon's own on the host. Works without root.
        mapped-file   In files beside such files. Where there are no attributes.
        none          As passthrough, but what the daemon may not give away
                      stays its own, and the guest gets no error.
  --fmode MODE                                                   (default: 0600)
  --dmode MODE                                                   (default: 0700)
        The modes that files and directories of mapped models have on the host,
        in octal.
  --map-uid GUEST:HOST:COUNT[,...]                               (default: none)
  --map-gid GUEST:HOST:COUNT[,...]
        Let COUNT users (groups) of the guest from GUEST on be those of the host
        from HOST on; may be given several times. Others of the host are shown
        to the guest as 65534. Others of the guest cannot own files: EOVERFLOW.
  --squash-uid ID                                                (default: none)
  --squash-gid ID
        Let all users (groups) of the guest that no range maps be ID on the
        host. What the guest is shown is up to --map-uid and --map-gid; without
        these, the IDs of the host.
  --xattrmap RULES                                               (default: none)
        Give extended attributes other names on the host than in the guest. The
        rules are virtiofsd's. ":map::user.guest.:" keeps all of the guest's as
        user.guest.*, which takes no privileges, and hides those of the host.

Resources
  --max-msize BYTES                                               (default: 1M)
        The largest message that the guest may agree on, 4096 to 16M; K and M
        are units of 1024 and 1024*1024. The guest asks by its msize mount
        option, and Linux for no more than 512000 over virtio. Larger messages
        mean fewer of them for big reads and writes.
  --threads N                                                       (default: 0)
        How many requests are executed at once, at most 256; 0 is the number of
        processors. Requests that wait for a disk or a lock do not count. Fewer
        leave more of the host to others; more than processors rarely help.
  --poll-us MICROSECONDS                                           (default: 50)
        How long the daemon may look out for the next request, at most 1000,
        before it waits to be woken. It does so only while requests come that
        fast, and is of use. Each takes less time then, and the daemon more of a
        processor. 0 turns it off.
  --cpus LIST                                (default: those it is started on)
        Which processors the daemon uses, such as 0-3,8.
  --numa-node N                                                  (default: none)
        Use the processors of one NUMA node, and so its memory. Best is the node
        that the guest's memory is on.
  --rlimit-nofile N                                    (default: the hard limit)
        How many files the daemon may have open, 128 or more. Guests can use
        more: files that have been idle are closed, and opened again when that
        is needed, which costs time. A number above the hard limit needs root.
  --packed
        Offer the guest packed virtqueues, which touch less memory for each
        request. A driver that does not know them has a split one all the same.

How much is read and written
  The limits of QEMU's throttling options. They hold for the contents of files,
  for all of the guest together; requests above one wait. total excludes read
  and write. A max allows bursts (default: a tenth of a second's worth), of one
  second or of the length given. K, M, G, T are units of 1024 and so on.
  --throttle-bps-total BYTES                                  (default: not set)
  --throttle-bps-total-max BYTES
  --throttle-bps-total-max-length SECONDS                           (default: 1)
  --throttle-bps-read BYTES
  --throttle-bps-read-max BYTES
  --throttle-bps-read-max-length SECONDS
  --throttle-bps-write BYTES
  --throttle-bps-write-max BYTES
  --throttle-bps-write-max-length SECONDS
        Bytes a second.
  --throttle-iops-total N
  --throttle-iops-total-max N
  --throttle-iops-total-max-length SECONDS
  --throttle-iops-read N
  --throttle-iops-read-max N
  --throttle-iops-read-max-length SECONDS
  --throttle-iops-write N
  --throttle-iops-write-max N
  --throttle-iops-write-max-length SECONDS
        Requests a second.
  --throttle-iops-size BYTES
        Larger requests count as several.
  --throttle-file FILE
        Take all limits from FILE: lines such as bps-total=10M. It is read again
        at SIGHUP.

What can be seen
  --log-level LEVEL                                              (default: info)
        debug, info, warn or error: the least that is logged, on standard error.
        debug adds what front ends send to set the device up, for bug reports.
  --log-format FORMAT                                            (default: text)
        text (key=value) or json, one object a line, for log collectors.
  --metrics-listen ADDR:PORT|unix:PATH                           (default: none)
        Serve Prometheus metrics by HTTP at /metrics, and at /healthz whether
        all is well (200 or 503, with the reason). There is no login: use an
        address such as 127.0.0.1:9564 that only those can reach who may know
        how the directory is used. Names of files are never shown.

Others
  --print-capabilities
        Print what QEMU's tools want to know of a back end, and exit; all other
        flags are ignored.
  --version
        Print the version, and exit.
  --help, -h
        Print this, and exit.

Stored file IDs: 'vhost-user-9p qid dump DIR' prints what is stored for the
shared directory DIR, 'qid check DIR' says what is wrong with it, and 'qid
repair DIR' repairs it. 'vhost-user-9p qid --help' says more.

Signals: SIGTERM or SIGINT finishes the requests that are being executed, stores
what must be, removes the socket and exits; a second one exits at once. SIGHUP
reads --throttle-file again. QEMU does not survive the loss of its back end at
every moment: end the virtual machine, or unplug the device, before the daemon.

Exit status: 0 after a signal, or when the connection given with --fd has ended;
1 if something failed; 2 if the command line is wrong.
`

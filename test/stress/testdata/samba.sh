# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What a guest with a Samba server does; $run is the number of the boot. Samba has two
# shares: "nine" on the 9p mount, and "own" on the guest's own tmpfs, to compare with.

setup() {
	mkdir -p /tmp/samba/{private,lock,state,cache,pid,ncalrpc} /tmp/own /mnt/nine
	cat >/tmp/smb.conf <<-END
		[global]
		server role = standalone server
		interfaces = lo
		bind interfaces only = yes
		smb ports = 445
		private dir = /tmp/samba/private
		lock directory = /tmp/samba/lock
		state directory = /tmp/samba/state
		cache directory = /tmp/samba/cache
		pid directory = /tmp/samba/pid
		ncalrpc dir = /tmp/samba/ncalrpc
		log file = /tmp/samba/log
		disable spoolss = yes
		load printers = no
		read only = no
		oplocks = $1
		level2 oplocks = $1
		[nine]
		path = /mnt/nine
		[own]
		path = /tmp/own
	END
	printf 'pw\npw\n' | smbpasswd -c /tmp/smb.conf -s -a root
	smbd -s /tmp/smb.conf -D
	for _ in {1..100}; do
		smbclient -s /tmp/smb.conf -U root%pw //127.0.0.1/nine -c ls && return
		sleep 0.1
	done
	return 1
}

stop() {
	kill "$(cat /tmp/samba/pid/smbd.pid)"
	while [ -e /tmp/samba/pid/smbd.pid ]; do sleep 0.1; done
}

client() { # COMMANDS: one session of smbclient
	smbclient -s /tmp/smb.conf -U root%pw //127.0.0.1/nine -c "$1"
}

# Two clients at once, each in a folder of its own; then one reads what the other wrote.
session() { # NUMBER
	local here=/tmp/client-$1
	mkdir -p "$here"
	cd "$here"
	head -c 3000001 /dev/urandom >big
	head -c 12345 /dev/urandom >small
	: >empty
	client "mkdir c$1; cd c$1; put big; put small; put empty; mkdir d; cd d; put small deep; rename deep deeper; cd ..;
		put big gone; del gone; get big big-back; get small small-back; get empty empty-back; get d/deeper deep-back"
	cmp big big-back
	cmp small small-back
	cmp empty empty-back
	cmp small deep-back
	cmp big "/mnt/nine/c$1/big"
	test ! -e "/mnt/nine/c$1/gone"
	echo "$1" >"/mnt/nine/c$1/done"
}
sessions() {
	rm -rf /mnt/nine/c1 /mnt/nine/c2
	session 1 &
	session 2
	wait $!
	(
		cd /tmp/client-2
		client 'cd c1; get big others; del big; cd ../c2; put others big'
		cmp others /tmp/client-1/big
	)
	test ! -e /mnt/nine/c1/big
	cmp /mnt/nine/c2/big /tmp/client-1/big
}

torture() { # SHARE TEST...: the outcome of each of smbtorture's cases
	local share=$1 t
	shift
	for t in "$@"; do
		timeout 120 smbtorture -s /tmp/smb.conf -U root%pw "//127.0.0.1/$share" "$t" 2>&1 </dev/null |
			sed -nE "s/^(success|failure|error|skip): ([^[]*).*/$t \2: \1/p"
	done >"/tmp/torture-$share"
}
compare() { # TEST...
	torture own "$@" &
	torture nine "$@"
	wait $!
	cat /tmp/torture-nine
	test "$(grep -c ': success$' /tmp/torture-own)" -ge $#
	diff /tmp/torture-own /tmp/torture-nine
}

case $run in
1)
	setup yes
	part sessions-oplocks sessions
	part torture-oplocks compare smb2.lock smb2.rename smb2.rw smb2.read smb2.sharemode \
		smb2.oplock.exclusive1 smb2.oplock.batch1 smb2.oplock.brl1
	part clients-oplocks python3 /run/vm/clients.py shared
	stop
	setup no
	part sessions sessions
	part torture compare smb2.lock smb2.delete-on-close-perms
	part clients python3 /run/vm/clients.py shared
	python3 /run/vm/clients.py ids >/mnt/ids-1
	stop
	;;
*)
	setup yes
	python3 /run/vm/clients.py -r ids >"/mnt/ids-$run"
	stop
	;;
esac

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots a guest with the folder SHARE at /mnt, served by the daemon, and gives a
# shell there; or runs the shell command CMD there, with its output on stdout and
# stderr and its exit status (125 if the guest did not get as far). Whatever is
# missing is fetched and built first; the first time that takes two minutes.
#
# usage: SHARE=DIR [CMD='COMMAND'] demo.sh

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"

readonly boot_seconds=120

case ${1:-} in
-h | --help)
	usage
	exit
	;;
'') ;;
*) die "unexpected argument: $1 (see --help)" ;;
esac

share=${SHARE:-}
[[ -n $share ]] || die "SHARE is not set: name the folder to serve, as in: make demo SHARE=/some/dir"
[[ -e $share ]] || die "SHARE=$share does not exist"
[[ -d $share ]] || die "SHARE=$share is not a folder"
share=$(realpath -- "$share")
need_amd64
need_go

# What runs, to be ended in this order.
guest='' feeder='' daemon='' terminal=''
temporary=$(mktemp -d "${TMPDIR:-/tmp}/vhost-user-9p.XXXXXX")

# shellcheck disable=SC2317 # the trap calls it
# end PROCESS asks a process to end, and makes it after ten seconds.
end() {
	local tenths
	[[ -n $1 ]] || return 0
	kill "$1" 2>/dev/null || true
	for ((tenths = 0; tenths < 100; tenths++)); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null && say "process $1 had to be killed"
	wait "$1" 2>/dev/null || true
}

# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	trap '' INT TERM HUP
	end "$feeder"
	end "$guest"
	end "$daemon"
	[[ -z $terminal ]] || stty "$terminal" </dev/tty || true
	rm -rf "$temporary"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# give_up shows what the parts last said.
give_up() {
	local name
	for name in daemon qemu console; do
		[[ -s $temporary/$name.log ]] || continue
		say "the end of what the $name said:"
		tail -n 20 "$temporary/$name.log" >&2
	done
	say "error: $*"
	exit 125
}

initramfs=$temporary/initramfs
if [[ -n ${CMD:-} ]]; then
	printf '%s\n' "$CMD" >"$temporary/command"
	"$hack/initramfs.sh" --output "$initramfs" --command "$temporary/command" >/dev/null
else
	"$hack/initramfs.sh" --output "$initramfs" >/dev/null
fi

say "building the daemon"
(
	unset MAKEFLAGS MAKELEVEL MFLAGS # of a make that called this script
	logged "make build" "$temporary/build.log" make -C "$hack/.." build
)

socket=$temporary/socket
"$hack/../bin/vhost-user-9p" --socket-path "$socket" --shared-dir "$share" --tag share \
	>"$temporary/daemon.log" 2>&1 </dev/null &
daemon=$!
for ((tenths = 0; ; tenths++)); do
	[[ ! -S $socket ]] || break
	kill -0 "$daemon" 2>/dev/null || give_up "the daemon ended before it listened"
	((tenths < 100)) || give_up "the daemon does not listen"
	sleep 0.1
done

options=(--socket "$socket" --initrd "$initramfs" --status "$temporary/status")
: >"$temporary/status"
readers=()
if [[ -n ${CMD:-} ]]; then
	# Pipes, because stdout and stderr may be what QEMU cannot open by name.
	exec 5> >(exec cat)
	readers+=($!)
	exec 6> >(exec cat >&2)
	readers+=($!)
	options+=(--console "$temporary/console.log" --stdout /dev/fd/5 --stderr /dev/fd/6)
	exec 3</dev/null
elif [[ -t 0 ]]; then
	terminal=$(stty -g)
	read -r rows columns < <(stty size)
	options+=(--append "v9p.size=${rows}x$columns TERM=${TERM:-linux}")
	exec 3<&0
else
	# Input that is not typed waits for the guest's terminal, and ends with Ctrl-D.
	mkfifo "$temporary/stdin"
	exec 4<&0
	{
		until grep -q up "$temporary/status"; do sleep 0.2; done
		exec cat - <(printf '\004') <&4
	} >"$temporary/stdin" &
	feeder=$!
	exec 3<"$temporary/stdin"
fi

say "booting the guest (about 10 s)"
"$hack/run-qemu.sh" "${options[@]}" <&3 2>"$temporary/qemu.log" &
guest=$!
deadline=$((SECONDS + boot_seconds))
until [[ -s $temporary/status ]] || ! kill -0 "$guest" 2>/dev/null; do
	((SECONDS < deadline)) || give_up "the guest did not come up within $boot_seconds s"
	sleep 0.2
done
wait "$guest" || true
guest=
if ((${#readers[@]})); then
	exec 5>&- 6>&-
	wait "${readers[@]}"
fi

outcome=$(tail -n 1 "$temporary/status")
case $outcome in
"exit "*) exit "${outcome#exit }" ;;
failed:*) give_up "the guest $outcome" ;;
up) give_up "the guest ended before its command did" ;;
*) give_up "the guest ended before it had mounted the share" ;;
esac

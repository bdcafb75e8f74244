#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command in User-mode Linux: a real Linux 9p client that connects to the
# vhost-user back end itself, at native speed. It boots and ends in about a second.
#
# The guest's root is a folder of this machine, read-only, with tmpfs at /tmp,
# /run, /root and /dev/shm; only the share goes over 9p.
#
# usage: run-uml.sh --socket PATH --command FILE [OPTION]...
#        run-uml.sh --no-share --command FILE [OPTION]...
#
#   --socket PATH     socket of the vhost-user back end (which must be listening)
#   --no-share        run without a share
#   --command FILE    what to run in the guest, in the share: executed if it is
#                     executable, else given to bash
#   --add SRC:DEST    put a copy of the file or folder SRC at /run/vm/DEST in the guest
#   --tag TAG         mount tag [share]
#   --opts OPTIONS    mount options of the share, see guest-init
#   --type TYPE       9p, or virtiofs for a virtiofsd behind the socket [9p]
#   --root DIR        the guest's root [the Debian root of debian-root.sh]
#   --init PATH       a program in the root to run as process 1 instead of
#                     guest-init; it mounts everything itself
#   --mem SIZE        memory [2G]
#   --cpus N          processors, 1 or 2 [1]
#   --console FILE    append kernel messages to FILE; without it they are shown
#                     only if the guest does not get as far as the command
#   --append STRING   more kernel command line
#
# The exit status is that of the command, or 125 if the guest did not get as far.

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"

socket='' share=yes command='' tag=share opts='' type=9p root='' init='' mem=2G cpus=1 console=''
append=() additions=()
while (($#)); do
	case $1 in
	--*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
	esac
	case $1 in
	--no-share)
		share=
		shift
		continue
		;;
	-h | --help)
		usage
		exit
		;;
	esac
	need_value "$1" $#
	case $1 in
	--socket) socket=$2 ;;
	--command) command=$2 ;;
	--add)
		[[ $2 == ?*:?* ]] || die "--add needs SRC:DEST, not $2"
		additions+=("$2")
		;;
	--tag) tag=$2 ;;
	--opts) opts=$2 ;;
	--type) type=$2 ;;
	--root) root=$2 ;;
	--init) init=$2 ;;
	--mem) mem=$2 ;;
	--cpus) cpus=$2 ;;
	--console) console=$2 ;;
	--append) read -ra append <<<"$2" ;;
	*) die "unexpected argument: $1 (see --help)" ;;
	esac
	shift 2
done

device=()
if [[ -z $share ]]; then
	tag=none
else
	[[ -S $socket ]] || die "no vhost-user back end: --socket must name a listening socket, not '$socket'"
	socket=$(realpath "$socket")
	[[ $socket != *[:\ ]* ]] || die "User-mode Linux takes no colon or space in a socket's path: $socket"
	case $type in
	9p) device=("virtio_uml.device=$socket:9") ;;
	virtiofs) device=("virtio_uml.device=$socket:26") ;;
	*) die "--type must be 9p or virtiofs, not $type" ;;
	esac
fi
[[ -n $init || -f $command ]] || die "--command must name a file, not '$command'"
linux=$("$hack/build-uml.sh")
[[ -n $root ]] || root=$("$hack/debian-root.sh")
root=$(realpath "$root")
[[ $root =~ ^[[:alnum:]/._-]+$ ]] || die "User-mode Linux takes only plain characters in its root's path: $root"

run=$(mktemp -d "${TMPDIR:-/tmp}/vhost-user-9p.XXXXXX")
run=$(realpath "$run")
[[ $run =~ ^[[:alnum:]/._-]+$ ]] || die "User-mode Linux takes only plain characters in TMPDIR: $run"
guest=
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	trap '' INT TERM HUP
	[[ -z ${nudge:-} ]] || kill "$nudge" 2>/dev/null || true
	if [[ -n $guest ]] && kill "$guest" 2>/dev/null; then
		# One that loops, as when its back end is gone, does not listen.
		for _ in {1..20}; do
			kill -0 "$guest" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$guest" 2>/dev/null || true
		{ wait "$guest"; } 2>/dev/null || true
	fi
	rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What the guest sees at /run/vm.
mkdir "$run/vm"
for addition in "${additions[@]}"; do
	destination=$run/vm/${addition##*:}
	[[ -e ${addition%:*} ]] || die "--add: ${addition%:*} does not exist"
	mkdir -p "$(dirname "$destination")"
	cp -rL "${addition%:*}" "$destination"
done
cp "$hack/guest-init" "$run/vm/init"
chmod 755 "$run/vm/init"
: >"$run/vm/status"
[[ -n $console ]] || console=$run/console
boot=("${device[@]}" ${opts:+"v9p.opts=$opts"} "${append[@]}")
if [[ -n $init ]]; then
	boot+=("init=$init")
else
	cp "$command" "$run/vm/command"
	boot+=(
		"v9p.tag=$tag" "v9p.type=$type" "v9p.stdout=/dev/tty1" "v9p.stderr=/dev/tty2" "v9p.status=/run/vm/status"
		init=/bin/busybox -- sh -c # the quotes are for the kernel
		"\"busybox mount -t tmpfs -o mode=755 tmpfs /run; busybox mkdir /run/vm; busybox mount -t hostfs -o $run/vm none /run/vm; exec /run/vm/init\""
	)
fi

# User-mode Linux puts a terminal into raw mode: do not show it one.
if [[ -t 1 ]]; then exec > >(exec cat); fi
if [[ -t 2 ]]; then exec 2> >(exec cat >&2); fi

# The guest must not outlive this script, however that ends.
TMPDIR=/dev/shm setpriv --pdeathsig TERM "$linux" \
	"mem=$mem" "ncpus=$cpus" root=98:0 rootfstype=hostfs "rootflags=$root" ro seccomp=on "uml_dir=$run/uml" \
	console=tty0 con=null con0=null,fd:3 con1=null,fd:1 con2=null,fd:2 quiet panic=-1 \
	"${boot[@]}" </dev/null 3>>"$console" &
guest=$!
# With several processors, User-mode Linux 7.3 now and then loses a SIGIO: both sleep, with an
# event in a socket that they are to be woken for. Another one has it look.
nudge=
if ((cpus > 1)); then
	while sleep 0.2 && caught=$(sed -n 's/^SigCgt:\s*//p' "/proc/$guest/status" 2>/dev/null); do
		(((0x0$caught >> 28 & 1) == 0)) || kill -IO "$guest" 2>/dev/null || true # SIGIO is 29
	done &
	nudge=$!
fi
code=0
{ wait "$guest"; } 2>/dev/null || code=$? # without the shell's own line on a crash
guest=
[[ -z $nudge ]] || kill "$nudge" 2>/dev/null || true

if [[ -n $init ]] && ((code == 0)); then
	exit
fi
outcome=$(tail -n 1 "$run/vm/status")
case $outcome in
"exit "*) exit "${outcome#exit }" ;;
esac
[[ ! -e $run/console ]] || tail -n 40 "$run/console" >&2
say "the guest ended early: ${outcome:-no sign of life}; User-mode Linux exited with status $code"
exit 125

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs QEMU 11 from the cached Debian root with Debian's kernel and an initramfs
# of initramfs.sh. The guest's virtio-9p device is served by a vhost-user back
# end, or for comparison by QEMU's own 9p server. The script becomes QEMU: a
# signal to it reaches QEMU, and its exit status is QEMU's.
#
# usage: run-qemu.sh --socket PATH [OPTION]... [-- QEMU-ARGUMENT...]
#        run-qemu.sh --peer=qemu --share DIR [OPTION]... [-- QEMU-ARGUMENT...]
#        run-qemu.sh --peer=none [OPTION]... [-- QEMU-ARGUMENT...]
#
#   --peer vhost|qemu|none  who serves the share [vhost]
#   --socket PATH     socket of the vhost-user back end (which must be listening)
#   --share DIR       what QEMU's own 9p server serves
#   --security-model MODEL  how it keeps owners [passthrough]
#   --tag TAG         mount tag [share]
#   --vq-size N       size of the virtqueue [128]
#   --packed          let the virtqueue be a packed one, if the back end offers that
#   --mem SIZE        memory [1G]
#   --cpus N          virtual CPUs [2]
#   --initrd FILE     initramfs [the one that initramfs.sh keeps in the cache]
#   --opts OPTIONS    mount options of the share, see guest-init
#   --append STRING   more kernel command line
#   --unmounted       leave it to the guest's command to mount the share
#   --chroot          give the guest the Debian root as a second, read-only 9p
#                     share, and run its command or shell in a chroot there
#   --qmp PATH        listen there with a QMP server; it may be given several times, as
#                     each serves one client at a time
#   --console FILE    the console to FILE; without it, it is on stdin and stdout
#                     (on a terminal, Ctrl-a x ends QEMU at once)
#   --stdin FIFO      standard input of the guest's command, without it there is none
#   --stdout FILE     standard output of the guest's command, instead of the console
#   --stderr FILE     its standard error, likewise
#   --status FILE     the guest's status lines: "up", then "exit N" or "failed: WHY"
#   --reboot          let the guest reboot; without it a reboot ends QEMU
#
# What goes to a FILE is appended, except the console; a FILE may be a FIFO.

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"

peer=vhost socket='' share='' tag=share vq_size=128 mem=1G cpus=2 initrd='' append='' console='' unmounted='' chroot='' reboot='' packed='' security_model=passthrough
declare -A streams=() # name -> file
monitors=()           # paths
while (($#)); do
	case $1 in
	--*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
	esac
	case $1 in
	--peer | --socket | --share | --security-model | --tag | --vq-size | --mem | --cpus | --initrd | --opts | --append | --qmp | --console | --stdin | --stdout | --stderr | --status)
		need_value "$1" $#
		;;
	esac
	case $1 in
	--peer) peer=$2 ;;
	--socket) socket=$2 ;;
	--share) share=$2 ;;
	--security-model) security_model=$2 ;;
	--tag) tag=$2 ;;
	--vq-size) vq_size=$2 ;;
	--mem) mem=$2 ;;
	--cpus) cpus=$2 ;;
	--initrd) initrd=$2 ;;
	--opts) append+=" v9p.opts=$2" ;;
	--append) append+=" $2" ;;
	--qmp) monitors+=("$2") ;;
	--console) console=$2 ;;
	--stdin | --stdout | --stderr | --status) streams[${1#--}]=$2 ;;
	--unmounted | --chroot | --reboot | --packed)
		printf -v "${1#--}" yes
		shift
		continue
		;;
	--)
		shift
		break
		;;
	-h | --help)
		usage
		exit
		;;
	*) die "unexpected argument: $1 (see --help)" ;;
	esac
	shift 2
done
case $peer in
vhost) [[ -S $socket ]] || die "no vhost-user back end: --socket must name a listening socket, not '$socket'" ;;
qemu) [[ -d $share ]] || die "--peer=qemu needs a folder to serve: --share must name one, not '$share'" ;;
none) tag=none ;;
*) die "--peer must be vhost, qemu or none, not $peer" ;;
esac

root=$("$hack/debian-root.sh")
kernel=$("$hack/guest-kernel.sh")
[[ -n $initrd ]] || initrd=$("$hack/initramfs.sh")
mounted=$tag
[[ -z $unmounted ]] || mounted=none

# The Debian root's own loader and libraries: the machine's may be too old.
arguments=(
	"$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu"
	"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios"
	-nodefaults -no-user-config -display none
	-machine "pc,memory-backend=memory" -object "memory-backend-memfd,id=memory,size=$mem,share=on"
	-accel "tcg,thread=multi" -cpu max -smp "$cpus" -m "$mem"
	-kernel "$kernel/vmlinuz" -initrd "$initrd"
	-append "console=ttyS0 quiet panic=-1 tsc=reliable v9p.tag=$mounted${chroot:+ v9p.chroot=1}$append"
)
[[ -n $reboot ]] || arguments+=(-no-reboot)
for path in "${monitors[@]}"; do
	arguments+=(-qmp "unix:${path//,/,,},server=on,wait=off")
done

# Commas are doubled inside QEMU's option values.
case $peer in
vhost)
	arguments+=(
		-chardev "socket,id=share,path=${socket//,/,,}"
		-device "vhost-user-test-device-pci,chardev=share,virtio-id=9,num_vqs=1,vq_size=$vq_size,config_size=$((2 + $(printf %s "$tag" | wc -c)))${packed:+,packed=on}"
	)
	;;
qemu)
	arguments+=(
		-fsdev "local,id=share,path=${share//,/,,},security_model=${security_model//,/,,},multidevs=remap"
		-device "virtio-9p-pci,fsdev=share,mount_tag=${tag//,/,,}"
	)
	;;
esac
if [[ -n $chroot ]]; then
	arguments+=(
		-fsdev "local,id=root,path=${root//,/,,},security_model=none,multidevs=remap,readonly=on"
		-device "virtio-9p-pci,fsdev=root,mount_tag=root"
	)
fi

# What guest-init calls streams are virtio-serial ports.
arguments+=(-device virtio-serial-pci)
for name in "${!streams[@]}"; do
	kind="file,append=on"
	[[ $name != stdin ]] || kind=pipe
	arguments+=(
		-chardev "$kind,id=$name,path=${streams[$name]//,/,,}"
		-device "virtserialport,chardev=$name,name=v9p.$name"
	)
done
if [[ -n $console ]]; then
	arguments+=(-serial "file:$console")
elif [[ -t 0 ]]; then
	arguments+=(-serial mon:stdio)
else
	arguments+=(-chardev "stdio,id=console,signal=off" -serial chardev:console)
fi

QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu exec "${arguments[@]}" "$@"

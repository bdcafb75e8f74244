#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the initramfs of the QEMU guests: busybox, the kernel modules and
# guest-init (which says what it does and what it reads from the kernel command
# line). It is not compressed, as unpacking would cost an emulated guest more
# time than reading. Prints the path of the file.
#
# usage: initramfs.sh [-o OUT] [--command FILE] [--add SRC:DEST]...
#
#   -o, --output OUT   write to OUT; without it, to the cache
#   --command FILE     what the guest runs instead of an interactive shell
#   --add SRC:DEST     put a copy of the file or folder SRC at /run/vm/DEST in the
#                      guest, or at DEST if that begins with a slash

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"

# archive FOLDER writes a folder as cpio to stdout, owned by root.
archive() {
	(cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
		"$root/bin/busybox" cpio -0 -o -H newc -R 0:0 2>/dev/null)
}

# base OUT makes the part that is the same for all guests.
base() {
	local tree=$1/tree
	mkdir -p "$tree/bin" "$tree/etc"
	cp "$root/bin/busybox" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	cp -r "$kernel/modules" "$kernel/modules.list" "$tree/"
	cp "$hack/guest-init" "$tree/init"
	chmod 755 "$tree/init"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	archive "$tree" >"$1/cpio"
	rm -rf "$tree"
}

output=
additions=()
while (($#)); do
	case $1 in
	-o | --output)
		need_value "$1" $#
		output=$2
		shift 2
		;;
	--command)
		need_value "$1" $#
		additions+=("$2:command")
		shift 2
		;;
	--add)
		need_value "$1" $#
		[[ $2 == ?*:?* ]] || die "--add needs SRC:DEST, not $2"
		additions+=("$2")
		shift 2
		;;
	-h | --help)
		usage
		exit
		;;
	*) die "unexpected argument: $1 (see --help)" ;;
	esac
done
if [[ -z $output ]] && ((${#additions[@]})); then
	die "--command and --add need --output"
fi

root=$("$hack/debian-root.sh")
kernel=$("$hack/guest-kernel.sh")
recipe=$(cat "$hack/guest-init" "$hack/initramfs.sh" "$kernel/modules.list" | sha256sum | cut -c 1-12)
path=$(cached "initramfs-${root##*-}-${kernel##*-}-$recipe" base)/cpio
if [[ -z $output ]]; then
	printf '%s\n' "$path"
	exit
fi

# The kernel accepts several archives in a row: what is added comes second.
mkdir -p "$(dirname "$output")"
temporary=$(mktemp -d "$output.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/tree"
for addition in "${additions[@]}"; do
	source=${addition%:*}
	destination=${addition##*:}
	[[ $destination == /* ]] || destination=/run/vm/$destination
	destination=$temporary/tree$destination
	[[ -e $source ]] || die "--add: $source does not exist"
	mkdir -p "$(dirname "$destination")"
	cp -rL "$source" "$destination"
done
{
	cat "$path"
	archive "$temporary/tree"
} >"$temporary/cpio"
mv "$temporary/cpio" "$output"
printf '%s\n' "$output"

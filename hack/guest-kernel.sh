#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches Debian's kernel (trixie-backports) for QEMU guests into the cache and
# prints the path of a folder with
#   vmlinuz        the kernel
#   modules/*.ko   the virtio and 9p modules and what they depend on, unpacked
#   modules.list   their file names, in the order in which they must be loaded
#   version        the kernel's version
# It takes about 20 seconds: the packages are 120 MB.
#
# usage: guest-kernel.sh

set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

readonly recipe=guest-kernel-1
readonly wanted=(virtio_pci 9pnet_virtio 9p)

# add_module NAME TREE DIR copies a module after those that it depends on.
add_module() {
	local name=${1//-/_} tree=$2 dir=$3 file dependency
	local pattern=${name//_/[-_]}
	if grep -qx "$name.ko" "$dir/modules.list"; then
		return 0
	fi
	file=$(find "$tree/kernel" -name "$pattern.ko*" -print -quit)
	if [[ -z $file ]]; then
		grep -qE "/$pattern\.ko$" "$tree/modules.builtin" || die "the kernel has no module $name"
		return 0
	fi
	while read -r dependency; do
		add_module "$dependency" "$tree" "$dir"
	done < <(modinfo --field depends "$file" | tr , '\n' | sed '/^$/d')
	case $file in
	*.xz) xz --decompress --stdout "$file" ;;
	*.zst) zstd --quiet --decompress --stdout "$file" ;;
	*.gz) gzip --decompress --stdout "$file" ;;
	*) cat "$file" ;;
	esac >"$dir/modules/$name.ko"
	printf '%s\n' "$name.ko" >>"$dir/modules.list"
}

build() {
	local dir=$1 apt=$1/apt deb=$1/deb image release tree name
	say "fetching Debian's kernel (120 MB, about 20 s)"
	private_apt "$apt"
	image=$(newest_dependency linux-image-amd64 'linux-image-[0-9].*')
	release=${image#linux-image-}
	mkdir "$deb" "$dir/modules"
	unpack_package "linux-base-$release" "$deb"
	unpack_package "linux-binary-$release" "$deb"
	unpack_package "linux-modules-$release" "$deb"

	tree=$deb/usr/lib/modules/$release
	[[ -e $tree/vmlinuz && -d $tree/kernel ]] || die "linux-binary-$release or linux-modules-$release has another layout than expected"
	: >"$dir/modules.list"
	for name in "${wanted[@]}"; do
		add_module "$name" "$tree" "$dir"
	done
	mv "$tree/vmlinuz" "$dir/vmlinuz"
	printf '%s\n' "$release" >"$dir/version"
	rm -rf "$deb" "$apt"
	say "the guest kernel is ready: $release"
}

case ${1:-} in
-h | --help)
	usage
	exit
	;;
'') ;;
*) die "unexpected argument: $1 (see --help)" ;;
esac
need_amd64
if [[ ! -e $V9P_CACHE/$recipe ]]; then
	need_packages modinfo:kmod xz:xz-utils zstd:zstd
fi
cached "$recipe" build

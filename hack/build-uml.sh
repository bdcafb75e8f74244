#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds User-mode Linux from Debian's kernel source, with the 9p client and the
# vhost-user front end (virtio_uml) built in, and prints the path of the program.
#
# Debian's own User-mode Linux has no virtio 9p transport. The first build takes
# 7 to 10 minutes on two cores and 3 GB of disk while it runs; later calls find
# the program in the cache.
#
# usage: build-uml.sh

set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

readonly recipe=uml-2
readonly build_log=$V9P_CACHE/logs/$recipe.log

# What is added to the architecture's default configuration.
readonly enabled=(
	VIRTIO_UML NET_9P NET_9P_VIRTIO 9P_FS 9P_FS_POSIX_ACL 9P_FS_SECURITY # the client under test
	FUSE_FS VIRTIO_FS                                                    # virtiofs, to compare with
	HOSTFS DEVTMPFS TMPFS TMPFS_XATTR TMPFS_POSIX_ACL OVERLAY_FS         # the guest's own files
	EXT4_FS EXT4_FS_POSIX_ACL EXT4_FS_SECURITY BLK_DEV_LOOP
	FSCACHE CACHEFILES 9P_FSCACHE                                        # what cache=fscache needs
	BLK_DEV_INITRD SMP DEBUG_INFO_NONE
)

# configure SOURCE. It runs as a condition, where set -e has no effect.
configure() {
	local src=$1 symbol changes=(--disable MODULES --disable DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT)
	for symbol in "${enabled[@]}"; do
		changes+=(--enable "$symbol")
	done
	make -C "$src" ARCH=um defconfig &&
		"$src/scripts/config" --file "$src/.config" "${changes[@]}" &&
		make -C "$src" ARCH=um olddefconfig || return
	for symbol in "${enabled[@]}"; do
		if ! grep -qx "CONFIG_$symbol=y" "$src/.config"; then
			echo "the kernel's configuration has no CONFIG_$symbol=y"
			return 1
		fi
	done
}

# report SOURCE counts the compiled objects twice a minute, until SOURCE is gone.
report() {
	local seconds
	for ((seconds = 1; ; seconds++)); do
		sleep 1
		[[ -d $1 ]] || return 0
		((seconds % 30)) || say "$seconds s: $(grep -cE '^  (CC|AS) ' "$build_log") objects of about 1000"
	done
}

build() {
	local dir=$1 apt=$1/apt src=$1/src package
	say "downloading Debian's kernel source (150 MB)"
	private_apt "$apt"
	package=$(newest_dependency linux-source 'linux-source-[0-9.]+')
	unpack_package "$package" "$dir/deb"
	rm -rf "$apt"

	say "unpacking $package (about 30 s)"
	mkdir "$src"
	tar -xf "$dir/deb/usr/src/$package.tar.xz" -C "$src" --strip-components=1
	rm -rf "$dir/deb"

	say "configuring"
	logged "configuring the kernel" "$build_log" configure "$src"
	say "compiling with $(nproc) jobs (7 to 10 minutes on two cores); log: $build_log"
	report "$src" &
	logged "compiling the kernel" "$build_log" make -C "$src" ARCH=um -j"$(nproc)" linux

	strip -o "$dir/linux" "$src/linux"
	cp "$src/.config" "$dir/config"
	rm -rf "$src"
	say "User-mode Linux is ready: $package"
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
	need_packages gcc:gcc make:make flex:flex bison:bison bc:bc xz:xz-utils strip:binutils perl:perl /usr/include/stdio.h:libc6-dev
fi
path=$(cached "$recipe" build)
printf '%s\n' "$path/linux"

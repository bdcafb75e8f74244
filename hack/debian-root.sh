#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a Debian root (trixie and its backports) in the cache and prints its path.
#
# It holds QEMU 11, which is run from there without a chroot, and the programs
# that guests run against the share. It takes about a minute and 750 MB.
# As another user than root it needs user namespaces and subordinate ids.
#
# usage: debian-root.sh

set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

readonly recipe=debian-root-3

readonly packages=(
	# the virtual machine
	qemu-system-x86 seabios
	# the guest's userland
	bash coreutils findutils diffutils grep sed tar util-linux mount procps busybox-static
	# what runs against the share
	git sqlite3 rsync attr acl libcap2-bin strace fio stress-ng dbench samba smbclient samba-testsuite
	# other file systems and the peer to compare with
	e2fsprogs xfsprogs btrfs-progs virtiofsd
)

build() {
	local sources include
	mapfile -t sources < <(debian_sources)
	((${#sources[@]})) || return 1
	include=$(IFS=, && printf '%s' "${packages[*]}")
	say "making a Debian root with QEMU (about a minute, 750 MB)"
	logged mmdebstrap "$V9P_CACHE/logs/$recipe.log" mmdebstrap --variant=minbase --architectures=amd64 \
		--aptopt='APT::Default-Release "trixie-backports"' \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$include" trixie "$1" "${sources[@]}"
	say "the Debian root is ready"
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
	need_packages mmdebstrap:mmdebstrap \
		/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
fi
cached "$recipe" build

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared by the scripts in this folder; source it, do not run it.
#
# Everything built here lives in one cache folder outside the checkout, under
# names that carry a recipe version: raise the version when a recipe changes.
# Standard output belongs to results (a path), standard error to progress.

# Without this a failure inside $(...) would go unnoticed.
shopt -s inherit_errexit

readonly V9P_CACHE="${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/vhost-user-9p"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

# usage prints the comment at the head of the running script.
usage() { sed -n '2,/^[^#]/{/SPDX/d;/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# need_value OPTION COUNT dies unless an option is followed by its value.
need_value() { (($2 >= 2)) || die "$1 needs a value (see --help)"; }

# cached NAME BUILDER prints the path of NAME in the cache. If it is missing,
# BUILDER is called with an empty folder to fill, which is renamed to NAME when
# BUILDER succeeds: what stands in the cache is complete. Of two calls at once
# the second waits for the first.
cached() {
	local name=$1 builder=$2 lock
	local path=$V9P_CACHE/$name partial=$V9P_CACHE/$name.partial
	if [[ ! -e $path ]]; then
		mkdir -p "$V9P_CACHE"
		exec {lock}>"$V9P_CACHE/$name.lock"
		if ! flock --nonblock "$lock"; then
			say "waiting for another run that is building $name"
			flock "$lock"
		fi
		if [[ ! -e $path ]]; then
			rm -rf --one-file-system "$partial"
			mkdir "$partial"
			# A subshell of its own, so that set -e holds inside the
			# builder and an interrupted one leaves nothing behind.
			(
				trap 'rm -rf --one-file-system "$partial"' EXIT
				trap 'exit 130' INT TERM
				"$builder" "$partial" >&2
				mv -T "$partial" "$path"
			)
		fi
		exec {lock}>&-
	fi
	printf '%s\n' "$path"
}

# logged WHAT LOG COMMAND... runs a command with its output in a log file, whose
# end is shown if the command fails.
logged() {
	local what=$1 log=$2
	shift 2
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		die "$what failed; the whole log is $log"
	fi
}

# need_packages COMMAND:PACKAGE... installs each package whose command is missing.
# A COMMAND with a slash is the path of a file.
need_packages() {
	local item command missing=()
	for item; do
		command=${item%%:*}
		if [[ $command == */* ]]; then
			[[ -e $command ]] || missing+=("${item#*:}")
		else
			command -v "$command" >/dev/null || missing+=("${item#*:}")
		fi
	done
	((${#missing[@]})) || return 0
	if ! command -v apt-get >/dev/null; then
		die "missing programs; install the equivalent of these Debian packages: ${missing[*]}"
	fi
	if ((EUID != 0)); then
		die "missing packages; as root: apt-get install ${missing[*]}"
	fi
	say "installing ${missing[*]}"
	mkdir -p "$V9P_CACHE"
	(
		flock 9
		export DEBIAN_FRONTEND=noninteractive
		logged "apt-get update" "$V9P_CACHE/logs/apt-update.log" apt-get update
		logged "apt-get install" "$V9P_CACHE/logs/apt-install.log" \
			apt-get install --yes --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}"
	) 9>"$V9P_CACHE/apt.lock"
}

need_amd64() {
	[[ $(uname -s)/$(uname -m) == Linux/x86_64 ]] || die "this needs Linux on x86_64, not $(uname -s) on $(uname -m)"
}

# need_go sees to a Go toolchain: any since 1.21 fetches the version that go.mod asks
# for by itself.
need_go() {
	local have
	need_packages go:golang-go
	have=$(go env GOVERSION)
	[[ $(printf 'go1.21\n%s\n' "$have" | sort -V | head -n 1) == go1.21 ]] ||
		die "$have is too old to build the daemon: install Go 1.21 or newer (Debian 13 has it)"
	[[ $(go env GOTOOLCHAIN) != local ]] || export GOTOOLCHAIN=auto
}

# debian_mirror prints the URI of the Debian archive this machine itself uses,
# unless V9P_MIRROR names one.
debian_mirror() {
	local id codename uri
	if [[ -n ${V9P_MIRROR:-} ]]; then
		printf '%s\n' "$V9P_MIRROR"
		return
	fi
	command -v apt-get >/dev/null || die "no apt-get: this needs a Debian machine"
	id=$(. /etc/os-release && printf '%s' "${ID:-}")
	codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	[[ $id == debian ]] || die "not a Debian machine: name a Debian archive in V9P_MIRROR"
	uri=$(apt-get update --print-uris 2>/dev/null |
		sed -nE "s,^'([^']*)/dists/($codename|oldstable|stable|testing|unstable|sid)/main/binary-[^']*'.*,\\1,p" | head -n 1)
	[[ -n $uri ]] || die "apt's configuration has no Debian archive (suite $codename, component main): name one in V9P_MIRROR"
	printf '%s\n' "$uri"
}

# debian_sources prints apt source lines for trixie and its backports.
debian_sources() {
	local mirror suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	mirror=$(debian_mirror)
	[[ -e $keyring ]] || die "$keyring is missing: install debian-archive-keyring"
	for suite in trixie trixie-backports; do
		printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite"
	done
}

# private_apt DIR sets up an apt in DIR that knows trixie and its backports and
# nothing of the packages on this machine. Afterwards APT_CONFIG names it.
private_apt() {
	local dir=$1
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	debian_sources >"$dir/sources.list"
	: >"$dir/status"
	cat >"$dir/apt.conf" <<-END
		Dir::State::lists "$dir/lists";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Etc::sourcelist "$dir/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Default-Release "trixie-backports";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
	END
	export APT_CONFIG=$dir/apt.conf
	logged "apt-get update" "$dir/update.log" apt-get update
}

# newest_dependency PACKAGE REGEX prints the dependency of PACKAGE's candidate
# version that matches. Needs private_apt.
newest_dependency() {
	local version
	version=$(apt-cache policy "$1" | sed -n 's/^  Candidate: //p')
	apt-cache show "$1=$version" |
		sed -n '/^\(Pre-\)\{0,1\}Depends:/{s/^[^:]*://;s/,/\n/g;p}' | sed 's/^ *//; s/ .*//' |
		grep -E -m1 "^$2\$" || die "package $1 $version does not depend on $2: its layout has changed"
}

# unpack_package PACKAGE DIR downloads a package and unpacks it below DIR without
# installing it. Needs private_apt.
unpack_package() {
	local download=$2/.download
	mkdir -p "$download"
	(cd "$download" && logged "download of $1" "$download/log" apt-get download "$1")
	dpkg-deb --extract "$download"/*.deb "$2"
	rm -rf "$download"
}

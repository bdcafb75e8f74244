#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the test suites, one line each, and a summary at the end. The output of a
# suite is kept in a log, whose end is shown if it fails.
#
# usage: test.sh all|check|fuzz|soak|SUITE...
#
#   all     every suite but the soak
#   check   the quick ones: unit and race
#   fuzz    the fuzz targets, FUZZTIME (30s) each
#   soak    the fuzz targets, random operations against the host and random operations in
#           guests for 10 minutes each, a million files, the guests ten times over
#   stress  load on guests, random operations for STRESSTIME (1m)
#   SUITE   unit, race, fuzz, many_files, uml, qemu, stress or demo

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"
cd "$hack/.."

readonly FUZZTIME=${FUZZTIME:-30s}
readonly STRESSTIME=${STRESSTIME:-1m}
logs=$(mktemp -d "${TMPDIR:-/tmp}/vhost-user-9p-test.XXXXXX")
passed=0 failed=0

# suite NAME COMMAND... runs one suite.
suite() {
	local name=$1 log=$logs/${1//\//-}.log began=$SECONDS
	shift
	if "$@" >"$log" 2>&1 </dev/null; then
		printf 'ok    %-28s %5d s\n' "$name" $((SECONDS - began))
		passed=$((passed + 1))
	else
		printf 'FAIL  %-28s %5d s\n' "$name" $((SECONDS - began))
		# What was wrong first: with -v it stands before the verdict, amid other output.
		grep -E '^ +[a-z0-9_]+\.go:[0-9]+: ' "$log" | grep -vE ': [0-9.]+ s$' | head -n 100 || true
		grep -E -A 30 '^(\s*--- FAIL|panic:|FAIL|WARNING: DATA RACE)' "$log" | head -n 150 || true
		printf '  ... the end of %s:\n' "$log"
		tail -n 40 "$log"
		failed=$((failed + 1))
	fi
}

unit() {
	suite unit go test -count=1 ./...
}
race() {
	suite race go test -count=1 -race -timeout 20m ./...
}

# fuzz TIME runs each fuzz target of the module.
fuzz() {
	local file target
	while IFS=: read -r file target; do
		suite "fuzz/${target#Fuzz}" fuzz_target "$1" "$target" "./$(dirname "$file")"
	done < <(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' . | sed -E 's,^\./,,; s,:[0-9]+:func ,:,' | sort)
}

# fuzz_target TIME TARGET PACKAGE fuzzes one. Now and then Go has "context deadline exceeded" for
# an error when the time is over while a worker is at work. Nothing was found then, and it
# is tried once more.
fuzz_target() {
	local command=(go test -run '^$' -fuzz "^$2\$" -fuzztime "$1" -parallel "$(nproc)" "$3") output
	if output=$("${command[@]}" 2>&1); then
		printf '%s\n' "$output"
		return
	fi
	printf '%s\n' "$output"
	[[ $output == *"context deadline exceeded"* && $output != *"Failing input"* ]] || return 1
	"${command[@]}"
}

# guests VEHICLE boots guests under it.
guests() { suite "$1" go test -count=1 -tags boot -timeout 40m -v -run "$2" ./test/...; }
uml() {
	disk_tools
	guests uml UML
}
qemu() {
	disk_tools
	guests qemu QEMU
}

# disk_tools sees to what makes the file systems that tests mount, if they can.
disk_tools() {
	((EUID)) || need_packages mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs
}

# many_files lets guests hold a million files, with few descriptors for them.
many_files() {
	suite many_files env HOSTFS_FILES=1000000 go test -count=1 -timeout 30m -v -run '^TestManyFIDs$' ./ninep/hostfs
}

# stress TIME SEED puts load on guests.
stress() {
	suite stress env "V9P_STRESS_TIME=$1" "V9P_STRESS_SEED=$2" go test -count=1 -tags boot -timeout 60m -v ./test/stress
}

# demo tries what README promises.
demo() { suite demo demo_command; }

demo_command() {
	local share
	share=$(mktemp -d)
	# shellcheck disable=SC2064 # now, not later
	trap "rm -rf '$share'" RETURN
	mkdir "$share/a"
	head -c 3000000 /dev/urandom >"$share/a/random"
	echo hello >"$share/a/hello"
	(cd "$share" && sha256sum a/* | sed 's,  a/,  /mnt/b/,' >sums)
	make demo SHARE="$share" CMD='ls -la /mnt && cp -r /mnt/a /mnt/b && sync && sha256sum -c /mnt/sums'
	cmp "$share/a/random" "$share/b/random"
}

(($#)) || set -- --help
for what; do
	case $what in
	all)
		disk_tools
		unit
		race
		fuzz "$FUZZTIME"
		uml
		qemu
		stress "$STRESSTIME" 1
		demo
		;;
	check)
		unit
		race
		;;
	fuzz) fuzz "$FUZZTIME" ;;
	soak)
		fuzz 10m
		suite differential env V9P_DIFFERENTIAL=10m go test -count=1 -timeout 1h ./ninep/hostfs/differential
		many_files
		stress 10m "$(date +%s)" # another seed each time
		for _ in {1..10}; do
			uml
			qemu
		done
		;;
	unit | race | many_files | uml | qemu | demo) "$what" ;;
	stress) stress "$STRESSTIME" 1 ;;
	-h | --help)
		usage
		exit
		;;
	*) die "no such suite: $what (see --help)" ;;
	esac
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0)) && rm -rf "$logs"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compares the daemon with other servers on this machine, which nothing else should
# keep busy meanwhile. Ends with a table, and leaves it in bench-results/, with
# the figures (JSON) and a chart (SVG).
#
# usage: bench.sh [GO-TEST-FLAG]... [FLAG]...
#
#   -run Guests       part of the tests
#   -guest-rounds 1   a quick look; "go test -tags bench ./test/bench -args -help" has
#                     all flags

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"
cd "$hack/.."

case ${1:-} in
-h | --help)
	usage
	exit
	;;
esac
need_amd64
need_go
need_packages git:git
for script in debian-root build-uml guest-kernel; do
	"$hack/$script.sh" >/dev/null
done
go test -tags bench -count=1 -timeout 0 -v ./test/bench "$@" -results="$PWD/bench-results"

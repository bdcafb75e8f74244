#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes cmd/vhost-user-9p/default.pgo anew: a CPU profile of the daemon while it
# serves what "make bench ARGS='-run Ring -place together'" asks for, by which the
# compiler decides what to inline. Takes some minutes; nothing else should run
# meanwhile. An older profile does no harm: it says nothing of functions that have
# changed their names.

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
need_go
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Without paths of this machine, and without what an older profile has changed.
CGO_ENABLED=0 go build -trimpath -pgo=off -tags profile -o "$dir/vhost-user-9p" ./cmd/vhost-user-9p
V9P_TEST_DAEMON=$dir/vhost-user-9p V9P_CPU_PROFILE=$dir/cpu.pprof \
	go test -tags bench -count=1 -timeout 0 ./test/bench -run Ring -place together -systems vhost-user-9p -rounds 5 -time 1s
# The name of the program is the only one of this machine; one of the same length is as good.
gzip -dc "$dir/cpu.pprof" | LC_ALL=C sed "s,$dir,${dir//[^\/]/x},g" | gzip -n >cmd/vhost-user-9p/default.pgo
say "cmd/vhost-user-9p/default.pgo is new"

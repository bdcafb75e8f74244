#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks what can be checked without running anything: formatting, vet, static
# analysis with the rules of .golangci.yml, the house rules below, and the
# shell scripts.

set -euo pipefail
hack=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$hack/lib.sh"
cd "$hack/.."

readonly GOLANGCI=v2.15.0

linter() {
	say "building golangci-lint $GOLANGCI (once, some minutes)"
	GOBIN=$1 GOFLAGS="" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$GOLANGCI"
}

problems=0
problem() {
	printf '%s\n' "$*" >&2
	problems=$((problems + 1))
}

# Every source file says under which licence it stands.
while read -r file; do
	case $file in
	*/testdata/*) continue ;;
	*.go | *.sh | hack/guest-init | Makefile | .ci/run)
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || problem "$file: no SPDX line at the top"
		;;
	esac
done < <(git ls-files)

# Every package says what it is for.
while read -r dir name doc; do
	[[ -n $doc || $name == main || $name == *_test ]] || problem "$dir: no package comment"
done < <(go list -tags boot,bench -f '{{.Dir}} {{.Name}} {{.Doc}}' ./... | sed "s,^$PWD,.,")

unformatted=$(gofmt -l .)
[[ -z $unformatted ]] || problem "gofmt would change: $unformatted"

go vet ./... || problem "go vet found something"
go vet -tags boot,bench ./test/... || problem "go vet found something in the boot tests or benchmarks"

golangci=$(cached "golangci-lint-$GOLANGCI" linter)/golangci-lint
"$golangci" run ./... || problem "golangci-lint found something"

need_packages shellcheck:shellcheck
mapfile -t scripts < <(git ls-files hack .ci | while read -r file; do
	head -n 1 "$file" | grep -qE '^#!.*sh|shellcheck shell' && printf '%s\n' "$file"
done)
shellcheck -x --source-path=SCRIPTDIR "${scripts[@]}" || problem "shellcheck found something"

((problems == 0)) || die "$problems problems"
say "nothing found"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Kills the daemon with -9 and starts it again, a hundred times in each case, under a
# guest that sleeps until it is called; says what the guest noticed.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
count=100
write=no

usage()
{
    cat <<USAGE
usage: ${0##*/} [--count N] [--write] [BUILD]

Runs tests/e2e/test_restarts of the build directory BUILD (default: build/ in the
source tree) with N restarts in each case (default $count) and prints a table. What
is wrong with an answer, or missing, fails it.

options:
  --count N   restarts in each case
  --write     also put the table into docs/compatibility.md
  -h, --help  this text
USAGE
}

die()
{
    printf 'restarts: %s\n' "$*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --count)
        [[ ${2-} =~ ^[1-9][0-9]*$ ]] || die "--count wants a number from 1 on, not \"${2-}\""
        count=$2
        shift
        ;;
    --write) write=yes ;;
    -*)
        printf 'restarts: unknown option "%s"; see --help\n' "$1" >&2
        exit 2
        ;;
    *) build=$1 ;;
    esac
    shift
done

program=$build/tests/e2e/test_restarts
daemon=$build/app/daemon/dpdk-vhost-rng
for file in "$program" "$daemon"; do
    [[ -x $file ]] || die "no $file; build it with \"ninja -C $build\""
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
VRNG_DAEMON=$daemon VRNG_RESTARTS=$count CMOCKA_MESSAGE_OUTPUT=TAP "$program" </dev/null \
    >"$log" 2>&1 || {
    cat "$log" >&2
    die "a case failed"
}
! grep '^not ok' "$log" >&2 || die "a case failed"

# "key=value" of each result line becomes a row.
table=$(
    awk -v cpus="$(nproc)" -v model="$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)" \
        -v date="$(date +%Y-%m-%d)" '
    BEGIN {
        printf "On %s, on %d CPUs (%s), daemon and front-end sharing them:\n\n", date, cpus, model
        print "| mode | source | depth | request | restarts | requests | lost | answered twice | " \
            "start to answer, mean | longest | longest gap between answers |"
        print "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    }
    /^# restarts=/ {
        for (i = 2; i <= NF; i++) {
            split($i, pair, "=")
            v[pair[1]] = pair[2]
        }
        # The test fails when one is answered twice or amiss: here it can only be 0.
        printf "| %s | %s | %s | %s B | %s | %s | %s | 0 | %s ms | %s ms | %s ms |\n", v["mode"],
            v["source"], v["depth"], v["size"], v["restarts"], v["requests"],
            v["requests"] - v["answers"], v["start_to_answer_mean_ms"],
            v["start_to_answer_max_ms"], v["longest_gap_ms"]
    }' "$log"
)
[[ $table == *'| client |'* ]] || die "the test printed no results"
printf '%s\n' "$table"
[[ $write == no ]] ||
    printf '%s\n' "$table" | "$here/doc-section.py" "$top/docs/compatibility.md" \
        "scripts/restarts.sh --write"

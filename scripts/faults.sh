#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What may go wrong around the daemon, made to: memory, descriptors, disks, sources, clocks, lcores,
# kill -9, and hostile guests for a long time. Prints what was tried and what happened.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
minutes=0
form=table

usage()
{
    cat <<USAGE
usage: ${0##*/} [--soak MINUTES] [--tap] [BUILD]

Runs tests/e2e/test_faults_* and test_soak of the build directory BUILD (default:
build/ in the source tree), a minute or so, and prints a table. Where a fault harms
more than it may, the row says FAILED, and so does the exit status.

With the address sanitizer in BUILD, what needs a preloaded library is left out.

options:
  --soak MINUTES  the long form: each allocation of a start is failed, each kind of
                  restart is done 100 times, and the soak lasts so long
  --tap           TAP instead of a table, for meson
  -h, --help      this text
USAGE
}

die()
{
    printf 'faults: %s\n' "$*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --soak)
        [[ ${2-} =~ ^[1-9][0-9]*$ ]] || die "--soak wants minutes, from 1 on, not \"${2-}\""
        minutes=$2
        shift
        ;;
    --tap) form=tap ;;
    -*)
        printf 'faults: unknown option "%s"; see --help\n' "$1" >&2
        exit 2
        ;;
    *) build=$1 ;;
    esac
    shift
done

build=$(cd "$build" && pwd) || die "no directory $build"
daemon=$build/app/daemon/dpdk-vhost-rng
programs=(faults_memory faults_host faults_source soak)
if ((minutes > 0)); then
    programs=(faults_memory faults_host faults_source restarts soak)
    export VRNG_FAULTS_STRIDE=1 VRNG_RESTARTS=100 VRNG_SOAK_SECONDS=$((minutes * 60))
fi
for name in "${programs[@]}"; do
    [[ -x $build/tests/e2e/test_$name ]] ||
        die "no $build/tests/e2e/test_$name; build it with \"ninja -C $build\""
done
[[ -x $daemon ]] || die "no $daemon; build it with \"ninja -C $build\""

export VRNG_DAEMON=$daemon CMOCKA_MESSAGE_OUTPUT=TAP
unset VRNG_FAULTS
if [[ $(ldd "$daemon") != *libasan* ]]; then
    export VRNG_FAULTS=$build/tests/e2e/faults.so
fi

run_all()
{
    local name status

    for name in "${programs[@]}"; do
        status=0
        "$build/tests/e2e/test_$name" </dev/null 2>&1 || status=$?
        printf '# program %s ended with %d\n' "$name" "$status"
    done
}

# Pairs of "# tried: ..." and "# happened: ..." before a test's "ok" are its rows. What a program has
# to say of a failure goes to stderr.
run_all | awk -v form="$form" '
    function row(verdict, what, text) {
        rows++
        gsub(/\|/, "/", text)
        if (form == "tap")
            printf "%sok %d - %s%s\n", verdict == "FAILED" ? "not " : "", rows, what, \
                verdict == "skipped" ? " # SKIP" : ": " text
        else
            printf "| %s | %s%s |\n", what, verdict == "" ? "" : verdict ": ", text
        fflush()
    }
    function result(verdict, name,   i) {
        if (verdict == "FAILED")
            failed = told = 1
        if (n == 0 || verdict != "")
            row(verdict, name, verdict == "" ? "as it must" : "see what the test says")
        for (i = 1; verdict == "" && i <= n; i++)
            row("", tried[i], happened[i])
        n = 0
    }
    BEGIN { if (form != "tap") print "| what was tried | what happened |\n| --- | --- |" }
    /^# tried: /    { tried[++n] = substr($0, 10); happened[n] = ""; next }
    /^# happened: / { happened[n] = substr($0, 13); next }
    /^# restarts=/  {
        tried[++n] = "kill -9 and start again, " substr($3, 6) " mode, source-" $4 ", " $5
        happened[n] = substr($2, 10) " restarts, " substr($7, 10) " requests, " substr($8, 9) " answers"
        next
    }
    /^(not )?ok / {
        name = $0
        sub(/^(not )?ok [0-9]* ?(- |# SKIP )?/, "", name)
        result($0 ~ /# SKIP/ ? "skipped" : $1 == "not" ? "FAILED" : "", name)
        next
    }
    /^# program .* ended with / {
        if ($NF != 0 && !told)
            result("FAILED", "test_" $3 " ended with " $NF)
        told = n = 0
        next
    }
    /[Ee][Rr][Rr][Oo][Rr]/ { print >"/dev/stderr" }
    END {
        if (form == "tap")
            print "1.." rows
        exit failed > 0
    }' || die "a fault harms more than it may"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The lifecycle campaign: what can happen to a device, its guest, its QEMU and the daemon
# while the guest reads. Prints a table of what passed.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
long=1
write=no

usage()
{
    cat <<USAGE
usage: ${0##*/} [--short] [--write] [BUILD]

Runs the cases of tests/e2e/qemu/test_guest.py and test_lifecycle.py with the daemon of
the build directory BUILD (default: build/ in the source tree) and prints a table. Takes
some ten minutes where there is no KVM. All of the guests' bytes are checked, and a
bystander's on the same daemon. The exit status is 0 when no case failed.

options:
  --short     as continuous integration runs them: fewer rounds, fewer cases
  --write     also put the table into docs/compatibility.md
  -h, --help  this text
USAGE
}

die()
{
    printf 'lifecycle: %s\n' "$*" >&2
    exit 1
}

while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --short) long= ;;
    --write) write=yes ;;
    -*)
        printf 'lifecycle: unknown option "%s"; see --help\n' "$1" >&2
        exit 2
        ;;
    *) build=$1 ;;
    esac
    shift
done

build=$(cd "$build" 2>/dev/null && pwd) || die "no build directory $build"
for file in app/daemon/dpdk-vhost-rng app/bench/dpdk-vhost-rng-bench tests/e2e/qemu/boot_kernel; do
    [[ -x $build/$file ]] || die "no $build/$file; build it with \"ninja -C $build\""
done
"$here/guest-image.sh" "$build/guest" >&2

export VRNG_DAEMON=$build/app/daemon/dpdk-vhost-rng
export VRNG_BENCH=$build/app/bench/dpdk-vhost-rng-bench
export VRNG_BOOT_KERNEL=$build/tests/e2e/qemu/boot_kernel
export VRNG_GUEST_DIR=$build/guest VRNG_SCRIPTS=$here VRNG_LONG=$long
export PYTHONDONTWRITEBYTECODE=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for suite in test_guest test_lifecycle; do
    python3 "$top/tests/e2e/qemu/$suite.py" </dev/null | tee -a "$log" >&2 ||
        die "$suite.py did not get to its end"
done

qemu=$(qemu-system-x86_64 --version | sed -n 's/.*version \([^ ]*\).*/\1/p')
dpdk=$(pkg-config --modversion libdpdk 2>/dev/null || echo unknown)
kernel=$(sed -n 's/^# guest Linux //p' "$log" | head -1)
accel=$("$here/guest-accel.sh" "$build/guest")
table=$(
    awk -v head="On $(date +%Y-%m-%d): DPDK $dpdk, QEMU $qemu ($accel), guest Linux $kernel." '
    function row() {
        if (name != "")
            printf "| %s | %s | %s |\n", name, result, seconds
        name = ""
    }
    BEGIN {
        print head "\n"
        print "| what happened | outcome | seconds |"
        print "| --- | --- | ---: |"
    }
    /^# QEMU.s fault: / { fault = substr($0, 3) }
    /^(not )?ok / {
        row()
        result = /^not/ ? "**failed**" : "passed"
        seconds = ""
        name = $0
        sub(/^(not )?ok [0-9]+ - /, "", name)
        if (match(name, / # SKIP /)) {
            result = substr(name, RSTART + RLENGTH)
            name = substr(name, 1, RSTART - 1)
            result = (result == fault ? "not passed; " : "not run: ") result
        } else if (fault != "") {
            result = result "; " fault
        }
        fault = ""
    }
    /^# [0-9.]+ s$/ && seconds == "" { seconds = $2 }
    END { row() }' "$log"
)
printf '\n%s\n' "$table"
[[ $write == no ]] ||
    printf '%s\n' "$table" | "$here/doc-section.py" "$top/docs/compatibility.md" \
        "scripts/lifecycle.sh --write"
! grep -q '^not ok' "$log" || die "a case failed"

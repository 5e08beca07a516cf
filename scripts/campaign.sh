#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The campaigns: tests that are run for longer than a test suite may take, and a table of what was
# tried and what happened.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
campaign=
minutes=0
count=100
long=1
form=table
write=no

usage()
{
    cat <<USAGE
usage: ${0##*/} faults [--soak MINUTES] [--tap] [BUILD]
       ${0##*/} restarts [--count N] [--write] [BUILD]
       ${0##*/} lifecycle [--short] [--write] [BUILD]

Runs tests with the programs of the build directory BUILD (default: build/ in the
source tree) and prints a table. The exit status is 0 when nothing failed.

campaigns:
  faults      what may go wrong around the daemon, made to: memory, descriptors, disks,
              sources, clocks, lcores, and hostile guests; a minute or so. Where a fault
              harms more than it may, the row says FAILED. With the address sanitizer in
              BUILD, what needs a preloaded library is left out
  restarts    kills the daemon with -9 and starts it again, many times in each case, under
              a guest that sleeps until it is called; says what the guest noticed
  lifecycle   what can happen to a device, its guest, its QEMU and the daemon while the
              guest reads; some ten minutes where there is no KVM. All of the guests'
              bytes are checked, and a bystander's on the same daemon

options:
  --soak MINUTES  the long form of faults: each allocation of a start is failed, each kind
                  of restart is done 100 times, and the soak lasts so long
  --tap           TAP instead of a table, for meson
  --count N       restarts in each case (default $count)
  --short         as continuous integration runs them: fewer rounds, fewer cases
  --write         also put the table into docs/compatibility.md
  -h, --help      this text
USAGE
}

die()
{
    printf 'campaign: %s\n' "$*" >&2
    exit 1
}

usage_error()
{
    printf 'campaign: %s; see --help\n' "$*" >&2
    exit 2
}

number()
{
    [[ $2 =~ ^[1-9][0-9]*$ ]] || usage_error "$1 wants a number from 1 on, not \"$2\""
}

case ${1-} in
faults | restarts | lifecycle) campaign=$1 && shift ;;
-h | --help) ;;
*) usage_error 'the first word is faults, restarts or lifecycle' ;;
esac
while (($#)); do
    case $campaign:$1 in
    *:-h | *:--help)
        usage
        exit 0
        ;;
    faults:--soak) number "$1" "${2-}" && minutes=$2 && shift ;;
    faults:--tap) form=tap ;;
    restarts:--count) number "$1" "${2-}" && count=$2 && shift ;;
    lifecycle:--short) long= ;;
    restarts:--write | lifecycle:--write) write=yes ;;
    *:-*) usage_error "$campaign has no option \"$1\"" ;;
    *) build=$1 ;;
    esac
    shift
done

[[ -d $build ]] || die "no build directory $build"
build=$(cd "$build" && pwd)
export VRNG_DAEMON=$build/app/daemon/dpdk-vhost-rng CMOCKA_MESSAGE_OUTPUT=TAP
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Programs of BUILD that are run: FILE...
need()
{
    local file

    for file in app/daemon/dpdk-vhost-rng "$@"; do
        [[ -x $build/$file ]] || die "no $build/$file; build it with \"ninja -C $build\""
    done
}

# Prints the table of what is in the log, and puts it into the document: WORDS of awk...
tell()
{
    local table

    table=$(awk "$@" -f "$here/campaign/$campaign.awk" "$log")
    printf '%s\n' "$table"
    [[ $write == no ]] ||
        printf '%s\n' "$table" | "$here/doc-section.py" "$top/docs/compatibility.md" \
            "scripts/campaign.sh $campaign --write"
}

run_faults()
{
    local programs=(faults_memory faults_host faults_source soak) name status

    if ((minutes > 0)); then
        programs=(faults_memory faults_host faults_source restarts soak)
        export VRNG_FAULTS_STRIDE=1 VRNG_RESTARTS=100 VRNG_SOAK_SECONDS=$((minutes * 60))
    fi
    need "${programs[@]/#/tests/e2e/test_}"
    unset VRNG_FAULTS
    [[ $(ldd "$VRNG_DAEMON") == *libasan* ]] || export VRNG_FAULTS=$build/tests/e2e/faults.so
    for name in "${programs[@]}"; do
        status=0
        "$build/tests/e2e/test_$name" </dev/null 2>&1 || status=$?
        printf '# program %s ended with %d\n' "$name" "$status"
    done | awk -v form="$form" -f "$here/campaign/faults.awk" || die 'a fault harms more than it may'
}

run_restarts()
{
    need tests/e2e/test_restarts
    VRNG_RESTARTS=$count "$build/tests/e2e/test_restarts" </dev/null >"$log" 2>&1 || {
        cat "$log" >&2
        die 'a case failed'
    }
    ! grep '^not ok' "$log" >&2 || die 'a case failed'
    grep -q '^# restarts=.* mode=client' "$log" || die 'the test printed no results'
    tell -v cpus="$(nproc)" -v date="$(date +%Y-%m-%d)" \
        -v model="$(sed -n '/^model name[^:]*: */{s///p;q}' /proc/cpuinfo)"
}

run_lifecycle()
{
    local suite qemu dpdk accel kernel

    need app/bench/dpdk-vhost-rng-bench tests/e2e/qemu/boot_kernel
    "$here/guest-image.sh" "$build/guest" >&2
    export VRNG_BENCH=$build/app/bench/dpdk-vhost-rng-bench
    export VRNG_BOOT_KERNEL=$build/tests/e2e/qemu/boot_kernel
    export VRNG_GUEST_DIR=$build/guest VRNG_SCRIPTS=$here VRNG_LONG=$long
    export PYTHONDONTWRITEBYTECODE=1
    for suite in test_guest test_lifecycle; do
        python3 "$top/tests/e2e/qemu/$suite.py" </dev/null | tee -a "$log" >&2 ||
            die "$suite.py did not get to its end"
    done
    qemu=$(qemu-system-x86_64 --version | sed -n 's/.*version \([^ ]*\).*/\1/p')
    dpdk=$(pkg-config --modversion libdpdk 2>/dev/null || echo unknown)
    accel=$("$here/guest-accel.sh" "$build/guest")
    kernel=$(sed -n '/^# guest Linux /{s///p;q}' "$log")
    printf '\n'
    tell -v head="On $(date +%Y-%m-%d): DPDK $dpdk, QEMU $qemu ($accel), guest Linux $kernel."
    ! grep -q '^not ok' "$log" || die 'a case failed'
}

"run_$campaign"

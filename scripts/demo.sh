#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a fresh clone to a guest that reads random numbers from the daemon, with a
# verdict at the end.

set -euo pipefail

# rngtest splits the guest's 512 KiB into 209 blocks. Of good random blocks 0.08 %
# fail one of its tests: more than 3 of 209 do so in one run of 30000.
BLOCKS=209
BLOCKS_BAD_MAX=3
BYTES=524288

# Time limits, in seconds. They end a demo that hangs; an idle machine needs a
# tenth of them.
DAEMON_START_S=20
GUEST_S=120
DAEMON_STOP_S=10
# What the daemon promises.
DAEMON_STOP_GOOD_MS=1000

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build

usage()
{
    cat <<USAGE
usage: ${0##*/}

Installs the Debian packages that are missing, builds the project, makes a small
guest, starts the daemon, boots the guest with QEMU on its socket, shows random
numbers arriving in it and ends everything. The last line is "demo: PASS" or
"demo: FAIL" with the reason, the exit status 0 or 1.

options:
  -h, --help  this text
USAGE
}

case ${1-} in
'') ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    printf 'demo: unknown option "%s"; see --help\n' "$1" >&2
    exit 2
    ;;
esac

step='start'
verdict=
work=
daemon=
guest=

step()
{
    step=$1
    printf '\n== %s\n' "$step"
}

# Shows what the daemon logged since the last time.
shown=0
show_log()
{
    tail -n +$((shown + 1)) "$work/daemon.log"
    shown=$(wc -l <"$work/daemon.log")
}

fail()
{
    verdict="FAIL: $*"
    exit 1
}

# Ends what is left of a process of ours; an empty id is none.
end()
{
    [[ -n $1 ]] || return 0
    kill "$1" 2>/dev/null || return 0
    for _ in {1..20}; do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null || true
}

# shellcheck disable=SC2317 # the trap calls it
finish()
{
    local status=$?

    trap '' INT TERM HUP
    set +e
    end "$guest"
    end "$daemon"
    if [[ $status != 0 && -n $work && -s $work/daemon.log ]]; then
        printf '\nThe end of the log of the daemon:\n'
        tail -n 20 "$work/daemon.log"
    fi
    [[ -z $work ]] || rm -rf "$work"
    [[ -n $verdict ]] || verdict="FAIL: at the step \"$step\" (exit status $status)"
    printf '\ndemo: %s\n' "$verdict"
    [[ $status == 0 || $verdict != PASS* ]] || status=1
    exit "$status"
}
trap finish EXIT
trap 'verdict="FAIL: interrupted"; exit 130' INT
trap 'verdict="FAIL: terminated"; exit 143' TERM HUP

step 'packages'
"$here/install-deps.sh" build guest

step 'build'
if [[ ! -f $build/build.ninja ]]; then
    meson setup "$build" "$top" || fail 'meson setup failed, its output is above'
fi
ninja -C "$build" app/daemon/dpdk-vhost-rng || fail 'the build failed, its output is above'
program=$build/app/daemon/dpdk-vhost-rng

step 'guest image'
"$here/guest-image.sh" "$build/guest"
accel=$("$here/guest-accel.sh" "$build/guest")
printf 'QEMU runs the guest with: %s\n' "$accel"

step 'daemon'
work=$(mktemp -d "${TMPDIR:-/tmp}/vrng-demo.XXXXXX")
command=("$program" -s "$work/rng.sock")
printf '# %s\n' "${command[*]}"
"${command[@]}" </dev/null >"$work/daemon.log" 2>&1 &
daemon=$!
for ((i = 0; ; i++)); do
    [[ ! -S $work/rng.sock0 ]] || break
    kill -0 "$daemon" 2>/dev/null || {
        wait "$daemon" && status=0 || status=$?
        daemon=
        fail "the daemon ended with status $status instead of serving"
    }
    ((i < DAEMON_START_S * 10)) || fail "no socket $work/rng.sock0 within $DAEMON_START_S s"
    sleep 0.1
done
show_log

step 'guest'
boot=("$here/guest-boot.sh" -d "$build/guest" -a "$accel" -k vrng.run=demo --
      -serial stdio -chardev "socket,id=c0,path=$work/rng.sock0"
      -device 'vhost-user-rng-pci,chardev=c0,vectors=2')
printf '# %s\n' "${boot[*]#"$top/"}"
timeout -k 5 "$GUEST_S" "${boot[@]}" </dev/null >"$work/console" 2>&1 &
guest=$!
tail -n +1 -f -s 0.2 --pid="$guest" "$work/console" | tr -d '\r' |
    sed -u -e '/^VRNG-/d' -e '/reboot: Power down/d' &
viewer=$!
wait "$guest" && status=0 || status=$?
guest=
wait "$viewer" || true
((status != 124 && status != 137)) || fail "the guest was not done within $GUEST_S s"
((status == 0)) || fail "QEMU ended with status $status"

step 'end'
kill -0 "$daemon" 2>/dev/null || fail 'the daemon did not outlive the guest'
begin_ms=$(date +%s%3N)
kill -TERM "$daemon"
for ((i = 0; i < DAEMON_STOP_S * 100; i++)); do
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.01
done
took_ms=$(($(date +%s%3N) - begin_ms))
! kill -0 "$daemon" 2>/dev/null || fail "the daemon still runs $DAEMON_STOP_S s after SIGTERM"
wait "$daemon" && status=0 || status=$?
daemon=
show_log
printf 'SIGTERM ended the daemon in %d ms, with status %d\n' "$took_ms" "$status"
((status == 0)) || fail "the daemon ended with status $status at SIGTERM, not 0"
((took_ms <= DAEMON_STOP_GOOD_MS)) ||
    fail "the daemon took $took_ms ms to end, more than $DAEMON_STOP_GOOD_MS"
[[ ! -e $work/rng.sock0 ]] || fail 'the daemon left its socket behind'

result=$(tr -d '\r' <"$work/console" | sed -n 's/^VRNG-DEMO-RESULT //p')
[[ -n $result ]] || fail 'the guest reported no result'
declare -A got=()
for pair in $result; do
    got[${pair%%=*}]=${pair#*=}
done
[[ ${got[current]-} == virtio_rng* ]] ||
    fail "the guest's random source is \"${got[current]-}\", not virtio_rng"
[[ ${got[bytes]-} == "$BYTES" ]] || fail "${got[bytes]-no} bytes of $BYTES arrived in the guest"
[[ ${got[good]-} =~ ^[0-9]+$ && ${got[bad]-} =~ ^[0-9]+$ ]] || fail 'rngtest gave no statistics'
((got[good] + got[bad] == BLOCKS)) ||
    fail "rngtest judged $((got[good] + got[bad])) blocks, not $BLOCKS"
((got[bad] <= BLOCKS_BAD_MAX)) ||
    fail "rngtest failed ${got[bad]} of $BLOCKS blocks, chance explains at most $BLOCKS_BAD_MAX"
[[ ${got[repeats]-} == 0 ]] || fail "${got[repeats]-?} blocks of 64 bytes came more than once"

verdict="PASS: $BYTES bytes through ${got[current]}, rngtest passed ${got[good]} of $BLOCKS blocks"
((got[bad] == 0)) || verdict+=" (chance fails up to $BLOCKS_BAD_MAX)"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs in the minimal Debian of package.sh --test: installs the package, lets it serve, removes it.

set -euo pipefail

deb=$1
log=/tmp/daemon.log
run_dir=/run/vrngtest
daemon=

die()
{
    printf 'package: %s\n' "$*" >&2
    [[ ! -s $log ]] || cat "$log" >&2
    exit 1
}

# All files but what packages, logs and the EAL (in /run) change by themselves.
files()
{
    find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /run -o -path /tmp -o \
        -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log \) -prune -o -print | LC_ALL=C sort
}

apt()
{
    apt-get -q -y -o APT::Install-Recommends=false "$@" >/tmp/apt.log 2>&1 ||
        { cat /tmp/apt.log >&2 && die "apt-get $1 failed"; }
}

# Also of a run before this one that failed: the root is kept.
clean_up()
{
    [[ -z $daemon ]] || kill -KILL "$daemon" 2>/dev/null || true
    rm -f "$run_dir"/rng.sock* /run/dpdk-vhost-rng/{rng,control}.sock*
    [[ ! -x /usr/bin/dpdk-vhost-rng-setup.sh ]] || dpdk-vhost-rng-setup.sh --undo >/dev/null || true
    ! getent group vrngtest >/dev/null || groupdel vrngtest
}
trap clean_up EXIT

clean_up
[[ $(dpkg-query -W -f '${db:Status-Status}' dpdk-vhost-rng 2>/dev/null) != installed ]] || apt purge dpdk-vhost-rng
apt update
# What the package depends on stays; so the first time tells nothing of files that are left.
apt install "$deb"
apt purge dpdk-vhost-rng
files >/tmp/before

apt install "$deb"
printf 'package: installed, with %s\n' "$(dpkg-query -W -f '${Depends}' dpdk-vhost-rng)"
# Neither DPDK nor a compiler: the daemon brings what it needs.
! ldd /usr/bin/dpdk-vhost-rng | grep -E 'not found|librte_' || die 'libraries are missing, or come from DPDK'
dpkg -V dpdk-vhost-rng || die 'files are not as they were packaged'

# Starts a daemon, reads from its first socket, and ends it: WHAT SOCKET COMMAND...
serve()
{
    local what=$1 socket=$2 i

    shift 2
    "$@" 2>"$log" &
    daemon=$!
    for ((i = 0; i < 200; i++)); do
        ! grep -q serving "$log" || break
        kill -0 "$daemon" 2>/dev/null || die "the daemon ended: $what"
        sleep 0.1
    done
    dpdk-vhost-rng-bench -s "$socket" --count 1000 --size 4096 --verify --timeout 20 \
        --output /tmp/bytes >/tmp/bench.log || die "the bench found: $(cat /tmp/bench.log)"
    [[ $(stat -c %s /tmp/bytes) == 4096000 ]] ||
        die "$(stat -c %s /tmp/bytes) bytes came, not 4096000: $what"
    if [[ -S ${socket%/*}/control.sock ]]; then
        dpdk-vhost-rng-ctl.py --control-socket "${socket%/*}/control.sock" --status >/tmp/ctl.log ||
            die "dpdk-vhost-rng-ctl.py failed: $what"
        grep -q 'Guests: 1' /tmp/ctl.log || die "$(cat /tmp/ctl.log): $what"
    fi
    [[ $(stat -c %G "$socket") == "$group" ]] || die "$socket is not of group $group: $what"
    kill -TERM "$daemon"
    wait "$daemon" || die "the daemon ended with status $?: $what"
    daemon=
    printf 'package: served 4096000 bytes, %s\n' "$what"
}

group=vrngtest
groupadd --system "$group"
dpdk-vhost-rng-setup.sh --group "$group" --run-dir "$run_dir" || die 'the set-up failed'
for mode in passthrough drbg; do
    serve "$mode" "$run_dir/rng.sock0" dpdk-vhost-rng -s "$run_dir/rng.sock" --source-mode "$mode"
done

# As the unit does it, as far as that goes without systemd.
unit=/lib/systemd/system/dpdk-vhost-rng.service
! command -v systemd-analyze >/dev/null || systemd-analyze verify "$unit" || die "$unit is not sound"
options=$(sed -n 's/^Environment="VRNG_OPTIONS=\(.*\)"$/\1/p' "$unit")
group=vrng
[[ $(stat -c %U:%G /run/dpdk-vhost-rng) == vrng:vrng ]] || die 'tmpfiles have made no directory for vrng'
# shellcheck disable=SC2086 # words of one line, as the unit has them
serve "the unit's $options" /run/dpdk-vhost-rng/rng.sock0 \
    setpriv --reuid vrng --regid vrng --init-groups --no-new-privs --bounding-set=-all \
    dpdk-vhost-rng $options
dpdk-vhost-rng-setup.sh --undo || die 'the set-up was not undone'
groupdel vrngtest

apt purge dpdk-vhost-rng
rm -f /etc/group- /etc/gshadow-
files >/tmp/after
grep -vxF -e /etc/group- -e /etc/gshadow- /tmp/before >/tmp/before.1
diff /tmp/before.1 /tmp/after || die 'files are left, or are gone, after the package was removed'
printf 'package: removed, nothing is left\n'

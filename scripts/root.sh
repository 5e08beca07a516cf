# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by matrix.sh and by the steps of package.sh: a folder with a Debian in it, and how to run
# things there. The caller is root, is in a mount namespace of its own, with which all that is
# mounted goes away, and has die().

# Makes a minimal Debian, in which nothing is started: ROOT SUITE LOG.
make_debian()
{
    local root=$1 suite=$2 log=$3

    command -v debootstrap >/dev/null ||
        die 'debootstrap is missing: scripts/install-deps.sh matrix installs it'
    if [[ ! -x $root/usr/bin/apt-get || -d $root/debootstrap ]]; then
        rm -rf "$root"
        mkdir -p "$root"
        debootstrap --variant=minbase "$suite" "$root" >"$log" 2>&1 ||
            die "debootstrap cannot make $root: see $log"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # A mirror may be kept as it was some weeks ago, which is too old for the dates of sid.
    printf 'APT::Install-Recommends "false";\nAcquire::Check-Valid-Until "false";\n' \
        >"$root/etc/apt/apt.conf.d/90vrng"
}

# Mounts what programs in the root need, and folders that have the same path inside: ROOT [PATH...]
mount_root()
{
    local root=$1 path

    shift
    if [[ ! -d $root/proc/1 ]]; then
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
    fi
    for path in "$@"; do
        mkdir -p "$root$path"
        mountpoint -q "$root$path" || mount --bind "$path" "$root$path"
    done
}

# Runs a command in a root: ROOT COMMAND...
in_root()
{
    local root=$1

    shift
    mount_root "$root"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp \
        DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
        chroot "$root" "$@"
}

# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by matrix.sh: a folder with a Debian suite in it, and how to run things there.
# $work is where the folders are, $top the source tree; both have the same path inside, and so
# has /tmp. The caller is in a mount namespace of its own.
# shellcheck disable=SC2154 # matrix.sh has the variables

root_of()
{
    printf '%s/%s-%s/root\n' "$work" "$1" "${2-amd64}"
}

# Mounts what programs in the root need, once: ROOT.
mount_root()
{
    local root=$1 path

    [[ ! -d $root/proc/1 ]] || return 0
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --bind /sys "$root/sys"
    for path in /tmp "$top"; do
        mkdir -p "$root$path"
        mount --bind "$path" "$root$path"
    done
}

# Runs a command in a root: ROOT COMMAND...
in_root()
{
    local root=$1

    shift
    mount_root "$root"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp \
        DEBIAN_FRONTEND=noninteractive ${http_proxy+http_proxy="$http_proxy"} \
        chroot "$root" "$@"
}

# The version of an installed package, without what Debian adds to the upstream's: ROOT PACKAGE.
upstream_version()
{
    # shellcheck disable=SC2016
    in_root "$1" dpkg-query -W -f '${source:Upstream-Version}' "$2" 2>/dev/null | sed 's/.*really//; s/[+~].*//'
}

# A root with all that is needed to build and to test: SUITE ARCH.
make_root()
{
    local suite=$1 arch=$2 root log groups

    root=$(root_of "$suite" "$arch")
    log=${root%/root}/root.log
    if [[ $fresh == yes ]]; then
        rm -rf "${root%/root}"
    fi
    # Made, and no package was added since.
    if [[ $root/.made -nt $here/install-deps.sh ]]; then
        printf 'matrix: %s (%s) is there\n' "$suite" "$arch"
        return
    fi
    printf 'matrix: making %s (%s)\n' "$suite" "$arch"
    mkdir -p "$root"
    if [[ ! -x $root/usr/bin/apt-get || -d $root/debootstrap ]]; then
        debootstrap --variant=minbase "$suite" "$root" >"$log" 2>&1 ||
            die "debootstrap cannot make $root: see $log"
    fi
    # Nothing is started in there.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    # A mirror may be kept as it was some weeks ago, which is too old for the dates of sid.
    printf 'APT::Install-Recommends "false";\nAcquire::Check-Valid-Until "false";\n' \
        >"$root/etc/apt/apt.conf.d/90matrix"
    groups=(build test guest)
    if [[ $arch == arm64 ]]; then
        in_root "$root" dpkg --add-architecture arm64
        groups=(cross-arm64 test)
    fi
    in_root "$root" "$here/install-deps.sh" "${groups[@]}" >>"$log" 2>&1 ||
        die "packages are missing in $root: see $log"
    in_root "$root" apt-get -q clean
    touch "$root/.made"
}

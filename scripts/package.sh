#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds the Debian package, and tests it by installing it where nothing else is.
#
# debhelper does the work: it knows what a package of Debian must have (dependencies by the
# libraries' versions, stripping, hardening, maintainer scripts for units), and whoever maintains
# packages knows it. What it needs stands in config/debian; a copy of the tree is built, so that
# nothing of this machine or of build/ gets into it and nothing of it into the tree.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
# shellcheck source=scripts/tree.sh
source "$here/tree.sh"
work=$top/build-package
out=$work
suite=bookworm
test=no
guest=no
boot=no
fresh=no

usage()
{
    cat <<USAGE
usage: ${0##*/} [options]

Builds the Debian package of this tree for the Debian that runs here; needs the packages
of scripts/install-deps.sh build package. It is left in build-package/.

  --output DIR  leave it there, and build there
  --test        then, as root, install it in a minimal Debian (debootstrap, in
                build-package/root; needs the network once), start the daemon there and
                read bytes from it with the bench, and remove it again
  --guest       with --test: and let it serve a QEMU guest of this machine (needs
                scripts/guest-image.sh build/guest)
  --boot        then, as root, boot another one, with systemd (in build-package/boot), in
                QEMU, and see there whether the units do what they say: start, reload,
                watchdog, sandbox, instances, stop, upgrade, removal; prints TAP
  --suite NAME  the Debian of --test and --boot, which must be this machine's ($suite)
  --fresh       make these anew
  -h, --help    this text
USAGE
}

die()
{
    printf 'package: %s\n' "$*" >&2
    exit 1
}

usage_error()
{
    printf 'package: %s; see --help\n' "$*" >&2
    exit 2
}

while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --output | --suite)
        [[ -n ${2-} ]] || usage_error "$1 needs a value"
        case $1 in
        --output) out=$2 ;;
        --suite) suite=$2 ;;
        esac
        shift
        ;;
    --test) test=yes ;;
    --guest) guest=yes ;;
    --boot) boot=yes ;;
    --fresh) fresh=yes ;;
    *) usage_error "\"$1\" is not an option" ;;
    esac
    shift
done

# When the tree was last changed: dates in the package depend on nothing else.
tree_time()
{
    git -C "$top" log -1 --format=%ct 2>/dev/null || stat -c %Y "$top/meson.build"
}

# What of config/debian is made: the changelog by the version, the license by LICENSE.
make_debian()
{
    local src=$1 version

    version=$(sed -n "s/^ *version: '\(.*\)',$/\1/p" "$src/meson.build" | head -n 1)
    [[ -n $version ]] || die "there is no version in meson.build"
    cp -r "$src/config/debian" "$src/debian"
    mv "$src/debian/lintian-overrides" "$src/debian/dpdk-vhost-rng.lintian-overrides"
    printf 'dpdk-vhost-rng (%s) %s; urgency=medium\n\n  * Built from the tree by scripts/package.sh.\n\n -- %s  %s\n' \
        "$version" UNRELEASED "$(sed -n 's/^Maintainer: //p' "$src/debian/control")" \
        "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$src/debian/changelog"
    sed -e '1,2d' -e 's/^$/./' -e 's/^/ /' "$src/LICENSE" >>"$src/debian/copyright"
}

build()
{
    local src log

    [[ -n $(command -v dpkg-buildpackage) && -n $(command -v dh) ]] ||
        die 'dpkg-buildpackage or debhelper is missing: scripts/install-deps.sh package installs them'
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    src=$out/src
    log=$out/build.log
    rm -rf "$src" "$out"/dpdk-vhost-rng*.{deb,buildinfo,changes}
    mkdir -p "$src"
    list_files "$top" | tar -C "$top" --null -T - -cf - | tar -C "$src" -xf -
    SOURCE_DATE_EPOCH=$(tree_time)
    export SOURCE_DATE_EPOCH
    make_debian "$src"
    # -d: meson names what is missing; dpkg would ask for a C++ compiler, too.
    if ! (cd "$src" && dpkg-buildpackage -b -d -us -uc) >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log"
        die "the package was not built: see $log"
    fi
    rm -rf "$src"
    deb=$(find "$out" -maxdepth 1 -name 'dpdk-vhost-rng_*.deb')
    [[ -f $deb ]] || die "dpkg-buildpackage made no package: see $log"
    printf 'package: %s\n' "$deb"
}

# Runs a step in namespaces of its own: mounts, and what runs in there, end with it.
step()
{
    unshare --mount --pid --fork --kill-child "$here/package/$1" "${@:2}"
}

[[ $guest == no || $test == yes ]] || usage_error '--guest goes with --test'
[[ $test$boot == nono ]] || ((EUID == 0)) || die '--test and --boot need root, for chroot'
build
[[ $fresh == no ]] || rm -rf "${work:?}"/{root,boot}
if [[ $test == yes ]]; then
    step install.sh "$work/root" "$suite" "$deb"
    [[ $guest == no ]] || step guest.sh "$work/root" "$deb" "$top/build/guest"
fi
if [[ $boot == yes ]]; then
    # Whether KVM works here is found out with a guest.
    "$here/guest-image.sh" "$top/build/guest"
    mkdir -p "$work/boot"
    step boot.sh "$work/boot" "$suite" "$deb" "$("$here/guest-accel.sh" "$top/build/guest")"
fi

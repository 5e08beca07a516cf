# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by matrix.sh: a root (see ../root.sh) for each Debian suite, with what is needed to build.
# $work is where they are, $top the source tree, in which that is.
# shellcheck disable=SC2154 # matrix.sh has the variables

root_of()
{
    printf '%s/%s-%s/root\n' "$work" "$1" "${2-amd64}"
}

# The source tree and /tmp have the same path inside: ROOT
mount_suite()
{
    mount_root "$1" /tmp "$top"
}

# Runs a command in there: ROOT COMMAND...
in_suite()
{
    mount_suite "$1"
    in_root "$@"
}

# The version of an installed package, without what Debian adds to the upstream's: ROOT PACKAGE.
upstream_version()
{
    # shellcheck disable=SC2016
    in_suite "$1" dpkg-query -W -f '${source:Upstream-Version}' "$2" 2>/dev/null | sed 's/.*really//; s/[+~].*//'
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
    make_debian "$root" "$suite" "$log"
    groups=(build test guest)
    if [[ $arch == arm64 ]]; then
        in_suite "$root" dpkg --add-architecture arm64
        groups=(cross-arm64 test)
    fi
    in_suite "$root" "$here/install-deps.sh" "${groups[@]}" >>"$log" 2>&1 ||
        die "packages are missing in $root: see $log"
    in_suite "$root" apt-get -q clean
    touch "$root/.made"
}

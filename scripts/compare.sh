#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Compares the daemon with rust-vmm's vhost-device-rng on this machine, in one
# command, and writes docs/benchmarks.md with its charts.

set -euo pipefail

# What is compared with, at this version.
ORIGINAL=vhost-device-rng
ORIGINAL_VERSION=0.1.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-vhost-rng

usage()
{
    cat <<USAGE
usage: ${0##*/} [options]

Builds the project, gets $ORIGINAL $ORIGINAL_VERSION by cargo into
\${XDG_CACHE_HOME:-~/.cache}/dpdk-vhost-rng, runs the two in turn with the same
source and the same work, polls and blocks, alone and in QEMU guests, tries what
they do in unusual cases, and writes docs/benchmarks.md and its charts. The raw
figures go to build/compare/. Needs two CPUs that have nothing else to do, some
10 minutes, cargo, and the Debian packages of: scripts/install-deps.sh build guest bench

options:
  --quick          2 minutes: less of everything; writes build/compare/quick/ alone
  --no-guest       without QEMU guests
  --daemon FILE    the daemon to compare, instead of building it
  --bench DIR      where dpdk-vhost-rng-bench and behave are, instead of building them
  --only-report    write the document again from the figures of the last run
  -h, --help       this text
USAGE
}

die()
{
    printf 'compare: %s\n' "$*" >&2
    exit 1
}

refuse()
{
    printf 'compare: %s; see --help\n' "$*" >&2
    exit 2
}

daemon=
bench=
words=()
only_report=no
guest=yes
while (($#)); do
    case $1 in
    --quick) words+=("$1") ;;
    --no-guest)
        guest=no
        words+=("$1")
        ;;
    --only-report)
        only_report=yes
        words+=("$1")
        ;;
    --daemon | --bench)
        (($# > 1)) || refuse "option $1 needs a value"
        if [[ $1 == --daemon ]]; then daemon=$2; else bench=$2; fi
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) refuse "unknown option \"$1\"" ;;
    esac
    shift
done

need()
{
    command -v "$1" >/dev/null || die "no $1 here; $2"
}

need python3 'run scripts/install-deps.sh test'
need gnuplot 'run scripts/install-deps.sh bench'
if [[ $only_report == no ]]; then
    need taskset 'install util-linux'
    if [[ -z $daemon || -z $bench ]]; then
        [[ -f $build/build.ninja ]] || meson setup "$build" "$top" || die 'meson setup failed'
        ninja -C "$build" app/daemon/dpdk-vhost-rng app/bench/dpdk-vhost-rng-bench app/bench/behave ||
            die 'the build failed, its output is above'
    fi
    if [[ ! -x $cache/original/bin/$ORIGINAL ]]; then
        need cargo "it is what gets $ORIGINAL; install Rust, see https://rustup.rs"
        printf 'compare: getting %s %s into %s\n' "$ORIGINAL" "$ORIGINAL_VERSION" "$cache"
        cargo install "$ORIGINAL" --version "$ORIGINAL_VERSION" --locked --root "$cache/original" ||
            die "cargo could not install $ORIGINAL"
    fi
    if [[ $guest == yes ]]; then
        need qemu-system-x86_64 'run scripts/install-deps.sh guest, or give --no-guest'
        "$here/guest-image.sh" "$build/guest"
    fi
fi

export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/compare/run.py" \
    --daemon "${daemon:-$build/app/daemon/dpdk-vhost-rng}" \
    --bench-dir "${bench:-$build/app/bench}" \
    --original "$cache/original/bin/$ORIGINAL" --original-version "$ORIGINAL_VERSION" \
    --out "$build/compare" --docs "$top/docs" "${words[@]}"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds and tests the project with the DPDK, QEMU and Linux of several Debian suites, each
# with each, and says in a table what works with what.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")

# Each of them brings its own DPDK, its own QEMU and its own guest kernel.
SUITES=(bookworm trixie sid)
PHASES=(roots build guests cells table)

work=$top/build-matrix
arch=amd64
suites=("${SUITES[@]}")
only=
fresh=no
native=no
write=no
phases=()

usage()
{
    cat <<USAGE
usage: ${0##*/} [options] [PHASE...]
       ${0##*/} --native

Makes a folder with each Debian suite (${SUITES[*]}) in build-matrix/ by debootstrap, builds
the project there with warnings as errors, runs its unit tests, and then boots each suite's
guest kernel in each suite's QEMU on each suite's build of the daemon and reads random
numbers. Needs root, for chroot; packages of this machine stay as they are, but for
debootstrap. What is done stays done: give --fresh, or remove build-matrix/, to start over.

phases (default: all, in this order):
  roots   the suites' folders and the packages in them
  build   compile with -Dwerror=true and run the unit tests, in each
  guests  each suite's kernel as a guest (scripts/guest-image.sh)
  cells   DPDK x QEMU x kernel: the QEMU read test
  table   print what build and cells found

options:
  --suites "A B"   only these
  --arch ARCH      amd64 (default), or arm64: cross-built; the unit tests and the daemon run
                   by qemu-user, and serve guests of the same suite's amd64 folder, which
                   must be there; no phase guests
  --cell "D/Q/K"   only this cell, or these: the suites of DPDK, of QEMU and of the kernel
  --fresh          make the folders anew
  --write          also put the tables into docs/compatibility.md, in place of the old ones
  --native         the short form for continuous integration: one cell, this machine's own
                   DPDK, QEMU and kernel, with build/; about a minute, no debootstrap
  -h, --help       this text

The exit status is 0 when nothing failed.
USAGE
}

die()
{
    printf 'matrix: %s\n' "$*" >&2
    exit 1
}

usage_error()
{
    printf 'matrix: %s; see --help\n' "$*" >&2
    exit 2
}

known()
{
    local word=$1 other

    shift
    for other in "$@"; do
        [[ $word != "$other" ]] || return 0
    done
    return 1
}

args=("$@")
while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --suites | --arch | --cell)
        (($# > 1)) || usage_error "$1 needs a value"
        case $1 in
        --suites) read -r -a suites <<<"$2" ;;
        --arch) arch=$2 ;;
        --cell) only=$2 ;;
        esac
        shift
        ;;
    --fresh) fresh=yes ;;
    --write) write=yes ;;
    --native) native=yes ;;
    *)
        known "$1" "${PHASES[@]}" || usage_error "\"$1\" is neither a phase nor an option"
        phases+=("$1")
        ;;
    esac
    shift
done
known "$arch" amd64 arm64 || usage_error "architecture \"$arch\" is neither amd64 nor arm64"
for suite in "${suites[@]}"; do
    known "$suite" "${SUITES[@]}" || usage_error "suite \"$suite\" is none of ${SUITES[*]}"
done
((${#suites[@]})) || usage_error '--suites names none'
if [[ $arch == arm64 ]]; then
    ((${#phases[@]})) || phases=(roots build cells table)
    ! known guests "${phases[@]}" || usage_error 'there are no guests of arm64'
fi
((${#phases[@]})) || phases=("${PHASES[@]}")

results=$work/results
# shellcheck source=scripts/root.sh
source "$here/root.sh"
# shellcheck source=scripts/matrix/root.sh
source "$here/matrix/root.sh"
# shellcheck source=scripts/matrix/steps.sh
source "$here/matrix/steps.sh"

if [[ $native == yes ]]; then
    native_cell
    exit
fi

((EUID == 0)) || die "chroot and mount need root: run it as root"
# What is mounted here is seen by nobody else, and gone when this ends, however it ends.
if [[ ${VRNG_MATRIX_NS-} != "$$" ]]; then
    export VRNG_MATRIX_NS=$$
    exec unshare --mount --propagation private "$0" "${args[@]}"
fi
command -v debootstrap >/dev/null || "$here/install-deps.sh" matrix

mkdir -p "$results"
exec 9>"$work/lock.$arch"
flock -n 9 || die "another ${0##*/} is at work in $work"

failed=0
for phase in "${phases[@]}"; do
    case $phase in
    roots) for suite in "${suites[@]}"; do make_root "$suite" "$arch"; done ;;
    build) for suite in "${suites[@]}"; do build_suite "$suite" "$arch" || failed=1; done ;;
    guests) for suite in "${suites[@]}"; do make_guest "$suite" || failed=1; done ;;
    cells)
        for cell in $(cells); do
            run_cell "$cell" || failed=1
        done
        ;;
    table)
        tables=$("$here/matrix/table.py" "$results")
        printf '%s\n' "$tables"
        [[ $write == no ]] || printf '%s\n' "$tables" |
            "$here/doc-section.py" "$top/docs/compatibility.md" 'scripts/matrix.sh --write'
        ;;
    esac
done
exit "$failed"

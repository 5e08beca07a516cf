#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs the Debian packages that building, testing and linting need, by
# name, and nothing when all of them are there already.

set -euo pipefail

# The groups, and the packages of each.
declare -A PACKAGES=(
    # What compiles the tree, its unit tests included.
    [build]='gcc libc6-dev make meson ninja-build pkg-config libdpdk-dev libnuma-dev libbsd-dev
             libfdt-dev libssl-dev libcmocka-dev libinih-dev libjansson-dev libseccomp-dev'
    # What runs the tests, and checks the man pages.
    [test]='python3 python3-prometheus-client mandoc valgrind libc6-dbg'
    # What scrapes the exporter in its test, and checks the alert rules. 96 MB.
    [prometheus]='prometheus'
    # What makes and boots the guest; the guest's own kernel and tools are not installed,
    # guest-image.sh unpacks them.
    [guest]='qemu-system-x86 cpio gzip xz-utils'
    # What the test of the recipe for libvirt runs. On Debian 12 these packages start no service:
    # libvirt-daemon-system would. 15 MB.
    [libvirt]='libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients'
    # What compare.sh draws its charts with; it also wants cargo, which a Rust toolchain brings.
    [bench]='gnuplot-nox qemu-system-x86'
    # What package.sh builds the Debian package with.
    [package]='debhelper dpkg-dev'
    # What matrix.sh and package.sh make their folders with.
    [matrix]='debootstrap'
    # What fuzz.sh runs. The runtime, which libFuzzer is in, is added as for lint.
    [fuzz]='clang llvm'
    # What coverage.sh counts with.
    [coverage]='gcovr'
    # What lint.sh runs. The runtime of clang's sanitizers is added by version.
    [lint]='clang clang-format clang-tidy cppcheck shellcheck codespell python3 flake8 mandoc'
    # What compiles for arm64 and runs that, in a root where arm64 is a foreign architecture
    # (matrix.sh makes one); the libraries of build are added.
    [cross-arm64]='crossbuild-essential-arm64 make meson ninja-build pkg-config qemu-user'
)
for package in ${PACKAGES[build]}; do
    [[ $package != lib*-dev || $package == libc6-dev ]] || PACKAGES[cross-arm64]+=" $package:arm64"
done
# libipsec-mb exists for x86-64 alone; without it libcrypto does the work.
[[ $(uname -m) != x86_64 ]] || PACKAGES[build]+=' libipsec-mb-dev'

usage()
{
    cat <<USAGE
usage: ${0##*/} [--dry-run] [GROUP...]

Installs the Debian packages that are missing, with apt-get, as root or
through sudo. With nothing missing it changes nothing.

groups (default: build test guest):
  build   compiler, meson, ninja, DPDK, cmocka
  test    what runs the tests
  guest   QEMU, and what packs the guest's initramfs
  libvirt libvirtd and virsh, which the test of config/libvirt-rng.xml is skipped without
  bench   what scripts/compare.sh draws with
  fuzz    clang, llvm-cov, for scripts/fuzz.sh
  package debhelper, for scripts/package.sh
  matrix  debootstrap, for scripts/matrix.sh and the tests of the package
  cross-arm64
          what cross-builds for arm64, where dpkg knows that architecture
  coverage
          gcovr, for scripts/coverage.sh
  prometheus
          Prometheus, which the test of the exporter is skipped without
  lint    clang, clang-format, clang-tidy, cppcheck, shellcheck, codespell, flake8,
          mandoc

options:
  --dry-run   only say what would be installed
  -h, --help  this text
USAGE
}

die()
{
    printf 'install-deps: %s\n' "$*" >&2
    exit 1
}

installed()
{
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# The runtime package that belongs to the clang which is, or would be,
# installed: libclang-rt-14-dev on Debian 12, libclang-rt-19-dev on Debian 13.
clang_runtime()
{
    local depends

    depends=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null) ||
        depends=$(apt-cache show --no-all-versions clang 2>/dev/null | sed -n 's/^Depends: //p')
    if [[ $depends =~ clang-([0-9]+) ]]; then
        printf 'libclang-rt-%s-dev\n' "${BASH_REMATCH[1]}"
    fi
}

dry_run=no
groups=()
for arg in "$@"; do
    case $arg in
    -h | --help)
        usage
        exit 0
        ;;
    --dry-run) dry_run=yes ;;
    *)
        if [[ ! -v PACKAGES[$arg] ]]; then
            printf 'install-deps: "%s" is neither a group nor an option; groups are %s\n' "$arg" \
                "$(printf '%s\n' "${!PACKAGES[@]}" | sort | paste -sd ' ')" >&2
            exit 2
        fi
        groups+=("$arg")
        ;;
    esac
done
((${#groups[@]})) || groups=(build test guest)

wanted=()
for group in "${groups[@]}"; do
    read -r -d '' -a packages <<<"${PACKAGES[$group]}" || true
    wanted+=("${packages[@]}")
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die "this is not a Debian system (no dpkg-query or no apt-get); install by hand what these" \
        "Debian packages hold: ${wanted[*]}"
fi

missing=()
for package in "${wanted[@]}"; do
    installed "$package" || missing+=("$package")
done
case " ${groups[*]} " in
*' lint '* | *' fuzz '*)
    runtime=$(clang_runtime)
    if [[ -z $runtime ]]; then
        # apt does not know clang yet: the lists are empty and are fetched
        # below; ask again then.
        runtime=libclang-rt
        missing+=("$runtime")
    elif ! installed "$runtime"; then
        missing+=("$runtime")
    fi
    ;;
esac

if ((${#missing[@]} == 0)); then
    printf 'install-deps: nothing to install, all packages for %s are there\n' "${groups[*]}"
    exit 0
fi

if [[ $dry_run == yes ]]; then
    printf 'install-deps: would install: %s\n' "${missing[*]}"
    exit 0
fi

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null ||
        die "not root and no sudo here; run as root: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
    # Without a terminal nobody can type a password: fail at once then.
    [[ -t 0 ]] || as_root+=(-n)
fi

apt()
{
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

printf 'install-deps: installing: %s\n' "${missing[*]}"
# Without the network the lists that are there may do.
apt update || printf 'install-deps: apt-get update failed; trying with the package lists that are here\n' >&2
for i in "${!missing[@]}"; do
    if [[ ${missing[i]} == libclang-rt ]]; then
        missing[i]=$(clang_runtime)
        [[ -n ${missing[i]} ]] || die "apt knows no package clang; check /etc/apt/sources.list"
    fi
done
apt install --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]} (its own message is above)"

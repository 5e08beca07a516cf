#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds the project and runs all its tests: as it is, once more with the address and
# undefined behaviour sanitizers, and those in which threads meet with the thread
# sanitizer; some of the library's under valgrind. The last line has the numbers.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build
build_asan=$top/build-asan
build_tsan=$top/build-tsan

# Where threads meet: the ways to a worker and back, and all that MAIN reads.
tsan_tests=(bell caller guard e2e-budget e2e-churn e2e-control e2e-drbg e2e-memory e2e-notify e2e-reload
    e2e-source)
# What touches guests' memory, or a front-end's words, and is quick enough; and AES as valgrind's
# CPU has it, which is not one with AVX-512.
valgrind_tests=(guest_mem virtq_split_lies virtq_packed_lies message receive request keystream)

usage()
{
    cat <<USAGE
usage: ${0##*/} [--quick] [--werror]

Installs the Debian packages that are missing, builds in build/ and in build-asan/
(with the address and undefined behaviour sanitizers), and runs the tests: all in
build/, those with QEMU guests only there; in build-asan/ those of C programs that do
not mostly wait; in build-tsan/ (with the thread sanitizer) those in which threads meet;
and some of the library's under valgrind. The last line is "N passed, N failed", with
", N skipped" when there are some. The exit status is 0 when something passed and
nothing failed.

options:
  --quick     without QEMU guests
  --werror    compiler warnings are errors
  -h, --help  this text
USAGE
}

quick=no
setup_options=()
for arg in "$@"; do
    case $arg in
    -h | --help)
        usage
        exit 0
        ;;
    --quick) quick=yes ;;
    --werror) setup_options+=(-Dwerror=true) ;;
    *)
        printf 'test: unknown option "%s"; see --help\n' "$arg" >&2
        exit 2
        ;;
    esac
done

die()
{
    printf 'test: %s\n' "$*" >&2
    exit 1
}

# Configures and compiles a build directory: DIR, options for a new one... Of it, when "targets" is
# not empty, only those.
targets=()
compile()
{
    local dir=$1

    shift
    printf '\n== build in %s\n' "${dir#"$top/"}"
    if [[ ! -f $dir/build.ninja ]]; then
        meson setup "$dir" "$top" "${setup_options[@]}" "$@" || die "meson cannot set up $dir"
    elif ((${#setup_options[@]})); then
        meson configure "$dir" "${setup_options[@]}" || die "meson cannot configure $dir"
    fi
    ninja -C "$dir" "${targets[@]}" || die "$dir does not compile: no tests were run"
}

# Runs the tests of a build directory: DIR[@SETUP], options of meson test... Adds
# the outcome to "runs".
runs=()
run_tests()
{
    local run=$1 dir=${1%@*} status=0

    shift
    printf '\n== test in %s\n' "${run#"$top/"}"
    # Old results must not be taken for new ones.
    if [[ $run == "$dir" ]]; then
        rm -f "$dir"/meson-logs/testlog*
    else
        set -- --setup "${run#*@}" "$@"
    fi
    meson test -C "$dir" --no-rebuild --print-errorlogs "$@" </dev/null || status=$?
    runs+=("${run#"$top/"}:$status")
}

cd "$top"
without_qemu=(--no-suite qemu)
# What a sanitizer finds nothing in: what is no C, and what mostly waits.
not_sanitized=(--no-suite scripts --no-suite docs --no-suite install --no-suite package --no-suite waits)
if [[ $quick == yes ]]; then
    "$here/install-deps.sh" build test
else
    "$here/install-deps.sh" build test guest libvirt package
fi
compile "$build"

compile_sanitized()
{
    compile "$build_asan" -Db_sanitize=address,undefined -Doptimization=1
    targets=(app/daemon/dpdk-vhost-rng)
    for name in "${tsan_tests[@]}"; do
        case $name in
        e2e-*) targets+=("tests/e2e/test_${name#e2e-}") ;;
        *) targets+=("tests/unit/test_$name") ;;
        esac
    done
    compile "$build_tsan" -Db_sanitize=thread -Db_lundef=false -Doptimization=1
}

# The compilers take the CPU time that the first tests leave: most of these tests wait. With the
# lowest priority they delay no test noticeably.
sanitized_log=$(mktemp)
trap 'rm -f "$sanitized_log"' EXIT
(
    renice -n 19 -p "$BASHPID" >/dev/null
    compile_sanitized
) >"$sanitized_log" 2>&1 &
sanitized=$!

if [[ $quick == yes ]]; then
    run_tests "$build" "${without_qemu[@]}"
else
    "$here/guest-image.sh" "$build/guest" ||
        die "no guest image, so no tests with QEMU; --quick does without them"
    printf 'test: QEMU runs guests with %s\n' "$("$here/guest-accel.sh" "$build/guest")"
    run_tests "$build"
fi
run_tests "$build@valgrind" "${valgrind_tests[@]}"

status=0
wait "$sanitized" || status=$?
cat "$sanitized_log"
((status == 0)) || die "the builds with sanitizers failed: see above"

# A finding of a sanitizer ends the program: what only prints would pass.
export ASAN_OPTIONS=${ASAN_OPTIONS-abort_on_error=1:detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-halt_on_error=1:abort_on_error=1:print_stacktrace=1}
run_tests "$build_asan" "${without_qemu[@]}" "${not_sanitized[@]}" --timeout-multiplier 3

export TSAN_OPTIONS=${TSAN_OPTIONS-halt_on_error=1:second_deadlock_stack=1:suppressions=$top/tests/tsan.supp}
run_tests "$build_tsan" --timeout-multiplier 3 "${tsan_tests[@]}"

printf '\n'
"$here/count-tests.py" "${runs[@]}"

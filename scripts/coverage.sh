#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Says which lines of lib/ and of app/daemon/ the tests reach.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build-coverage
# By how many percentage points the README may be wrong.
MARGIN=1

usage()
{
    cat <<USAGE
usage: ${0##*/} [--check]

Builds in build-coverage/, without optimization and with gcov's counters, runs the unit
tests and the end-to-end tests that need no virtual machine, and says of each file how many
lines they reach, and which they do not. A program that a test kills counts nothing.

options:
  --check     unit tests and lib/ alone; the exit status is 1 when README.md gives a figure
              for that which is off by more than $MARGIN percentage point
  -h, --help  this text
USAGE
}

die()
{
    printf 'coverage: %s\n' "$*" >&2
    exit 1
}

check=no
for arg in "$@"; do
    case $arg in
    -h | --help)
        usage
        exit 0
        ;;
    --check) check=yes ;;
    *)
        printf 'coverage: unknown option "%s"; see --help\n' "$arg" >&2
        exit 2
        ;;
    esac
done

failed=no
# Counts anew: options of meson test, which compiles what these tests need...
run_tests()
{
    find "$build" -name '*.gcda' -delete
    meson test -C "$build" --timeout-multiplier 10 --quiet --print-errorlogs "$@" \
        </dev/null ||
        failed=yes
}

# FOLDER, options of gcovr...
report()
{
    local folder=$1

    shift
    gcovr --root "$top" --object-directory "$build" --filter "$folder/" "$@" "$build" ||
        die "gcovr cannot read the counters in build-coverage/"
}

# The README's own words, on one line.
documented()
{
    sed -n "s/.*reaches \\([0-9.]*\\) % of the lines of .lib\/.*/\\1/p" README.md
}

cd "$top"
"$here/install-deps.sh" build test coverage
if [[ ! -f $build/build.ninja ]]; then
    # Threads that count at the same time may lose a count, but not the first; atomic counters
    # would make the tests five times slower.
    meson setup "$build" "$top" -Db_coverage=true -Doptimization=0 \
        -Dc_args=-fprofile-update=single >/dev/null || die "meson cannot set up $build"
fi

if [[ $check == yes ]]; then
    run_tests --suite unit
    [[ $failed == no ]] || die "a test failed (above): there is no figure"
    measured=$(report lib --json-summary - | python3 -c 'import json, sys
print(json.load(sys.stdin)["line_percent"])')
    said=$(documented)
    [[ -n $said ]] || die "README.md does not say, on one line, 'reaches N % of the lines of \`lib/\`'"
    printf 'coverage: unit tests reach %s %% of the lines of lib/, README.md says %s\n' \
        "$measured" "$said"
    python3 -c 'import sys
measured, said, margin = map(float, sys.argv[1:])
sys.exit(abs(measured - said) > margin)' "$measured" "$said" "$MARGIN" ||
        die "README.md is to give the figure as it is, to within $MARGIN"
    exit 0
fi

ninja -C "$build" --quiet || die "build-coverage/ does not compile"
run_tests --suite unit --suite e2e
for folder in lib app/daemon; do
    printf '\n== %s/\n' "$folder"
    report "$folder" --print-summary
done
[[ $failed == no ]] || die "a test failed (above): its lines may be missing"

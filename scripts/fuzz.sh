#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fuzzes: builds the targets of tests/fuzz/ with clang and libFuzzer, and runs each for a while
# with the address and undefined-behaviour sanitizers.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
build=$top/build-fuzz
build_coverage=$top/build-fuzz-coverage
kept=$top/tests/fuzz/corpus

# What each target is there for: the files whose lines it should reach.
declare -A FILES=(
    [budget]='lib/budget.c lib/budget_exchange.c'
    [config]='app/daemon/config/config.c app/daemon/config/setting.c app/daemon/config/settings.c app/daemon/config/settings_guest.c app/daemon/config/spec.c'
    [control]='app/daemon/control/request.c app/daemon/control/commands.c'
    [drbg]='lib/drbg.c lib/keystream.c lib/keystream_ipsec_mb.c lib/keystream_libcrypto.c'
    [messages]=''
    [health]='lib/health.c'
    [options]='app/daemon/config/options.c app/daemon/config/spec.c app/common/parse.c'
    [proxy]='app/proxy/fd_kind.c app/proxy/mem_table.c app/proxy/msg_check.c app/proxy/msg_stream.c'
    [ring]='lib/virtq.c lib/virtq.h lib/virtq_chain.h lib/virtq_split.c lib/virtq_packed.c lib/guest_mem.c lib/guest_mem.h'
)

usage()
{
    cat <<USAGE
usage: ${0##*/} [options] [TARGET...]

Runs fuzz targets (default: all: ${!FILES[*]}), one after the other. They start from
tests/fuzz/corpus/ and from what earlier runs found, which is in build-fuzz/corpus/. What
fails is left in build-fuzz/findings/; the fix comes with that input as a file of
tests/fuzz/corpus/TARGET/, which every "meson test" replays. "messages" is the stream of messages
into the daemon itself, without a corpus. The last line has the numbers.

options:
  --time SECONDS   for each target (default 60)
  --jobs N         so many processes for a target at once (default 1)
  --coverage       then say which lines of the code under test no input reached
  --keep           then put the fewest inputs that reach the most into tests/fuzz/corpus/
  -h, --help       this text
USAGE
}

die()
{
    printf 'fuzz: %s\n' "$*" >&2
    exit 1
}

seconds=60
jobs=1
coverage=no
keep=no
targets=()
while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --time | --jobs)
        [[ ${2-} =~ ^[1-9][0-9]*$ ]] || {
            printf 'fuzz: %s needs a number from 1 on; see --help\n' "$1" >&2
            exit 2
        }
        if [[ $1 == --time ]]; then seconds=$2; else jobs=$2; fi
        shift
        ;;
    --coverage) coverage=yes ;;
    --keep) keep=yes ;;
    *)
        [[ -v FILES[$1] ]] || {
            printf 'fuzz: "%s" is neither a target nor an option; targets are: %s\n' "$1" \
                "${!FILES[*]}" >&2
            exit 2
        }
        targets+=("$1")
        ;;
    esac
    shift
done
if ((${#targets[@]} == 0)); then
    readarray -t targets < <(printf '%s\n' "${!FILES[@]}" | sort)
fi

"$here/install-deps.sh" build fuzz

# Configures and compiles: DIR, C arguments, meson's options...
compile()
{
    local dir=$1 c_args=$2

    shift 2
    if [[ ! -f $dir/build.ninja ]]; then
        CC=clang meson setup "$dir" "$top" -Dwerror=true -Db_lundef=false "-Dc_args=$c_args" "$@" ||
            die "meson cannot set up $dir"
    fi
    ninja -C "$dir" fuzz-targets || die "$dir does not compile"
}

# Fuzzes one target, and sets "runs": how many inputs it took. Fails when it found something.
fuzz()
{
    local target=$1 corpus=$build/corpus/$1 findings=$build/findings/$1 log=$build/$1.log status=0
    local more=()

    mkdir -p "$corpus" "$findings"
    ((jobs <= 1)) || more+=("-fork=$jobs")
    [[ ! -f $top/tests/fuzz/$target.dict ]] || more+=("-dict=$top/tests/fuzz/$target.dict")
    "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=4096 "${more[@]}" \
        -artifact_prefix="$findings/" "$corpus" "$kept/$target" >"$log" 2>&1 || status=$?
    runs=$(sed -nE 's/^#([0-9]+):?\s.*/\1/p' "$log" | tail -n 1)
    if ((status != 0)); then
        printf 'fuzz: %s: FAILED, the input is in %s; the end of %s:\n' "$target" "$findings" "$log"
        tail -n 40 "$log"
    fi
    printf 'fuzz: %s: %s inputs, %s in its corpus\n' "$target" "${runs:=0}" \
        "$(find "$corpus" -type f | wc -l)"
    return "$status"
}

# The same for the stream of messages into the daemon as it is, which is no target of libFuzzer's:
# one front-end tells it stories, all of which follow from a seed.
tell_stories()
{
    local log=$build/messages.log seed=$((RANDOM << 30 | RANDOM << 15 | RANDOM)) status=0

    ninja -C "$build" app/daemon/dpdk-vhost-rng tests/e2e/test_fuzz_messages ||
        die "$build does not compile"
    VRNG_DAEMON=$build/app/daemon/dpdk-vhost-rng VRNG_SEED=$seed \
        VRNG_FUZZ_SECONDS=$(((seconds + 1) / 2)) ASAN_OPTIONS=$ASAN_OPTIONS:handle_sigbus=0 \
        "$build/tests/e2e/test_fuzz_messages" >"$log" 2>&1 || status=$?
    runs=$(sed -nE 's/.* ([0-9]+) stories, .*/\1/p' "$log" | awk '{ sum += $1 } END { print sum + 0 }')
    if ((status != 0)); then
        printf 'fuzz: messages: FAILED; the end of %s:\n' "$log"
        tail -n 60 "$log"
    fi
    printf 'fuzz: messages: %s stories from seed %s on\n' "$runs" "$seed"
    return "$status"
}

# Lists the lines that no input of a target reached, as FILE:LINE: TEXT.
report_coverage()
{
    local target=$1 exe=$build_coverage/tests/fuzz/replay_$1 profile=$build_coverage/$1.profraw
    local unreached=$build_coverage/$1.unreached file line

    LLVM_PROFILE_FILE=$profile "$exe" "$kept/$target" "$build/corpus/$target" >/dev/null ||
        die "$exe failed"
    llvm-profdata merge -o "$profile.data" "$profile"
    # Of lcov's format: SF:PATH begins a file, DA:LINE,COUNT is a line with code in it.
    llvm-cov export "$exe" -instr-profile="$profile.data" -format=lcov |
        awk -F '[:,]' -v files="${FILES[$target]}" -v target="$target" '
            BEGIN { n = split(files, wanted, " ") }
            $1 == "SF" {
                file = ""
                for (i = 1; i <= n; i++)
                    if (substr($2, length($2) - length(wanted[i])) == "/" wanted[i])
                        file = wanted[i]
            }
            $1 == "DA" && file != "" { lines++ }
            $1 == "DA" && file != "" && $3 == 0 { missed++; print file, $2 }
            END {
                printf "fuzz: %s: %d of %d lines were reached, never:\n", target,
                    lines - missed, lines >"/dev/stderr"
            }' >"$unreached"
    while read -r file line; do
        printf '%s:%s:%s\n' "$file" "$line" "$(sed -n "${line}p" "$top/$file")"
    done <"$unreached"
}

# The inputs that together reach all that any reaches, few of them; old regressions stay.
keep_corpus()
{
    local target=$1 merged

    merged=$(mktemp -d "$build/merged.XXXXXX")
    "$build/tests/fuzz/fuzz_$target" -set_cover_merge=1 -max_len=4096 "$merged" \
        "$build/corpus/$target" "$kept/$target" >"$build/$target.merge.log" 2>&1 ||
        die "cannot merge the corpus of $target; see $build/$target.merge.log"
    find "$kept/$target" -type f -name 'cover-*' -delete
    for file in "$merged"/*; do
        mv "$file" "$kept/$target/cover-$(basename "$file" | head -c 12)"
    done
    rmdir "$merged"
    printf 'fuzz: %s: %d inputs are in %s\n' "$target" \
        "$(find "$kept/$target" -type f | wc -l)" "$kept/$target"
}

# A finding ends the program, a leak is one.
export ASAN_OPTIONS=${ASAN_OPTIONS-abort_on_error=1:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-halt_on_error=1:abort_on_error=1:print_stacktrace=1}

compile "$build" -fsanitize=fuzzer-no-link -Dfuzz=true -Db_sanitize=address,undefined \
    -Doptimization=1
passed=0
failed=0
total=0
for target in "${targets[@]}"; do
    how=fuzz
    [[ $target != messages ]] || how=tell_stories
    if "$how" "$target"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    total=$((total + runs))
done
if [[ $keep == yes ]]; then
    for target in "${targets[@]}"; do [[ $target == messages ]] || keep_corpus "$target"; done
fi
if [[ $coverage == yes ]]; then
    compile "$build_coverage" '-fprofile-instr-generate -fcoverage-mapping' \
        -Dc_link_args=-fprofile-instr-generate -Doptimization=0
    for target in "${targets[@]}"; do [[ $target == messages ]] || report_coverage "$target"; done
fi
printf 'fuzz: %d inputs altogether\n%d passed, %d failed\n' "$total" "$passed" "$failed"
((failed == 0))

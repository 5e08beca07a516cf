#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks the tree's own files without running them. Says of each check whether it
# is ok, and shows what one that failed has to say.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
# shellcheck source=scripts/tree.sh
source "$here/tree.sh"

usage()
{
    cat <<USAGE
usage: ${0##*/} [CHECK...]

Runs the checks: format shell python man spelling cppcheck tidy (default: all). The tools
come with scripts/install-deps.sh lint. The exit status is 0 when all are ok.

  format    clang-format on C files, by .clang-format
  shell     shellcheck on shell scripts
  python    flake8 on Python files
  man       mandoc on man pages
  spelling  codespell on all files
  cppcheck  cppcheck on lib/ and app/
  tidy      clang-tidy on lib/ and app/, by .clang-tidy, with the compiler options
            of build/; made by meson when it is not there

options:
  -h, --help  this text
USAGE
}

ALL=(format shell python man spelling cppcheck tidy)
checks=()
for arg in "$@"; do
    case $arg in
    -h | --help)
        usage
        exit 0
        ;;
    format | shell | python | man | spelling | cppcheck | tidy) checks+=("$arg") ;;
    *)
        printf 'lint: "%s" is neither a check nor an option; checks are: %s\n' "$arg" "${ALL[*]}" >&2
        exit 2
        ;;
    esac
done
((${#checks[@]})) || checks=("${ALL[@]}")

cd "$top"

mapfile -d '' -t files < <(list_files "$top" | LC_ALL=C sort -z)
((${#files[@]})) || {
    printf 'lint: no files in %s\n' "$top" >&2
    exit 1
}

c_files=()
c_sources=()
python_files=()
shell_files=()
man_pages=()
for file in "${files[@]}"; do
    case $file in
    *.[ch])
        c_files+=("$file")
        case $file in
        lib/*.c | app/*.c) c_sources+=("$file") ;;
        esac
        ;;
    *.py) python_files+=("$file") ;;
    *.sh | *.bash) shell_files+=("$file") ;;
    docs/man/*.[1-8]) man_pages+=("$file") ;;
    *)
        # Those without a suffix tell by their first line.
        IFS= read -r first <"$file" 2>/dev/null || first=
        case $first in
        '#!'*python*) python_files+=("$file") ;;
        '#!'*bash | '#!'*/sh) shell_files+=("$file") ;;
        esac
        ;;
    esac
done

check_format()
{
    ((${#c_files[@]} == 0)) || clang-format --dry-run -Werror "${c_files[@]}"
}

check_shell()
{
    ((${#shell_files[@]} == 0)) || shellcheck "${shell_files[@]}"
}

check_python()
{
    ((${#python_files[@]} == 0)) || flake8 --max-line-length 100 "${python_files[@]}"
}

check_man()
{
    ((${#man_pages[@]} == 0)) || mandoc -Tlint -W warning "${man_pages[@]}"
}

check_spelling()
{
    local ignore=(ser te nd sring fro)

    codespell --skip './tests/fuzz/corpus/*,tests/fuzz/corpus/*' --ignore-words-list "$(IFS=, && printf '%s' "${ignore[*]}")" "${files[@]}"
}

# missingInclude: DPDK's and the system's headers are not given to it, its view of
# C does without. legacyUninitvar: the older of its two checks for that, which does
# not follow the relation between two variables. unusedFunction is not asked for: the
# tests use what lib/ offers.
check_cppcheck()
{
    ((${#c_sources[@]} == 0)) || cppcheck --quiet --std=c11 --enable=warning,performance,portability \
        --inline-suppr --suppress=missingInclude --suppress=missingIncludeSystem \
        --suppress=legacyUninitvar \
        --error-exitcode=1 -D_GNU_SOURCE -D__x86_64__ -Ilib "${c_sources[@]}"
}

check_tidy()
{
    local source in_build=()

    if [[ ! -f .clang-tidy ]]; then
        printf 'there is no .clang-tidy to check by\n'
        return 77
    fi
    if [[ ! -f build/compile_commands.json ]]; then
        meson setup build . || return 1
    fi
    # Generated headers.
    ninja -C build || return 1
    # Only what is compiled has options to check it with.
    for source in "${c_sources[@]}"; do
        ! grep -q "\"file\": \".*/$source\"" build/compile_commands.json || in_build+=("$source")
    done
    ((${#in_build[@]} == 0)) || printf '%s\0' "${in_build[@]}" |
        xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p build --warnings-as-errors='*' 2>&1 |
        # How many warnings of others' headers it kept to itself.
        sed '/^[0-9]* warnings\{0,1\} generated\.$/d'
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT
failed=()
for check in "${checks[@]}"; do
    status=0
    "check_$check" >"$output" 2>&1 </dev/null || status=$?
    case $status in
    0) printf 'lint: %-9s ok\n' "$check" ;;
    77) printf 'lint: %-9s skipped: %s\n' "$check" "$(<"$output")" ;;
    127)
        cat "$output"
        printf 'lint: %-9s failed: its tool is missing, scripts/install-deps.sh lint installs it\n' \
            "$check"
        failed+=("$check")
        ;;
    *)
        cat "$output"
        printf 'lint: %-9s failed\n' "$check"
        failed+=("$check")
        ;;
    esac
done

if ((${#failed[@]})); then
    printf 'lint: failed: %s\n' "${failed[*]}"
    exit 1
fi
printf 'lint: ok\n'

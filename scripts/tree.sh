# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by lint.sh and package.sh.

# The files of this tree, as paths below the folder TOP, each with a NUL behind it: those that git
# knows or would take; in a tree without git all but builds.
list_files()
{
    local top=$1 file

    if git -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git -C "$top" ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do
                # One that was removed and not yet committed is not there.
                [[ ! -f $top/$file ]] || printf '%s\0' "$file"
            done
    else
        find "$top" -name '.git' -prune -o -path "$top/build*" -prune -o -name __pycache__ -prune -o \
            -type f -printf '%P\0'
    fi
}

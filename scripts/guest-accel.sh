#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Says with which accelerator the guest boots here, found out by booting it:
# that /dev/kvm is there does not mean that a guest runs on it, on a machine
# that is itself virtual for one.

set -euo pipefail

LIMIT_S=10

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1-} in
-h | --help)
    cat <<USAGE
usage: ${0##*/} [DIR]

Prints "kvm" when the guest in DIR (default: build/guest in the source tree)
boots under KVM within $LIMIT_S seconds, "tcg" otherwise. The answer is kept in
DIR/accel; remove that file to have it tried again. VRNG_ACCEL in the environment
overrules it.
USAGE
    exit 0
    ;;
-*)
    printf 'guest-accel: unknown option "%s"; see --help\n' "$1" >&2
    exit 2
    ;;
esac
dir=${1:-$here/../build/guest}

case ${VRNG_ACCEL-} in
kvm | tcg)
    printf '%s\n' "$VRNG_ACCEL"
    exit 0
    ;;
'') ;;
*)
    printf 'guest-accel: VRNG_ACCEL is "%s"; it may be kvm, tcg or empty\n' "$VRNG_ACCEL" >&2
    exit 2
    ;;
esac

if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    echo tcg
    exit 0
fi
if [[ -s $dir/accel ]]; then
    cat "$dir/accel"
    exit 0
fi

for file in vmlinuz initramfs.cpio.gz; do
    [[ -s $dir/$file ]] || {
        printf 'guest-accel: no %s; run scripts/guest-image.sh %s\n' "$dir/$file" "$dir" >&2
        exit 1
    }
done

# The guest powers itself off after the marker, timeout ends it when it hangs.
output=$(timeout -k 2 "$LIMIT_S" "$here/guest-boot.sh" -d "$dir" -a kvm -k vrng.run=nothing \
    -- -serial stdio </dev/null 2>/dev/null || true)
accel=tcg
[[ $output != *VRNG-GUEST-READY* ]] || accel=kvm
printf '%s\n' "$accel" >"$dir/accel.$$" && mv "$dir/accel.$$" "$dir/accel"
printf '%s\n' "$accel"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Boots the guest of guest-image.sh under QEMU, in the foreground. The one place
# that knows QEMU's command line; the demo and the tests come through here.
# Memory is shared, as a vhost-user back-end needs it.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$here/../build/guest
accel=auto
mem_mib=256
cmdline=

usage()
{
    cat <<USAGE
usage: ${0##*/} [options] [-- QEMU-ARGUMENT...]

Boots the test guest. It has no devices but those that the QEMU arguments give
it, the console included.

options:
  -d DIR      what guest-image.sh made (default: build/guest in the source tree)
  -a ACCEL    kvm, tcg or auto (default: auto, which asks guest-accel.sh)
  -m MIB      memory in MiB (default $mem_mib)
  -k WORDS    words for the kernel command line; see guest/init for vrng.run
  -h, --help  this text

example, a shell in a guest that gets random numbers from a running daemon:
  ${0##*/} -k vrng.run=interactive -- -serial mon:stdio \\
      -chardev socket,id=c0,path=/run/rng.sock0 \\
      -device vhost-user-rng-pci,chardev=c0,vectors=2
USAGE
}

[[ ${1-} != --help ]] || set -- -h
while getopts d:a:m:k:h option; do
    case $option in
    d) dir=$OPTARG ;;
    a) accel=$OPTARG ;;
    m) mem_mib=$OPTARG ;;
    k) cmdline=$OPTARG ;;
    h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
done
shift $((OPTIND - 1))

die()
{
    printf 'guest-boot: %s\n' "$*" >&2
    exit 1
}

command -v qemu-system-x86_64 >/dev/null ||
    die "no qemu-system-x86_64 here; run scripts/install-deps.sh guest"
for file in vmlinuz initramfs.cpio.gz; do
    [[ -s $dir/$file ]] || die "no $dir/$file; run scripts/guest-image.sh $dir"
done

case $accel in
auto) accel=$("$here/guest-accel.sh" "$dir") ;;
kvm | tcg) ;;
*)
    printf 'guest-boot: accelerator "%s" is none of kvm, tcg, auto\n' "$accel" >&2
    exit 2
    ;;
esac

# Code that QEMU translated before a reboot makes the next boot up to 10 s slower,
# where the kernel is unpacked over it; a small cache is flushed often enough.
# The TSC is not what a guest under TCG should tell the time by: Linux calibrates
# it by loops, which are wrong when the host is busy.
if [[ $accel == tcg ]]; then
    accel=tcg,tb-size=16
    cmdline="tsc=unstable clocksource=hpet $cmdline"
fi

# rng_core.default_quality=0 keeps Linux 6.2 and later from reading the device by
# itself, to feed its own pool. Linux 6.1 does so in any case: 64 bytes after 5 s, and
# less and less often as time goes on.
exec qemu-system-x86_64 \
    -nodefaults -no-user-config -display none \
    -accel "$accel" -machine q35,memory-backend=mem -cpu max -m "$mem_mib" \
    -object "memory-backend-memfd,id=mem,size=${mem_mib}M,share=on" \
    -kernel "$dir/vmlinuz" -initrd "$dir/initramfs.cpio.gz" \
    -append "console=ttyS0 quiet loglevel=1 panic=-1 rng_core.default_quality=0 $cmdline" \
    "$@"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# package.sh --boot: makes a minimal Debian of SUITE in DIR/root, once, with systemd and a kernel,
# copies it to a disk image together with the package DEB, and boots that in QEMU with the
# accelerator ACCEL. There in-boot.sh installs the package and tries its units. Prints what that
# prints, which is TAP; what systemd and the kernel print goes to DIR/console.log.

set -euo pipefail

dir=$1
suite=$2
deb=$3
accel=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/root.sh
source "$here/../root.sh"

# With neither D-Bus nor network: systemctl asks systemd itself.
PACKAGES=(systemd-sysv udev linux-image-cloud-amd64 python3-prometheus-client)
# What finds the disk; the initramfs has nothing else.
MODULES=(virtio_pci virtio_blk ext4)
# Where TCG does the work of two CPUs on one that is busy, it takes some minutes.
LIMIT_S=3600

root=$dir/root

die()
{
    printf 'package: %s\n' "$*" >&2
    exit 1
}

apt()
{
    in_root "$root" apt-get -q -y "$@" >>"$root.log" 2>&1 || die "apt-get $1 failed in $root: see $root.log"
}

prepare()
{
    if [[ ! -f $root/.made ]]; then
        make_debian "$root" "$suite" "$root.log"
        mkdir -p "$root/etc/initramfs-tools/conf.d"
        printf 'MODULES=list\n' >"$root/etc/initramfs-tools/conf.d/vrng"
        printf '%s\n' "${MODULES[@]}" >"$root/etc/initramfs-tools/modules"
        apt update
        apt install "${PACKAGES[@]}"
        touch "$root/.made"
    fi
    # What the package itself depends on; it is installed when systemd runs.
    apt satisfy "$(dpkg-deb -f "$deb" Depends)"
}

# The disk: the root as it is, with the package, and a service that tries it.
make_image()
{
    local unit

    mkdir -p "$root/opt/try"
    cp "$deb" "$root/opt/try/package.deb"
    cp "$here/in-boot.sh" "$root/opt/try/in-boot.sh"
    cat >"$root/etc/systemd/system/try.service" <<UNIT
[Unit]
Description=Try the package
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/bin/bash /opt/try/in-boot.sh /opt/try/package.deb
StandardOutput=tty
TTYPath=/dev/ttyS1
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
    # Nothing that comes and goes by itself, or that waits for somebody.
    for unit in timers.target getty.target e2scrub_reap.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # Services may be started here, as in a real system.
    rm -f "$root/usr/sbin/policy-rc.d"
    printf '/dev/vda / ext4 defaults 0 0\n' >"$root/etc/fstab"

    cp "$(readlink -f "$root/vmlinuz")" "$dir/vmlinuz"
    cp "$(readlink -f "$root/initrd.img")" "$dir/initramfs.cpio.gz"
    umount -R "$root"/{proc,dev,sys}
    rm -f "$dir/disk"
    truncate -s 3G "$dir/disk"
    mke2fs -q -t ext4 -d "$root" "$dir/disk" || die "mke2fs cannot make $dir/disk"
}

prepare
make_image
timeout -k 5 "$LIMIT_S" "$here/../guest-boot.sh" -d "$dir" -a "$accel" -m 1024 \
    -k 'root=/dev/vda rw systemd.show_status=1 systemd.default_timeout_start_sec=600' -- \
    -smp 2 -no-reboot -drive "file=$dir/disk,format=raw,if=virtio,cache=unsafe" \
    -serial "file:$dir/console.log" -serial stdio </dev/null | sed -u 's,\r$,,' | tee "$dir/tap"
grep -q '^1\.\.' "$dir/tap" || die "the machine ended before its test: see $dir/console.log"
! grep -q '^not ok' "$dir/tap" || die "a unit does not do what it should: see above, and $dir/console.log"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs in a mount namespace of its own, for package.sh --guest: installs the package in the minimal
# Debian ROOT, and lets the daemon there serve a QEMU guest of this machine, which reads.

set -euo pipefail

root=$1
deb=$2
image=$3
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

in_root()
{
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
# Sockets and QEMU's files have the same path inside.
bin=$(mktemp -d /tmp/vrng-package-XXXXXX)
trap 'rm -rf "$bin"; in_root dpkg --purge dpdk-vhost-rng >/dev/null' EXIT
cp "$deb" "$root/var/cache/package.deb"
mount --bind /tmp "$root/tmp"

# What it depends on was installed by in-root.sh.
in_root dpkg -i /var/cache/package.deb >"$bin/dpkg.log" 2>&1 || {
    cat "$bin/dpkg.log" >&2
    exit 1
}
printf '#!/bin/sh\nexec chroot %q /usr/bin/dpdk-vhost-rng "$@"\n' "$root" >"$bin/dpdk-vhost-rng"
chmod 755 "$bin/dpdk-vhost-rng"
VRNG_DAEMON=$bin/dpdk-vhost-rng VRNG_GUEST_DIR=$image VRNG_SCRIPTS=$top/scripts \
    PYTHONDONTWRITEBYTECODE=1 python3 "$top/tests/e2e/qemu/test_read.py" </dev/null >"$bin/log"
grep -E '^(not )?ok' "$bin/log"
if grep -qE '^not ok|# SKIP' "$bin/log" || ! grep -q '^ok' "$bin/log"; then
    cat "$bin/log" >&2
    exit 1
fi

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# package.sh --guest: installs the package DEB in the minimal Debian ROOT, and lets the daemon there
# serve a QEMU guest of this machine, that of guest-image.sh in IMAGE, which reads.

set -euo pipefail

root=$1
deb=$2
image=$3
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/root.sh
source "$scripts/root.sh"

cp "$deb" "$root/var/cache/package.deb"
# Sockets and QEMU's files have the same path inside.
mount_root "$root" /tmp
bin=$(mktemp -d /tmp/vrng-package-XXXXXX)
trap 'rm -rf "$bin"; in_root "$root" dpkg --purge dpdk-vhost-rng >/dev/null' EXIT

# What it depends on was installed by in-root.sh.
in_root "$root" dpkg -i /var/cache/package.deb >"$bin/dpkg.log" 2>&1 || {
    cat "$bin/dpkg.log" >&2
    exit 1
}
printf '#!/bin/sh\nexec chroot %q /usr/bin/dpdk-vhost-rng "$@"\n' "$root" >"$bin/dpdk-vhost-rng"
chmod 755 "$bin/dpdk-vhost-rng"
VRNG_DAEMON=$bin/dpdk-vhost-rng VRNG_GUEST_DIR=$image VRNG_SCRIPTS=$scripts \
    PYTHONDONTWRITEBYTECODE=1 python3 "$scripts/../tests/e2e/qemu/test_read.py" </dev/null >"$bin/log"
grep -E '^(not )?ok' "$bin/log"
if grep -qE '^not ok|# SKIP' "$bin/log" || ! grep -q '^ok' "$bin/log"; then
    cat "$bin/log" >&2
    exit 1
fi

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# package.sh --test: makes a minimal Debian of SUITE in ROOT, once, and has in-root.sh try the package
# DEB there.

set -euo pipefail

root=$1
suite=$2
deb=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/root.sh
source "$here/../root.sh"

die()
{
    printf 'package: %s\n' "$*" >&2
    exit 1
}

make_debian "$root" "$suite" "$root.log"
cp "$deb" "$root/tmp/package.deb"
cp "$here/in-root.sh" "$root/tmp/in-root.sh"
in_root "$root" bash /tmp/in-root.sh /tmp/package.deb

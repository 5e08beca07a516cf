#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Shows and changes what a running dpdk-vhost-rng does: see --help. What it is made of is in the
folder ctl, next to it, or where "meson install" puts it."""

import os
import sys

# No files of ours next to those of a package.
sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
for place in (HERE, os.path.join(HERE, '@DATA_DIR@'),
              os.path.join(HERE, '..', 'share', 'dpdk-vhost-rng')):
    if os.path.isfile(os.path.join(place, 'ctl', 'protocol.py')):
        sys.path.insert(0, place)
        break
else:
    sys.exit(f'{sys.argv[0]}: its folder ctl is not there: install it again')

from ctl.main import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: BSD-3-Clause
"""What dpdk-vhost-rng-ctl.py is made of. Python's standard library alone; Python 3.9."""

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What must work with each version of DPDK, QEMU and Linux: scripts/matrix.sh."""

import guest
import tap
from environment import make_env
from reading import HWRNG, READ_S, assert_reads, rebind

suite = tap.Suite()


@suite.case('the guest has virtio_rng as its current source')
def _(env):
    vm = env.guest()
    tap.comment(vm.check('uname -r').strip())
    current = vm.check(f'cat {HWRNG}/rng_current').strip()
    assert current.startswith('virtio_rng'), f'rng_current is "{current}"'


@suite.case('a read of 64 KiB arrives in full, nothing in it comes twice')
def _(env):
    assert_reads(env.guest())


@suite.case('rngtest finds the data random')
def _(env):
    # As in test_guest.py: more than 2 bad blocks of 100 come once in 10^4 runs.
    _, output = env.guest().run('dd if=/dev/hwrng bs=2500 count=101 2>/dev/null | rngtest -c 100',
                                READ_S)
    bad = [int(line.split(': ')[-1]) for line in output.splitlines()
           if 'FIPS 140-2 failures' in line]
    assert bad and bad[0] <= 2, output


@suite.case('the driver is unbound and bound, and reads')
def _(env):
    vm = env.guest()
    rebind(vm)
    assert_reads(vm, 1024)


@suite.case('the guest is reset, and reads')
def _(env):
    vm = env.guest()
    vm.reset()
    assert_reads(vm, 1024)


@suite.case('a read from the DRBG arrives in full')
def _(env):
    env.end()
    with guest.Daemon(env.directory, ['--source-mode', 'drbg'], name='drbg') as daemon, \
            guest.Guest(env.directory, daemon.sockets, accel=env.accel, name='drbgguest') as vm:
        assert_reads(vm)


if __name__ == '__main__':
    suite.main(make_env)

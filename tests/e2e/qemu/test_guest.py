#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Linux guests on an unlimited daemon: reads, and all that may interrupt them.
scripts/campaign.sh runs these cases, too."""

import os
import re

import guest
import tap
from environment import make_env
from reading import (DRIVER, HWRNG, READ_S, assert_fresh, assert_reads, rebind, start_reading,
                     stop_reading)

suite = tap.Suite()


@suite.case('the guest has virtio_rng as its current source')
def _(env):
    vm = env.guest()
    current = vm.check(f'cat {HWRNG}/rng_current').strip()
    assert current.startswith('virtio_rng'), f'rng_current is "{current}"'


@suite.case('a read of 300 KiB arrives in full, nothing in it comes twice')
def _(env):
    assert_reads(env.guest(), 300 * 1024)


@suite.case('reads of odd sizes arrive in full')
def _(env):
    vm = env.guest()
    for size in (1, 63, 64, 65, 1000, 4097):
        assert_reads(vm, size)


@suite.case('rngtest finds the data random')
def _(env):
    vm = env.guest()
    # Of good blocks 0.08 % fail: more than 2 of 100 happens once in 10^4 runs.
    # rngtest's own status says whether any did.
    _, output = vm.run('dd if=/dev/hwrng bs=2500 count=101 2>/dev/null | rngtest -c 100', READ_S)
    values = dict(line.replace('rngtest: ', '').split(': ', 1) for line in output.splitlines()
                  if line.startswith('rngtest: FIPS 140-2 '))
    good = int(values['FIPS 140-2 successes'])
    bad = int(values['FIPS 140-2 failures'])
    assert good + bad == 100 and bad <= 2, output


@suite.case('the driver is unbound and bound ten times')
def _(env):
    vm = env.guest()
    device = vm.check(f'cd {DRIVER}; echo virtio*').strip()
    for _ in range(10):
        vm.check(f'echo {device} > {DRIVER}/unbind')
        assert vm.check(f'cat {HWRNG}/rng_available').strip() == '', 'unbound, and still there'
        vm.check(f'echo {device} > {DRIVER}/bind')
        assert_reads(vm, 1024)


@suite.case('the driver is unbound and bound ten times during a read')
def _(env):
    vm = env.guest()
    device = vm.check(f'cd {DRIVER}; echo virtio*').strip()
    reader = start_reading(vm)
    for _ in range(10):
        vm.check(f'echo {device} > {DRIVER}/unbind; sleep 0.1; echo {device} > {DRIVER}/bind; '
                 'sleep 0.2')
    stop_reading(vm, reader)
    # Also what a read that failed in the end had got.
    blocks = re.findall(r'^(\d+)\+\d+ records out', vm.check(f'cat /tmp/bg.{reader}'), re.MULTILINE)
    assert sum(map(int, blocks)) > 0, 'nothing was read in between'
    assert_reads(vm)


@suite.case('the driver module goes out and in ten times during a read')
def _(env):
    vm = env.guest()
    reader = start_reading(vm)
    for _ in range(10):
        # It can be in use for as long as a read(2) takes.
        vm.check('for i in $(seq 100); do rmmod virtio_rng 2>/dev/null && break; sleep 0.02; done; '
                 'insmod /modules/virtio_rng.ko && sleep 0.2', READ_S)
    stop_reading(vm, reader)
    assert_reads(vm)


@suite.case('a read goes on after each of five QMP stop and cont')
def _(env):
    vm = env.guest()
    size = 512 * 1024
    vm.check('rm -f /tmp/data')
    reader = vm.background(f'dd if=/dev/hwrng of=/tmp/data bs=4096 count={size // 4096}')
    stopped_while_reading = 0
    for _ in range(5):
        stopped_while_reading += vm.running(reader)
        vm.command('stop')
        vm.event('STOP')
        assert vm.command('query-status')['status'] == 'paused'
        vm.command('cont')
        vm.event('RESUME')
    guest.wait_for(lambda: not vm.running(reader), READ_S, 'the read after stop and cont')
    assert stopped_while_reading, 'the read was over before the first stop'
    assert_fresh(vm, '/tmp/data', size)


@suite.case('the guest reboots during a read, then reads again')
def _(env):
    vm = env.guest()
    start_reading(vm)
    vm.reboot()
    assert_reads(vm)


@suite.case('the guest is reset during a read, then reads again')
def _(env):
    vm = env.guest()
    start_reading(vm)
    vm.reset()
    assert_reads(vm)


@suite.case('QEMU is killed during a read, a new one on the same socket reads')
def _(env):
    for _ in range(2):
        vm = env.guest()
        start_reading(vm)
        vm.run('sleep 0.2')
        vm.kill()
        env.end_guest()
        assert_reads(env.guest())


@suite.case('SIGTERM during a read ends the daemon with status 0 within 1 s, its socket is gone')
def _(env):
    daemon, vm = env.daemon, env.guest()
    reader = start_reading(vm)
    vm.run('sleep 0.2')
    assert vm.running(reader)
    status, took_s, waited_s = daemon.stop()
    assert status == 0, f'exit status {status}'
    tap.comment(f'the daemon ended in {took_s:.3f} s, {waited_s:.3f} s of it without a CPU')
    assert took_s - waited_s < 1, f'it took {took_s:.2f} s, {waited_s:.2f} s of it without a CPU'
    left = [path for path in daemon.sockets if os.path.lexists(path)]
    assert not left, f'left behind: {left}'
    # QEMU takes it calmly.
    vm.check('true')
    env.end()


@suite.case('a guest with packed rings reads, is stopped, rebooted, and its driver bound anew')
def _(env):
    env.end_guest()
    with guest.Guest(env.directory, env.daemon.sockets, accel=env.accel, name='packedguest',
                     device_options=',packed=on') as vm:
        features = vm.check('cat /sys/bus/virtio/devices/virtio*/features').split()
        assert any(word[34] == '1' for word in features), f'RING_PACKED is not in {features}'
        assert_reads(vm, 100 * 1024)
        start_reading(vm)
        for _ in range(3):
            vm.command('stop')
            vm.event('STOP')
            vm.command('cont')
            vm.event('RESUME')
        rebind(vm)
        assert_reads(vm)
        vm.reboot()
        assert_reads(vm)
    assert 'packed ring' in env.daemon.log()


@suite.case('what a guest reads are bytes of the source file, in order, none twice')
def _(env):
    env.end()
    path = os.path.join(env.directory, 'source')
    source = os.urandom(4 << 20)
    with open(path, 'wb') as file:
        file.write(source)
    with guest.Daemon(env.directory, ['-f', path], name='filed') as daemon, \
            guest.Guest(env.directory, daemon.sockets, accel=env.accel, name='fileguest') as vm:
        data = vm.read_hwrng(64 * 1024, READ_S)
    assert len(data) == 64 * 1024, f'{len(data)} bytes arrived'
    end = 0
    for i in range(0, len(data), 32):
        at = source.find(data[i:i + 32], end)
        if at < 0:
            before = source.find(data[i:i + 32])
            assert before < 0, f'bytes {i}.. come from {before} in the source, after {end} was read'
            raise AssertionError(f'bytes {i}.. are not in the source')
        end = at + 32


if __name__ == '__main__':
    suite.main(make_env)

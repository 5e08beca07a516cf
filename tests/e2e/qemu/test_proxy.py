#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""QEMU behind a proxy (app/proxy): the daemon is killed and started again, and neither QEMU nor the
guest notices."""

import os
import signal

import guest
import tap
from environment import make_env
from machine import qemu_version
from reading import READ_S, assert_content, assert_reads

PROXY = os.environ.get('VRNG_PROXY', '')
KILLS = int(os.environ.get('VRNG_RESTARTS', '4'))
BLOCKS = 200

suite = tap.Suite()


class Proxy(guest._Process):
    """Between the sockets `front` and `back`."""

    def __init__(self, directory, back, name):
        super().__init__(name, directory)
        self.front = os.path.join(directory, name + '.front')
        self._spawn([PROXY, self.front, back])
        guest.wait_for(lambda: os.path.exists(self.front) or not self.alive, 20, 'the socket')
        assert self.alive, self.tail()

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        return self.wait(10)


def kill_under_reads(env, vm, daemon):
    """Return the daemon that serves at the end. Each read begins before a kill and gets all of
    its bytes."""
    for _ in range(KILLS):
        reader = vm.start(
            f'dd if=/dev/hwrng of=/dev/null bs=64 count={BLOCKS} iflag=fullblock 2>&1')
        daemon.kill()
        daemon = guest.Daemon(env.directory, name=daemon.name)
        status, said = vm.finish(reader, READ_S)
        assert status == 0 and f'{BLOCKS}+0 records in' in said, (status, said)
        assert vm.alive, vm.tail()
    return daemon


@suite.case('the daemon is killed under a guest that reads; the guest is reset afterwards')
def _(env):
    tap.comment('QEMU ' + qemu_version())
    daemon = guest.Daemon(env.directory, name='behind')
    proxy = Proxy(env.directory, daemon.sockets[0], 'proxy')
    try:
        with guest.Guest(env.directory, [proxy.front], accel=env.accel, name='before') as vm:
            assert_reads(vm, 4096)
            daemon = kill_under_reads(env, vm, daemon)
            vm.reset()
            assert_reads(vm, 4096)
            vm.command('stop')
            daemon.kill()
            daemon = guest.Daemon(env.directory, name='behind')
            vm.command('cont')
            assert_reads(vm, 4096)
            assert_content(daemon)
        log = proxy.log()
        assert log.count('its session goes on with another datapath') == KILLS + 1, log
        assert 'closing connection' not in log and 'refused' not in log, log
        assert proxy.stop() == 0
        assert not os.path.exists(proxy.front)
    finally:
        proxy.kill()
        daemon.kill()


if __name__ == '__main__':
    suite.main(make_env)

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Domains of libvirt with the recipe that users are told to paste: on each machine type libvirt
starts the guest, and the guest gets its random numbers from the daemon.

QEMU is not root: it may use the daemon's sockets by the rights that the recipe names.
"""

import contextlib
import json
import os
import subprocess
import sys

import guest
import libvirtd
import tap
from environment import Env, make_env
from reading import HWRNG, assert_content, assert_reads

CONFIG = os.environ.get('VRNG_CONFIG') or os.path.join(os.path.dirname(guest.SCRIPTS), 'config')
CTL = os.path.join(guest.SCRIPTS, 'dpdk-vhost-rng-ctl.py')
READ_BYTES = 65536
# The driver asks for as much ahead, at most.
AHEAD_BYTES = 64

suite = tap.Suite()


class Host(Env):
    """libvirtd, and a daemon whose sockets libvirt's QEMU may use."""

    def __init__(self, directory):
        super().__init__(directory)
        libvirtd.open_to_group(directory)
        self.domain = None
        self.control = os.path.join(directory, 'control.sock')
        self.libvirtd = libvirtd.Libvirtd(directory)

    def make_daemon(self, *more):
        return guest.Daemon(self.directory, ['--socket-group', libvirtd.GROUP, '--idle', 'adaptive',
                                             '--control-socket', self.control, *more],
                            name=self.name('daemon'))

    def ctl(self, *words):
        done = subprocess.run([sys.executable, CTL, '--control-socket', self.control, *words],
                              check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=60)
        return done.stdout

    def delivered(self):
        """The bytes that the daemon has given to the guest, as it counts them."""
        return json.loads(self.ctl('--json', 'status', '0'))['counters']['bytes']

    def config_recipe(self):
        """config/libvirt-rng.xml, for the socket of the daemon."""
        with open(os.path.join(CONFIG, 'libvirt-rng.xml')) as file:
            recipe = file.read()
        assert '/run/rng.sock0' in recipe
        return recipe.replace('/run/rng.sock0', self.daemon.sockets[0])

    def diagnostics(self):
        yield from super().diagnostics()
        yield from self.libvirtd.tail()
        if self.domain is not None:
            yield from self.domain.tail()


def add_attachable(env):
    """A device that libvirt plugs in, at an address that libvirt chooses."""
    path = os.path.join(env.directory, 'rng.xml')
    with open(path, 'w') as file:
        file.write("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>")
    return path


def assert_served(env, machine, recipe):
    env.domain = None
    with libvirtd.Domain(env.libvirtd, env.name(machine), machine, recipe) as vm:
        env.domain = vm
        uids = vm.uids()
        assert 0 not in uids, f'QEMU runs as users {uids}'
        current = vm.check(f'cat {HWRNG}/rng_current').strip()
        assert current.startswith('virtio_rng'), f'rng_current is "{current}"'
        before = env.delivered()
        assert_reads(vm, READ_BYTES)
        delivered = env.delivered() - before
        assert delivered >= READ_BYTES - AHEAD_BYTES, \
            f'{delivered} bytes delivered, {READ_BYTES} were read'
        tap.comment(f'QEMU is user {uids}; the daemon has delivered {delivered} bytes')
        interrupts = vm.check('cat /proc/interrupts')
        assert [line for line in interrupts.splitlines()
                if 'MSI' in line and line.endswith('-input')], interrupts
        env.libvirtd.must('attach-device', vm.name, add_attachable(env))
        assert_content(env.daemon)


@suite.case('q35: config/libvirt-rng.xml')
def _(env):
    tap.comment(env.libvirtd.must('version').strip())
    assert_served(env, 'q35', env.config_recipe())


@suite.case('pc: the output of dpdk-vhost-rng-ctl.py libvirt-xml')
def _(env):
    assert env.daemon.alive
    assert_served(env, 'pc', env.ctl('libvirt-xml', '0'))


@suite.case('a QEMU that libvirt starts is refused by a socket with mode 0600')
def _(env):
    env.end()
    with env.make_daemon('--socket-mode', '0600') as daemon:
        recipe = env.ctl('libvirt-xml', '0')
        path = env.libvirtd.make_xml(env.name('refused'), 'q35', recipe)
        status, said = env.libvirtd.virsh('create', path)
        assert status != 0 and f"{daemon.sockets[0]}': Permission denied" in said, said


@contextlib.contextmanager
def make_host():
    libvirtd.require()
    with make_env(Host) as env, env.libvirtd:
        yield env


if __name__ == '__main__':
    suite.main(make_host)

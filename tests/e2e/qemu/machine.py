# SPDX-License-Identifier: BSD-3-Clause
"""What the lifecycle cases stand on: daemons, a guest with room to plug things in, and
a bystander who must not notice anything of it.

    VRNG_BENCH    the dpdk-vhost-rng-bench that plays the bystander
    VRNG_LONG     anything: the long form of the cases, and those that are only in it
"""

import contextlib
import os
import re
import subprocess
import threading

import guest
import tap
from environment import Env, make_env
from reading import HWRNG

BENCH = os.environ.get('VRNG_BENCH') or os.path.join(guest.BUILD,
                                                     'app/bench/dpdk-vhost-rng-bench')
LONG = bool(os.environ.get('VRNG_LONG'))

# Of the first daemon: two that are there from the start, one to plug in, the bystander's.
COLD, PLUG, BYSTANDER = (0, 1), 2, 3
SOCKETS = 4

ROOT_PORTS = 2
PLUG_S = 30


def blame_qemu(what):
    """QEMU does what it should not. The words tell scripts/campaign.sh, which says so in
    its table."""
    words = f"QEMU's fault: QEMU {qemu_version()} {what}"
    tap.comment(words)
    return words


def qemu_version():
    text = subprocess.run(['qemu-system-x86_64', '--version'], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=30).stdout
    return re.search(r'version (\S+)', text)[1]


class ClientDaemon(guest.Daemon):
    """A daemon that connects to the guests' sockets: there is nothing to wait for."""

    def __init__(self, directory, args=(), count=1, name='client'):
        super().__init__(directory, ['--client', *args], count, name)

    def _wait_listening(self, timeout_s):
        pass


class Bystander:
    """Another guest of the daemon: few requests, all the time, each answer judged."""

    def __init__(self, path):
        self._command = [BENCH, '--socket', path, '--rate', '100', '--count', '50', '--warm-up',
                         '0', '--wait', 'block', '--timeout', '20', '--verify']
        self._stop = threading.Event()
        self._rounds = 0
        self._trouble = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set() and self._trouble is None:
            done = subprocess.run(self._command, stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self._rounds += 1
            if done.returncode != 0:
                self._trouble = f'status {done.returncode}: {tap.one_line(done.stdout)}'

    def check(self):
        """It goes on, and has nothing to say against it."""
        seen = self._rounds
        guest.wait_for(lambda: self._trouble or self._rounds > seen, 30, 'the bystander')
        assert self._trouble is None, f'the bystander: {self._trouble}'

    def end(self):
        self._stop.set()
        self._thread.join()


class Machine(Env):
    """Beside the guest, which has two devices, slots for more, and for memory, there is the
    bystander."""

    _bystander = None

    def make_daemon(self):
        daemon = guest.Daemon(self.directory, count=SOCKETS, name=self.name('daemon'))
        self._bystander = Bystander(daemon.sockets[BYSTANDER])
        return daemon

    def make_guest(self):
        slots = [word for i in range(ROOT_PORTS) for word in (
            '-device', f'pcie-root-port,id=slot{i},chassis={i + 1},slot={i + 1}')]
        return guest.Guest(self.directory, [self.daemon.sockets[i] for i in COLD],
                           accel=self.accel, name=self.name('guest'),
                           kernel_words='memhp_default_state=online',
                           qemu_args=['-m', 'size=256M,slots=4,maxmem=1G', *slots])

    @contextlib.contextmanager
    def other_guest(self, **more):
        """One with a device of its own, on the socket that is kept for it."""
        self.end_guest()
        with guest.Guest(self.directory, [self.daemon.sockets[PLUG]], accel=self.accel,
                         name=self.name('guest'), **more) as vm:
            self._guest = vm
            try:
                yield vm
            finally:
                self._guest = None

    def end(self):
        if self._bystander is not None:
            self._bystander.end()
            self._bystander = None
        super().end()

    def check(self):
        super().check()
        if self._bystander is not None:
            self._bystander.check()


def make_machine():
    if not os.access(BENCH, os.X_OK):
        raise tap.Skip(f'no bench at {BENCH}')
    return make_env(Machine)


# In the guest


def sources(vm):
    """The names of its generators, most of them virtio_rng.N."""
    return vm.check(f'cat {HWRNG}/rng_available').split()


def choose(vm, name):
    vm.check(f'echo {name} > {HWRNG}/rng_current')
    current = vm.check(f'cat {HWRNG}/rng_current').strip()
    assert current == name, f'{name} was chosen, current is {current}'


def features(vm):
    """What each virtio device and its driver agreed on, as sets of bit numbers."""
    text = vm.check('cat /sys/bus/virtio/devices/virtio*/features')
    return [{bit for bit, digit in enumerate(word) if digit == '1'} for word in text.split()]


# Over QMP


def add_chardev(vm, name, path, **more):
    vm.command('chardev-add', id=name, backend={'type': 'socket', 'data': {
        'addr': {'type': 'unix', 'data': {'path': path}}, 'server': False, **more}})


def plug(vm, path, slot=0, **options):
    """Plug a device in; returns its name in the guest."""
    before = sources(vm)
    add_chardev(vm, f'plug{slot}', path)
    vm.command('device_add', driver='vhost-user-rng-pci', id=f'plugged{slot}',
               bus=f'slot{slot}', chardev=f'plug{slot}', **options)
    return wait_plugged(vm, before)


def wait_plugged(vm, before):
    return guest.wait_for(lambda: [name for name in sources(vm) if name not in before], PLUG_S,
                          'a device that was plugged in')[0]


def unplug(vm, slot=0):
    before = len(sources(vm))
    vm.command('device_del', id=f'plugged{slot}')
    while vm.event('DEVICE_DELETED', PLUG_S)['data'].get('device') != f'plugged{slot}':
        pass
    guest.wait_for(lambda: len(sources(vm)) < before, PLUG_S, 'a device that was unplugged')
    vm.command('chardev-remove', id=f'plug{slot}')

# SPDX-License-Identifier: BSD-3-Clause
"""The same inside a QEMU guest: what dd from /dev/hwrng gets."""

import contextlib
import os
import re
import statistics
import sys
import tempfile
import time
from functools import partial

from backends import Backend, Failed

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT_IN = ('-object', 'rng-random,id=rng0,filename=/dev/urandom',
            '-device', 'virtio-rng-pci,rng=rng0')
READ_S = 30
GUESTS_MAX = 4
MIN_BYTES = 1 << 18


def harness():
    """The guests of the end-to-end tests."""
    sys.path.insert(0, os.path.join(HERE, '..', '..', 'tests', 'e2e', 'qemu'))
    import guest
    return guest


@contextlib.contextmanager
def on_cpus(cpus):
    """What is started inside runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class InGuest:
    def __init__(self, args, kinds, cpus, say):
        self.args, self.kinds, self.say = args, kinds, say
        self.guest_cpu, self.backend_cpu = cpus
        self.guest = harness()

    def rate(self, guest, block):
        """MB/s of dd with that block size: as many bytes as take a second or so."""
        count = MIN_BYTES
        while True:
            start = time.monotonic()
            text = guest.check(f'dd if=/dev/hwrng of=/dev/null bs={block} count={count // block}',
                               READ_S)
            took = time.monotonic() - start
            if not re.search(rf'^{count // block}\+0 records out', text, re.MULTILINE):
                raise Failed(f'dd in the guest: {text}')
            if took > (0.5 if self.args.quick else 1.0):
                return count / took / 1e6
            count *= 2 if took > 0.25 else 4

    def measure(self, cpus, sockets=(), more=()):
        with tempfile.TemporaryDirectory(prefix='vrng-compare-') as directory:
            with on_cpus(cpus):
                guest = self.guest.Guest(directory, sockets, qemu_args=list(more))
            with guest:
                guest.check('cat /sys/class/misc/hw_random/rng_current')
                runs = 1 if self.args.quick else 3
                return {str(block): [self.rate(guest, block) for _ in range(runs)]
                        for block in (64, 4096)}

    def try_hard(self, name, measure):
        """A guest whose reads hang is told of, and another one is started."""
        hung = 0
        self.say(f'guest: {name}')
        while True:
            try:
                return measure(), hung
            except self.guest.Broken as error:
                hung += 1
                self.say(f'guest: {error}')
                if hung == GUESTS_MAX:
                    raise Failed(f'{name}: {hung} guests in a row hung') from error

    def built_in(self):
        return self.measure({self.guest_cpu, self.backend_cpu}, (), BUILT_IN)

    def served(self, kind):
        with Backend(kind, self.backend_cpu) as backend:
            return self.measure({self.guest_cpu}, [backend.prefix + '0'])

    def rates(self):
        found = {'built-in': self.try_hard('the virtio-rng built into QEMU', self.built_in)}
        for kind in self.kinds:
            found[kind.key] = self.try_hard(kind.name, partial(self.served, kind))
        return {key: {'hung': hung,
                      'blocks': {block: {'median': statistics.median(values),
                                         'min': min(values), 'max': max(values)}
                                 for block, values in blocks.items()}}
                for key, (blocks, hung) in found.items()}

    def reboot(self, kind):
        with tempfile.TemporaryDirectory(prefix='vrng-compare-') as directory, \
                Backend(kind, self.backend_cpu) as backend, \
                self.guest.Guest(directory, [backend.prefix + '0']) as guest:
            guest.check('dd if=/dev/hwrng of=/dev/null bs=64 count=4')
            guest.reboot()
            _, text = guest.run(
                'timeout 10 dd if=/dev/hwrng of=/dev/null bs=64 count=4; echo status $?')
            ok = 'status 0' in text and '4+0 records out' in text
            return 'it reads random numbers again' if ok else 'its reads of /dev/hwrng hang or fail'

    def reboots(self):
        """Whether a guest that reboots is served again."""
        return {kind.key: self.try_hard(f'reboot, {kind.name}', partial(self.reboot, kind))[0]
                for kind in self.kinds if kind.key != 'drbg'}

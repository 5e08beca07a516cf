#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The budget, as guests see it: with their own clocks.

A guest reads as fast as it can, so that it waits for tokens all the time, and
takes the time after each L bytes, L being what it gets in a period. The first
reads, of more than two periods' worth, see to it that what was saved up is gone.
From then on byte x + L comes exactly one period after byte x, wherever in a
period the measurement begins, and whatever the driver reads ahead.
"""

import contextlib
import tempfile

import guest
import tap

suite = tap.Suite()


class Env:
    def __init__(self, directory):
        self.directory = directory
        self.accel = guest.accelerator()
        self.processes = []

    def diagnostics(self):
        for process in self.processes:
            yield from process.tail()


@contextlib.contextmanager
def make_env():
    guest.require()
    with tempfile.TemporaryDirectory(prefix='vrng-') as directory:
        yield Env(directory)


@contextlib.contextmanager
def machines(env, daemons):
    """Starts daemons, given as (name, arguments, socket count), and a guest per
    socket, all guests at once; yields the guests and sees that nothing died."""
    with contextlib.ExitStack() as stack:
        env.processes = []
        sockets = []
        for name, arguments, count in daemons:
            daemon = stack.enter_context(guest.Daemon(env.directory, arguments, count, name))
            env.processes.append(daemon)
            sockets += daemon.sockets
        guests = []
        for path in sockets:
            vm = stack.enter_context(guest.Guest(env.directory, [path], accel=env.accel, wait=False,
                                                 name='guest-' + path.rpartition('/')[2]))
            env.processes.append(vm)
            guests.append(vm)
        for vm in guests:
            vm.wait_ready()
        yield guests
        for process in env.processes:
            assert process.alive, f'{process.name} ended with status {process.returncode}'


def start_measuring(vm, limit, periods):
    """Has the guest read `limit` bytes `periods` times, with its uptime before
    and after each."""
    read = 'dd if=/dev/hwrng of=/dev/null count=1 iflag=fullblock bs='
    return vm.start(
        f'{read}{2 * limit + 128} 2>&1; read t rest < /proc/uptime; echo time $t; '
        f'for i in $(seq {periods}); do {read}{limit} 2>&1; '
        'read t rest < /proc/uptime; echo time $t; done')


def finish_measuring(vm, ticket, limit, period_s, periods):
    """The measured rate as a multiple of `limit` bytes per period."""
    status, output = vm.finish(ticket, 30 + 3 * (periods + 3) * period_s)
    assert status == 0, output
    full = output.count('1+0 records out')
    assert full == periods + 1, f'{full} of {periods + 1} reads were complete: {output}'
    times = [float(line.split()[1]) for line in output.splitlines() if line.startswith('time ')]
    took_s = times[-1] - times[0]
    steps = ' '.join(f'{b - a:.2f}' for a, b in zip(times, times[1:]))
    ratio = periods * period_s / took_s if took_s > 0 else float('inf')
    tap.comment(f'{vm.name}: {periods} x {limit} B in {took_s:.2f} s, {ratio:.3f} of the limit; '
                f's for each: {steps}')
    return ratio


def assert_ratio(ratio, what):
    assert 0.9 <= ratio <= 1.1, f'{what}: {ratio:.3f} times the limit, not 0.9 to 1.1'


LIMITS = ((512, 1000, 12), (1024, 1000, 12), (5000, 2000, 6))


@suite.case('512 B/1000 ms, 1024 B/1000 ms and 5000 B/2000 ms are kept by 0.9 to 1.1')
def _(env):
    daemons = [(f'limit{size}', ['-m', size, '-p', period_ms], 1) for size, period_ms, _ in LIMITS]
    with machines(env, daemons) as guests:
        tickets = [start_measuring(vm, size, periods)
                   for vm, (size, _, periods) in zip(guests, LIMITS)]
        ratios = [finish_measuring(vm, ticket, size, period_ms / 1000, periods)
                  for vm, ticket, (size, period_ms, periods) in zip(guests, tickets, LIMITS)]
    for ratio, (size, period_ms, _) in zip(ratios, LIMITS):
        assert_ratio(ratio, f'{size} B/{period_ms} ms')


def saved_up(vm, limit, period_s):
    """Whether a guest that read nothing for three periods gets more than one
    period's worth of what it was owed."""
    output = vm.check(f'sleep {3 * period_s}; read a rest < /proc/uptime; '
                      f'dd if=/dev/hwrng of=/dev/null count=1 iflag=fullblock bs={3 * limit + 128} '
                      '2>&1; read b rest < /proc/uptime; echo time $a $b')
    start, end = map(float, output.split('time ')[1].split())
    # One period's worth at once, but between the second and the third lies a
    # whole period.
    tap.comment(f'{vm.name}: after a pause, 3 x {limit} B in {end - start:.2f} s')
    return end - start < 0.9 * period_s


@suite.case('two guests halve 10000 B/1000 ms; one alone gets its half, and saves nothing up')
def _(env):
    with machines(env, [('split', ['-m', 10000, '-p', 1000], 2)]) as (one, two):
        tickets = [start_measuring(vm, 5000, 8) for vm in (one, two)]
        ratios = [finish_measuring(vm, ticket, 5000, 1, 8)
                  for vm, ticket in zip((one, two), tickets)]
        alone = finish_measuring(one, start_measuring(one, 5000, 5), 5000, 1, 5)
        saved = saved_up(two, 5000, 1)
    assert_ratio(ratios[0], 'the first guest')
    assert_ratio(ratios[1], 'the second guest')
    assert_ratio(alone, 'the first guest alone')
    assert not saved, 'a pause of three periods was paid back'


if __name__ == '__main__':
    suite.main(make_env)

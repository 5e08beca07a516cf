# SPDX-License-Identifier: BSD-3-Clause
"""The daemon as a process: how fast it starts, what memory it takes, and what guests notice of
others that come and go."""

import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from backends import Backend, Failed, START_S, connects, die_with_parent

STARTS = 7
SOCKETS_MAX = 511
COMERS = 200


def resident_bytes(pid):
    with open(f'/proc/{pid}/status') as file:
        for line in file:
            if line.startswith('VmRSS:'):
                return int(line.split()[1]) * 1024
    raise Failed(f'process {pid} has no VmRSS')


class Process:
    def __init__(self, bench):
        self.bench = bench
        self.kinds = {kind.key: kind for kind in bench.kinds}
        self.ours = self.kinds.get('drbg', self.kinds['ours'])

    def start(self, kind, count):
        """Seconds from the start until all sockets accept, and bytes resident then."""
        with tempfile.TemporaryDirectory(prefix='vrng-compare-') as directory:
            prefix = os.path.join(directory, 'rng.sock')
            before = time.monotonic()
            process = subprocess.Popen(kind.command(prefix, self.bench.backend_cpu, count, ()),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
            try:
                while not connects(f'{prefix}{count - 1}'):
                    if process.poll() is not None or time.monotonic() - before > START_S:
                        raise Failed(f'{kind.name} does not accept')
                    time.sleep(0.001)
                took = time.monotonic() - before
                time.sleep(0.3)
                return took, resident_bytes(process.pid)
            finally:
                process.terminate()
                process.wait()

    def starts(self):
        rows = []
        for kind, count in ((self.kinds['original'], 1), (self.kinds['ours'], 1), (self.ours, 1),
                            (self.ours, SOCKETS_MAX)):
            self.bench.say(f'process: {kind.name}, {count} sockets')
            runs = [self.start(kind, count) for _ in range(2 if self.bench.args.quick else STARTS)]
            rows.append({'name': kind.name, 'sockets': count,
                         'took_s': statistics.median(took for took, _ in runs),
                         'bytes': statistics.median(size for _, size in runs)})
        return rows

    def churn(self):
        """One at depth 1 while nothing happens, and while others come, change, move and go."""
        self.bench.say(f'process: {COMERS} guests come and go')
        with tempfile.TemporaryDirectory(prefix='vrng-compare-') as directory:
            control = os.path.join(directory, 'control')
            with Backend(self.ours, self.bench.backend_cpu, 1,
                         ['--control-socket', control, '--sandbox-dir', directory]) as backend:
                alone = self.bench.bench(backend, 'churn-alone', [], 3)
                done = []
                comers = threading.Thread(target=come_and_go, args=(control, directory, done))
                comers.start()
                beside = self.bench.bench(backend, 'churn-beside', [], 3)
                comers.join()
        if done != [COMERS]:
            raise Failed(f'guests that should have come and gone: {done}')
        return [run['total']['latency_ns'] for run in (alone, beside)]

    def all(self):
        return {'starts': self.starts(), 'churn': self.churn()}


def come_and_go(control, directory, done):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(control)
        with s.makefile('rw') as lines:
            def ask(command, **words):
                lines.write(json.dumps({'command': command, **words}) + '\n')
                lines.flush()
                if not json.loads(lines.readline())['ok']:
                    raise Failed(command)

            for number in range(COMERS):
                name = f'comer{number}'
                ask('add', name=name, socket=os.path.join(directory, name))
                ask('set', name=name, weight=3, cap=4096)
                ask('move', name=name, lcore=None)
                ask('remove', name=name)
                time.sleep(0.005)
    done.append(COMERS)


def lines(found, table, duration):
    rows = [[row['name'], str(row['sockets']), f'{row["took_s"] * 1e3:.0f} ms',
             f'{row["bytes"] / 1e6:.1f} MB'] for row in found['starts']]
    alone, beside = found['churn']
    return ['From the start of the process to the moment when its last socket accepts, and what is '
            'resident then (medians). Of our time some 100 ms is the EAL\'s calibration of its '
            'clock, where the CPU does not tell its frequency.', '',
            *table(['', 'sockets', 'start', 'resident'], rows),
            f'A guest at depth 1 while {COMERS} others are added, limited, moved and removed over '
            f'the control socket, one after the other: p50 {duration(beside["p50"])}, p99 '
            f'{duration(beside["p99"])}; without them p50 {duration(alone["p50"])}, p99 '
            f'{duration(alone["p99"])}. (The thread that does it shares the bench\'s CPU.)', '']

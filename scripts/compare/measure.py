# SPDX-License-Identifier: BSD-3-Clause
"""The figures: runs of the bench against each back-end, in turn."""

import contextlib
import json
import os
import statistics
import subprocess
import time

from backends import Backend, Failed, die_with_parent

BENCH_S = 200

SIZES = (64, 256, 1024, 4096, 16384, 65536)
DEEP = 128


def work(args):
    """All that is measured: a key and the words of the bench."""
    quick = args.quick
    sizes = (64, 4096, 65536) if quick else SIZES
    plan = []
    for size in sizes:
        plan.append((f'poll-deep-{size}', ['--size', size, '--depth', DEEP]))
    for size in (64,) if quick else (64, 4096, 65536):
        plan.append((f'poll-one-{size}', ['--size', size]))
        plan.append((f'block-one-{size}', ['--size', size, '--wait', 'block']))
    if not quick:
        plan.append(('block-deep-64', ['--size', 64, '--depth', DEEP, '--wait', 'block']))
        plan.append(('block-deep-4096', ['--size', 4096, '--depth', DEEP, '--wait', 'block']))
    for guests in (4, 64):
        plan.append((f'poll-guests-{guests}', ['--guests', guests, '--size', 64, '--depth', 16]))
        if not quick:
            plan.append((f'block-guests-{guests}', ['--guests', guests, '--size', 64, '--depth', 16,
                                                    '--wait', 'block']))
    return plan


def guests_of(words):
    return words[words.index('--guests') + 1] if '--guests' in words else 0


class Measure:
    def __init__(self, args, kinds, cpus, say):
        self.args, self.kinds, self.say = args, kinds, say
        self.bench_cpu, self.backend_cpu = cpus
        self.repeats = 2 if args.quick else 3
        self.seconds = 0.6 if args.quick else 1.0
        self.raw = os.path.join(args.out, 'raw')
        os.makedirs(self.raw, exist_ok=True)

    def command(self, backend, words, duration, socket=None):
        prefix = backend.prefix
        if not guests_of(words):
            prefix += str(socket or 0)
        return list(map(str, [
            os.path.join(self.args.bench_dir, 'dpdk-vhost-rng-bench'), '--json', '-s', prefix,
            '--pid', backend.pid, '--pin', self.bench_cpu, '--duration', duration or self.seconds,
            '--warm-up', 0.3, *words]))

    def start(self, backend, words, duration):
        """A run in the background that has connected, whose figures are of no interest."""
        process = subprocess.Popen(self.command(backend, words, duration),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        time.sleep(2)
        return process

    def alone(self, kind, name, words, runs):
        """Some runs against one back-end."""
        with Backend(kind, self.backend_cpu) as backend:
            return [self.bench(backend, f'{name}-{number}', words) for number in range(runs)]

    def bench(self, backend, name, words, duration=None, socket=None):
        """One run; returns its JSON."""
        name = name.replace(' ', '-').replace(',', '')
        done = subprocess.run(self.command(backend, words, duration, socket),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=BENCH_S)
        with open(os.path.join(self.raw, f'{name}.json'), 'w') as file:
            file.write(done.stdout)
        if done.returncode:
            raise Failed(f'{backend.kind.name}, {name}: {done.stderr.strip()}')
        return json.loads(done.stdout)

    def in_turn(self, name, words, more=(), duration=None, repeats=None):
        """A B A B; returns {kind: [JSON, ...]}."""
        results = {kind.key: [] for kind in self.kinds}
        with contextlib.ExitStack() as stack:
            running = []
            for kind in self.kinds:
                backend = stack.enter_context(
                    Backend(kind, self.backend_cpu, max(1, guests_of(words)), more))
                backend.pause()
                running.append(backend)
            for number in range(repeats or self.repeats):
                for backend in running:
                    backend.go_on()
                    time.sleep(0.05)
                    results[backend.kind.key].append(self.bench(
                        backend, f'{name}-{backend.kind.key}-{number}', words, duration))
                    backend.pause()
        return results

    def all(self):
        figures = {}
        for name, words in work(self.args):
            self.say(f'bench: {name}')
            figures[name] = {key: digest(runs)
                             for key, runs in self.in_turn(name, words).items()}
        return figures

    def limit(self):
        """A budget of 1 MB per second for 4 guests, whose requests differ."""
        self.say('bench: limit')
        runs = self.in_turn('limit', ['--guests', 4, '--size', '64,64,4096,65536', '--depth',
                                      '1,16,16,16', '--timeout', 30],
                            ['-m', 1000000, '-p', 1000], 2 if self.args.quick else 5, 1)
        return {key: digest(result) for key, result in runs.items()}

    def limits_of_machine(self):
        """What the back-end's CPU can do, measured beside an idle original."""
        self.say('bench: limits of the machine')
        found = {}
        with Backend(self.kinds[0], self.backend_cpu) as backend:
            for size in (64, 4096, 65536):
                run = self.bench(backend, f'limits-{size}',
                                 ['--size', size, '--depth', 128 if size < 65536 else 16,
                                  '--limits', '--limits-cpu', self.backend_cpu], 0.2)
                found[str(size)] = run['limits']
        return found

    def own_cost(self):
        command = [os.path.join(self.args.bench_dir, 'dpdk-vhost-rng-bench'), '--json', '--self',
                   '--size', 64, '--depth', DEEP, '--pin', self.bench_cpu, '--duration', 1]
        rates = []
        for _ in range(3):
            done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True,
                                  timeout=BENCH_S)
            rates.append(json.loads(done.stdout)['total']['requests_per_s'])
        return statistics.median(rates)


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def spread(values):
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def digest(runs):
    """Medians and spread of what several runs measured."""
    total = [run['total'] for run in runs]
    requests = [t['measured']['requests'] for t in total]
    seconds = [t['seconds'] for t in total]
    result = {
        'requests_per_s': spread([t['requests_per_s'] for t in total]),
        'MB_per_s': spread([t['MB_per_s'] for t in total]),
        'short': sum(t['measured']['short'] for t in total),
        'empty': sum(t['measured']['empty'] for t in total),
        'calls_per_request': statistics.median(
            t['measured']['calls'] / n if n else 0 for t, n in zip(total, requests)),
        'kicks_per_request': statistics.median(
            t['measured']['kicks'] / n if n else 0 for t, n in zip(total, requests)),
        'cpu_percent': statistics.median(run['backend']['cpu_percent'] for run in runs),
        'cpu_ns_per_request': statistics.median(
            run['backend']['cpu_ns'] / n if n else 0 for run, n in zip(runs, requests)),
        'switches_per_s': statistics.median(
            (run['backend']['voluntary'] + run['backend']['involuntary']) / s
            for run, s in zip(runs, seconds)),
        'jain': statistics.median(t['jain'] for t in total),
        'guests_MB_per_s': [guest['MB_per_s'] for guest in runs[-1]['guests']],
        'histogram': runs[-1]['total']['histogram_ns'],
    }
    for name in ('p50', 'p90', 'p99', 'p99.9', 'max'):
        result[name] = spread([t['latency_ns'][name] for t in total])
    return result

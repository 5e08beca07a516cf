# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to have a back-end that nobody asks for anything: measured and as a table."""

import statistics
import time

from backends import Backend, Kind
from measure import cpu_seconds

GUESTS = 64
RUNS = 3
FULL_RUNS = 7


class Resting:
    """The original, and drbg with each policy of --idle."""

    def __init__(self, bench):
        self.bench = bench
        self.kinds = [kind for kind in bench.kinds if kind.key == 'original']
        drbg = next((kind for kind in bench.kinds if kind.key == 'drbg'), None)
        for policy in ('poll', 'adaptive') if drbg else ():
            self.kinds.append(Kind(policy, f'drbg, --idle {policy}', drbg.program,
                                   [*drbg.words, '--idle', policy], True))

    def silent(self, kind):
        """Share of a CPU: with no guest, and with many of which one asks once a second."""
        seconds = 1 if self.bench.args.quick else 5
        with Backend(kind, self.bench.backend_cpu, GUESTS) as backend:
            before = cpu_seconds(backend.pid)
            time.sleep(seconds)
            alone = cpu_seconds(backend.pid) - before
            run = self.bench.bench(backend, f'rest-idle-{kind.key}', [
                '--guests', GUESTS, '--rate', 1, '--wait', 'block'], seconds)
        return {'no_guest_percent': alone / seconds * 100,
                'guests_percent': run['backend']['cpu_percent']}

    def woken(self, kind):
        """Requests that come seldom, of guests that see the answer at once."""
        runs = []
        with Backend(kind, self.bench.backend_cpu, GUESTS) as backend:
            for number in range(1 if self.bench.args.quick else RUNS):
                run = self.bench.bench(backend, f'rest-woken-{kind.key}-{number}', [
                    '--guests', GUESTS, '--rate', 200, '--limits', '--limits-cpu',
                    self.bench.backend_cpu], 1 if self.bench.args.quick else 5)
                runs.append({'wake': run['limits']['wake_ns'],
                             'latency': run['total']['latency_ns']})
        return {'wake': {p: statistics.median(run['wake'][p] for run in runs)
                         for p in ('p50', 'p99')},
                'latency': {p: statistics.median(run['latency'][p] for run in runs)
                            for p in ('p50', 'p99')}}

    def at_work(self):
        """Full load, both policies in turn: pairs of requests/s."""
        kinds = [kind for kind in self.kinds if kind.polls]
        pairs = []
        for number in range(2 if self.bench.args.quick else FULL_RUNS):
            pairs.append([self.bench.alone(kind, f'rest-full-{kind.key}-{number}', [
                '--size', 64, '--depth', 128], 1)[0]['total']['requests_per_s']
                for kind in kinds])
        return pairs

    def all(self):
        found = {'rows': []}
        for kind in self.kinds:
            self.bench.say(f'resting: {kind.name}')
            found['rows'].append({'name': kind.name, **self.silent(kind), **self.woken(kind)})
        if len(self.kinds) > 1:
            self.bench.say('resting: at work')
            found['at_work'] = self.at_work()
        return found


def lines(found, table, duration):
    # A back-end that polls has the CPU that the wake is measured on.
    wake = {p: min(row['wake'][p] for row in found['rows']) for p in ('p50', 'p99')}
    rows = [[row['name'], f'{row["no_guest_percent"]:.1f} %', f'{row["guests_percent"]:.1f} %',
             duration(row['latency']['p50']), duration(row['latency']['p99'])]
            for row in found['rows']]
    out = [f'{GUESTS} guests. The middle columns are the share of a CPU that the back-end takes '
           'with no guest, and with all of them connected and one request a second in all; the '
           'last ones what a request waits when 200 a second come in all. To wake a thread that '
           f'waits for an eventfd, and nothing else, takes {duration(wake["p50"])} (p50) and '
           f'{duration(wake["p99"])} (p99) here.', '',
           *table(['', 'no guest', f'{GUESTS} guests', 'p50', 'p99'], rows)]
    if found.get('at_work'):
        ratio = statistics.median(adaptive / poll for poll, adaptive in found['at_work'])
        out += [f'At full load (64 B, depth 128) `adaptive` has {ratio * 100:.1f} % of the rate of '
                f'`poll` (median of {len(found["at_work"])} runs of each, in turn). '
                'docs/idle.md says what the policies do.', '']
    return out

# SPDX-License-Identifier: BSD-3-Clause
"""docs/benchmarks.md, from the results."""

import os

import budget
import charts
import linerate
import process
import resting

# Beyond these the machine had other work.
LOAD_MAX = 0.3
OWN_RATE_MIN = 30e6


def number(value):
    if value >= 1000:
        return f'{value:,.0f}'.replace(',', ' ')
    if value >= 100:
        return f'{value:.0f}'
    if value >= 10:
        return f'{value:.1f}'
    return f'{value:.2f}'


def duration(ns):
    if ns < 1000:
        return f'{ns:.0f} ns'
    if ns < 1e6:
        return f'{number(ns / 1e3)} µs'
    if ns < 1e9:
        return f'{number(ns / 1e6)} ms'
    return f'{number(ns / 1e9)} s'


def with_spread(value):
    return f'{number(value["median"])} ({number(value["min"])}–{number(value["max"])})'


def size_name(size):
    size = int(size)
    return f'{size // 1024} KiB' if size >= 1024 else f'{size} B'


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '| --- ' + '| ---: ' * (len(head) - 1) + '|']
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return lines + ['']


def words_of(name):
    """'poll-deep-64' for a person."""
    wait, form, value = name.split('-')
    waits = {'poll': 'polls', 'block': 'sleeps'}[wait]
    if form == 'guests':
        return f'{value} guests, 64 B, depth 16, {waits}'
    depth = {'deep': 128, 'one': 1}[form]
    return f'1 guest, {size_name(value)}, depth {depth}, {waits}'


class Document:
    def __init__(self, results):
        self.r = results
        self.ours = [kind for kind in results['kinds'] if kind['key'] != 'original']
        self.names = {kind['key']: kind['name'] for kind in results['kinds']}
        self.keys = [kind['key'] for kind in results['kinds']]
        self.losses = []

    def ratio(self, name, key, figure, lower_is_better=False):
        """How many times better than the original; notes where it is worse."""
        found = self.r['figures'][name]
        theirs, ours = found['original'][figure]['median'], found[key][figure]['median']
        if not theirs or not ours:
            return 'none'
        ratio = theirs / ours if lower_is_better else ours / theirs
        what = f'{words_of(name)}: {"p99 latency" if figure == "p99" else figure_name(figure)}'
        if ratio < 1:
            self.losses.append(f'{what}: {self.names[key]} is {1 / ratio:.2f} times worse')
        return f'{ratio:.3g}' if ratio < 100 else f'{ratio:.0f}'

    def ratios(self):
        head = ['work']
        for kind in self.ours:
            mode = kind['name'].rpartition(', ')[2]
            head += [f'{mode}: rate', f'{mode}: p50', f'{mode}: p99']
        rows = []
        for name in self.r['figures']:
            row = [words_of(name)]
            for kind in self.ours:
                row += [f'**{self.ratio(name, kind["key"], "requests_per_s")}**',
                        self.ratio(name, kind['key'], 'p50', True),
                        self.ratio(name, kind['key'], 'p99', True)]
            rows.append(row)
        return [f'How many times better than {self.r["machine"]["original"]}: the rate is this '
                'many times higher, the latency (p50, p99) this many times lower. Below 1 it is '
                'worse.', '', *table(head, rows)]

    def rates(self):
        head = ['work, requests/s'] + [self.names[key] for key in self.keys]
        rows = [[words_of(name)] + [with_spread(found[key]['requests_per_s'])
                                    for key in self.keys]
                for name, found in self.r['figures'].items()]
        return table(head, rows)

    def bytes_rates(self):
        head = ['MB/s'] + [self.names[key] for key in self.keys]
        rows = [[words_of(name)] + [with_spread(found[key]['MB_per_s']) for key in self.keys]
                for name, found in self.r['figures'].items() if 'deep' in name]
        return table(head, rows)

    def latencies(self):
        head = ['latency', 'back-end', 'p50', 'p90', 'p99', 'p99.9', 'max']
        rows = []
        for name, found in self.r['figures'].items():
            if 'one' in name:
                for key in self.keys:
                    rows.append([words_of(name), self.names[key]] + [
                        duration(found[key][p]['median'])
                        for p in ('p50', 'p90', 'p99', 'p99.9', 'max')])
        return table(head, rows)

    def cost(self):
        head = ['', 'back-end', 'CPU', 'CPU time a request', 'kicks a request',
                'calls a request', 'context switches/s']
        rows = []
        for name in ('poll-one-64', 'block-one-64', 'poll-deep-64', 'poll-deep-65536'):
            for key in self.keys:
                found = self.r['figures'][name][key]
                rows.append([words_of(name), self.names[key], f'{found["cpu_percent"]:.0f} %',
                             duration(found['cpu_ns_per_request']),
                             f'{found["kicks_per_request"]:.3f}',
                             f'{found["calls_per_request"]:.3f}',
                             number(found['switches_per_s'])])
        return table(head, rows)

    def limit(self):
        head = ['1 MB/s for 4 guests', 'together', 'guest 0: 64 B, depth 1',
                'guest 1: 64 B, depth 16', 'guest 2: 4 KiB, depth 16', 'guest 3: 64 KiB, depth 16',
                'Jain', 'answers of no bytes']
        rows = []
        for key in self.keys:
            found = self.r['limit'][key]
            rows.append([self.names[key], f'{found["MB_per_s"]["median"]:.3f} MB/s']
                        + [f'{rate:.3f}' for rate in found['guests_MB_per_s']]
                        + [f'{found["jain"]:.4f}', str(found['empty'])])
        return table(head, rows)

    def fairness(self):
        head = ['64 guests', 'together', 'least', 'most', "Jain's index"]
        rows = []
        for key in self.keys:
            found = self.r['figures']['poll-guests-64'][key]
            rates = found['guests_MB_per_s']
            rows.append([self.names[key], f'{sum(rates):.2f} MB/s', f'{min(rates):.3f}',
                         f'{max(rates):.3f}', f'{found["jain"]:.4f}'])
        return table(head, rows)

    def machine_limits(self):
        head = ['one CPU of this machine', '64 B', '4 KiB', '64 KiB']
        limits = [self.r['limits'][size] for size in ('64', '4096', '65536')]
        rows = []
        for title, name, unit in (('read(2) of /dev/urandom, that size a call', 'source',
                                   'MB_per_s'),
                                  ('the same, 64 KiB a call', 'source_bulk', 'MB_per_s'),
                                  (f'AES-256 keystream ({limits[0]["cipher"]})', 'keystream',
                                   'MB_per_s'),
                                  ('copy', 'copy', 'MB_per_s'),
                                  ('write a call descriptor', 'call', 'calls_per_s')):
            rows.append([title] + [f'{number(limit[name][unit])} '
                                   + ('MB/s' if unit == 'MB_per_s' else '/s')
                                   for limit in limits])
        return table(head, rows)

    def guest(self):
        if 'guest' not in self.r:
            return ['Not measured in this run.', '']
        found = self.r['guest']
        head = ['`dd` from /dev/hwrng in the guest, MB/s', 'bs=64', 'bs=4096',
                'against the built-in one', 'guests whose reads hung']
        names = {'built-in': 'virtio-rng, built into QEMU', **self.names}
        rows = []
        built_in = found['built-in']['blocks']
        theirs = found['original']['blocks']
        for key, seen in found.items():
            blocks = seen['blocks']
            ratio = blocks['4096']['median'] / built_in['4096']['median']
            rows.append([names[key], with_spread(blocks['64']), with_spread(blocks['4096']),
                         f'{ratio:.2f}', str(seen['hung'])])
            for block in blocks:
                if key in ('ours', 'drbg') and blocks[block]['median'] < theirs[block]['median']:
                    self.losses.append(f'in a QEMU guest, bs={block}: {names[key]} is slower than '
                                       'vhost-device-rng')
        return table(head, rows)

    def behaviours(self):
        lines = ['| what happens | vhost-device-rng | dpdk-vhost-rng |', '| --- | --- | --- |']
        for row in self.r['behaviours']:
            seen = row['seen']
            lines.append(f'| {row["case"]} | {seen["original"]} | {seen["ours"]} |')
        return lines + ['']

    def warning(self):
        """Figures that were disturbed must not be taken for the program's."""
        load, rate = self.r['machine']['load'], self.r['own_cost']
        if load <= LOAD_MAX and rate >= OWN_RATE_MIN:
            return []
        return ['**This run was disturbed: other programs kept '
                f'{load:.1f} CPUs busy when it began; '
                f'the bench alone drove {number(rate / 1e6)} million requests/s. Its '
                'figures say little; repeat it on a machine that does nothing else.**', '']

    def lines(self):
        r, m = self.r, self.r['machine']
        ratios = self.ratios()
        guest = self.guest()
        theirs, *ours = self.r['resting']['rows']
        self.losses += [f'at rest: {row["name"]} takes {row["no_guest_percent"]:.0f} % of a CPU, '
                        f'vhost-device-rng {theirs["no_guest_percent"]:.0f} %: it polls'
                        for row in ours
                        if row['no_guest_percent'] > theirs['no_guest_percent'] + 5]
        losses = [f'- {loss}.' for loss in self.losses] or ['- Nowhere, in what is measured here.']
        return [
            '# Benchmarks',
            '',
            f'Written by `scripts/compare.sh` on {m["date"]}; what is here was measured, and '
            'tried, in that run. To repeat it:',
            '',
            '```sh',
            'scripts/compare.sh            # --quick: the same in two minutes, with less of all',
            '```',
            '',
            *self.warning(),
            '## Against vhost-device-rng',
            '',
            *ratios,
            '![Rate over size](rate-over-size.svg)',
            '',
            '## Where it loses',
            '',
            *losses,
            '',
            '## How it was measured',
            '',
            f'- {m["cpu"]}, {m["cpus"]} CPUs ({m["virtual"]}), {m["system"]}, Linux {m["kernel"]}.',
            f'- {m["daemon"]}; {m["original"]} (by `cargo install`, release build); {m["qemu"]}.',
            f'- Guests: `dpdk-vhost-rng-bench`, one thread on CPU {r["cpus"][0]}. Back-end: CPU '
            f'{r["cpus"][1]} (`--lcores`, and `taskset` for vhost-device-rng, whose threads all '
            'run there; the control and source threads of dpdk-vhost-rng may run on '
            f'CPU {r["cpus"][0]}). Those that are not measured are stopped (SIGSTOP).',
            f'- All read /dev/urandom. They take turns, A B A B: {r["repeats"]} runs of '
            f'{r["seconds"]:g} s each, after 0.3 s that are not counted. Tables give the median, '
            'and (least–most).',
            f'- Others kept {m["load"]:.2f} CPUs busy when it began.',
            '- "depth" is how many requests are outstanding; "polls" and "sleeps" is how the guest '
            'waits: a Linux guest sleeps, with a depth of 1. Split queues, with event index.',
            '- In the mode passthrough every byte is read from the source; in the mode drbg the '
            'source seeds a CTR_DRBG (AES-256).',
            f'- The bench alone, with a back-end in memory, drives {number(r["own_cost"] / 1e6)} '
            'million requests/s (64 B, depth 128): it is not what is measured.',
            '',
            *self.machine_limits(),
            '## Rates',
            '',
            *self.rates(),
            *self.bytes_rates(),
            '## Latency',
            '',
            *self.latencies(),
            '![Latency](latency.svg)',
            '',
            '## Cost',
            '',
            'CPU of the whole back-end process, all threads, while it is measured.',
            '',
            *self.cost(),
            '## At rest',
            '',
            *resting.lines(r['resting'], table, duration),
            '## As a process',
            '',
            *process.lines(r['process'], table, duration),
            '## Many guests',
            '',
            *self.fairness(),
            '![Fairness](fairness.svg)',
            '',
            '## With a limit',
            '',
            'Four guests that ask for as much as they can get, `--max-bytes 1000000 '
            '--period 1000`. Figures are MB/s.',
            '',
            *self.limit(),
            '## At line rate',
            '',
            *linerate.lines(r, table),
            '## The budget',
            '',
            *budget.lines(r, self.names, table, number, duration),
            '## In a QEMU guest',
            '',
            'A Linux guest with one CPU. It asks for 64 bytes at a time and sleeps until they '
            'come, so that what is measured is mostly the way into the guest and back. The guest '
            f'has CPU {r["cpus"][0]}, the back-end CPU {r["cpus"][1]}; with the built-in device '
            'QEMU has both.',
            '',
            *guest,
            '## Behaviour in unusual cases',
            '',
            'Each was tried in this run, with both; `app/bench/behave.c` is the guest that does '
            'it.',
            '',
            *self.behaviours(),
        ]


def figure_name(figure):
    return {'requests_per_s': 'rate', 'p50': 'median latency'}.get(figure, figure)


def write(results, directory):
    charts.write(results, directory)
    with open(os.path.join(directory, 'benchmarks.md'), 'w') as file:
        file.write('\n'.join(Document(results).lines()))

# SPDX-License-Identifier: BSD-3-Clause
"""What share of what the machine can do is reached: measured and as a table."""

import statistics

RUNS = 5

# Requests of 64 bytes a second that are aimed at for each byte a second of keystream.
SMALL_PER_KEYSTREAM = 30e6 / 10e9

WORK = (
    ('drbg', '64 KiB, depth 32', ['--size', 65536, '--depth', 32]),
    ('drbg', '4 KiB, depth 128', ['--size', 4096, '--depth', 128]),
    ('drbg', '64 B, depth 128', ['--size', 64, '--depth', 128]),
    ('drbg', '64 B, depth 1', ['--size', 64]),
    ('ours', '64 KiB, depth 32', ['--size', 65536, '--depth', 32]),
)


def measure(bench):
    """Each work RUNS times, the limits of the back-end's CPU in the same run."""
    kinds = {kind.key: kind for kind in bench.kinds}
    rows = []
    for key, name, words in WORK:
        if key not in kinds:
            continue
        bench.say(f'line rate: {key}, {name}')
        runs = bench.alone(kinds[key], f'line-{key}-{name}', words + [
            '--limits', '--limits-cpu', bench.backend_cpu], 2 if bench.args.quick else RUNS)
        rows.append({'kind': key, 'work': name, 'runs': [digest(run) for run in runs]})
    return rows


def layouts(bench):
    """64 B at depth 128 over a split and a packed ring in turn: (split, packed) each time."""
    pairs = []
    kind = next((kind for kind in bench.kinds if kind.key == 'drbg'), None)
    for turn in range((2 if bench.args.quick else RUNS) if kind else 0):
        bench.say('line rate: split and packed')
        pairs.append([bench.alone(kind, f'line-{layout}-{turn}', [
            '--size', 64, '--depth', 128, '--layout', layout], 1)[0]['total']['requests_per_s']
            for layout in ('split', 'packed')])
    return pairs


def digest(run):
    total, limits = run['total'], run['limits']
    return {'requests_per_s': total['requests_per_s'], 'MB_per_s': total['MB_per_s'],
            'p50': total['latency_ns']['p50'], 'p99': total['latency_ns']['p99'],
            'keystream_MB_per_s': limits['keystream']['MB_per_s'],
            'keystream': limits['keystream']['reached'], 'source': limits['source']['reached']}


def median(row, figure):
    return statistics.median(run[figure] for run in row['runs'])


def spread(row, figure, form='{:.3f}'):
    values = [run[figure] for run in row['runs']]
    return (f'{form.format(statistics.median(values))} '
            f'({form.format(min(values))}–{form.format(max(values))})')


def against_original(figures, name, figure):
    original = figures[name]['original'][figure]['median']
    ours = {key: found[figure]['median'] for key, found in figures[name].items()}
    return {key: value / original for key, value in ours.items()}


def lines(results, table):
    rows, figures = results['linerate'], results['figures']
    found = {(row['kind'], row['work']): row for row in rows}
    head = ['work', 'what', 'reached', 'aimed at']
    out = []
    for kind, work, goal in (('drbg', '64 KiB, depth 32', '0.97'),
                             ('drbg', '4 KiB, depth 128', '0.90')):
        out.append([f'drbg, {work}', 'share of the raw keystream',
                    spread(found[kind, work], 'keystream'), f'≥ {goal}'])
    row = found['drbg', '64 B, depth 128']
    # The keystream's rate of calls as large as those of the 64 KiB row: what the library can do.
    raw = median(found['drbg', '64 KiB, depth 32'], 'keystream_MB_per_s') * 1e6
    millions = [{'m': run['requests_per_s'] / 1e6} for run in row['runs']]
    out.append(['drbg, 64 B, depth 128', 'million requests/s',
                spread({'runs': millions}, 'm', '{:.1f}'),
                f'≥ {raw * SMALL_PER_KEYSTREAM / 1e6:.0f} (30 where the keystream has 10 GB/s)'])
    row = found['drbg', '64 B, depth 1']
    for figure, goal in (('p50', 500), ('p99', 1000)):
        out.append(['drbg, 64 B, depth 1, polls', f'{figure}, ns',
                    spread(row, figure, '{:.0f}'), f'≤ {goal}'])
    ratios = [packed / split for split, packed in results['layouts']]
    out.append(['drbg, 64 B, depth 128, packed ring', 'rate, of a split ring\'s',
                spread({'runs': [{'r': ratio} for ratio in ratios]}, 'r', '{:.2f}'), '≥ 0.95'])
    row = found['ours', '64 KiB, depth 32']
    out.append(['passthrough, 64 KiB, depth 32', 'share of a read(2) loop on that CPU',
                spread(row, 'source'), '≥ 0.95'])
    ratio = against_original(figures, 'block-one-64', 'p50')
    out.append(['drbg, 64 B, depth 1, sleeps', 'p50, of the original\'s',
                f'{ratio["drbg"]:.3f}', '≤ 0.33'])
    for key, mode, name, work, goal in (
            ('ours', 'passthrough', 'poll-deep-64', '64 B, depth 128', 5),
            ('drbg', 'drbg', 'poll-deep-64', '64 B, depth 128', 40),
            ('drbg', 'drbg', 'poll-deep-65536', '64 KiB, depth 128', 40)):
        ratio = against_original(figures, name, 'requests_per_s')
        out.append([f'{mode}, {work}', 'rate, of the original\'s', f'{ratio[key]:.1f}',
                    f'≥ {goal}'])
    return ['One lcore, the guest on the other CPU; the shares are of what the same CPU can do '
            f'alone, measured in the same run (`--limits`); medians of {RUNS} runs.', '',
            *table(head, out)]

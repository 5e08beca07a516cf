# SPDX-License-Identifier: BSD-3-Clause
"""Budgets as guests see them, and many guests on one lcore: measured and as tables."""

from backends import Backend

# Bytes a period, milliseconds, size and depth of requests; and whether the original is asked too.
LIMITS = (
    (1, 1, 64, 16, False), (1000, 1, 64, 16, True), (1000000, 1, 4096, 16, False),
    (5000000, 1, 65536, 32, False), (1, 100, 64, 16, False), (100000, 100, 64, 16, True),
    (500000000, 100, 65536, 32, False), (5000, 1000, 64, 16, True), (50000, 10000, 64, 16, False),
)
PERIODS = 10
FAIR_BYTES, FAIR_MS, FAIR_GUESTS = 6400000, 100, 64
WEIGHTS = (1, 2, 4, 8)
MANY = 500
MANY_WORK = (('64 B, depth 16', ['--size', 64, '--depth', 16]),
             ('4 KiB, depth 16', ['--size', 4096, '--depth', 16]),
             ('64 KiB, depth 4', ['--size', 65536, '--depth', 4]))
# One guest whose buffers are as far beyond the caches as those of many are.
WIDE = ['--size', 65536, '--depth', 1024]
# What a turn is at most while several guests want bytes.
TURN_BESIDE_BYTES = 65536


class Budget:
    def __init__(self, bench):
        self.bench, self.say = bench, bench.say
        self.kinds = {kind.key: kind for kind in bench.kinds}
        self.ours = self.kinds.get('drbg', self.kinds['ours'])

    def one(self, kind, name, words, more, count=1, socket=None):
        with Backend(kind, self.bench.backend_cpu, count, more) as backend:
            return self.bench.bench(backend, name, words, socket=socket)

    def accuracy(self):
        rows = []
        for limit, ms, size, depth, both in LIMITS:
            if self.bench.args.quick and ms > 1000:
                continue
            kinds = [self.ours] + ([self.kinds['original']] if both else [])
            for kind in kinds:
                self.say(f'budget: {kind.name}, {limit} bytes in {ms} ms')
                run = self.one(kind, f'budget-{kind.key}-{limit}-{ms}',
                               ['--size', size, '--depth', depth, '--period', ms,
                                '--periods', PERIODS], ['-m', limit, '-p', ms])
                rows.append({'kind': kind.key, 'limit': limit, 'ms': ms,
                             'periods': run['periods']})
        return rows

    def fairness(self):
        found = {}
        base = ['-m', FAIR_BYTES, '-p', FAIR_MS]
        words = ['--size', 4096, '--depth', 16, '--period', FAIR_MS, '--periods', PERIODS]
        self.say('budget: equal guests')
        run = self.one(self.ours, 'budget-equal', ['--guests', FAIR_GUESTS, *words], base,
                       FAIR_GUESTS)
        found['jain'] = run['total']['jain']
        self.say('budget: weights')
        rules = []
        for index, weight in enumerate(WEIGHTS):
            rules += ['--guest', f'{index},weight={weight}']
        run = self.one(self.ours, 'budget-weights', ['--guests', len(WEIGHTS), *words],
                       base + rules, len(WEIGHTS))
        found['weights'] = [guest['measured']['bytes'] for guest in run['guests']]
        for sharing in ('strict', 'fair'):
            self.say(f'budget: one that is greedy, {sharing}')
            run = self.one(self.ours, f'budget-greedy-{sharing}', words,
                           base + ['--sharing', sharing], FAIR_GUESTS, FAIR_GUESTS - 1)
            # What is lent comes bit by bit: there is no silence to tell periods by.
            found[sharing] = run['periods'] or [run['total']['MB_per_s'] * 1e3 * FAIR_MS]
        return found

    def many(self):
        found = {'work': []}
        with Backend(self.ours, self.bench.backend_cpu, MANY + 1) as backend:
            for name, words in MANY_WORK:
                self.say(f'budget: {MANY} guests, {name}')
                rates = {}
                for count in (1, MANY):
                    run = self.bench.bench(
                        backend, f'many-{count}-{name}',
                        words + (['--guests', count] if count > 1 else []))
                    rates[count] = run['total']['MB_per_s']
                found['work'].append((name, rates[1], rates[MANY]))
            found['wide'] = self.bench.bench(backend, 'many-wide', WIDE)['total']['MB_per_s']
            self.say(f'budget: {MANY} guests that are idle')
            alone = self.bench.bench(backend, 'many-alone', [], socket=MANY)
            idle = self.bench.start(backend, ['--guests', MANY, '--rate', 1, '--wait', 'block'], 6)
            beside = self.bench.bench(backend, 'many-beside', [], socket=MANY)
            idle.terminate()
            idle.communicate()
        found['idle'] = [run['total']['latency_ns'] for run in (alone, beside)]
        return found

    def hog(self):
        self.say('budget: beside one that asks for megabytes')
        with Backend(self.ours, self.bench.backend_cpu, 2) as backend:
            alone = self.bench.bench(backend, 'hog-alone', [], socket=1)
            both = self.bench.bench(backend, 'hog-both', ['--guests', 2, '--size', '1Mi,64',
                                                          '--depth', '256,1'])
        return {'alone': alone['guests'][0]['latency_ns'],
                'beside': both['guests'][1]['latency_ns'],
                'hog_MB_per_s': both['guests'][0]['MB_per_s']}

    def all(self):
        return {'accuracy': self.accuracy(), 'fairness': self.fairness(), 'many': self.many(),
                'hog': self.hog()}


def accuracy_rows(results, names):
    for row in results['accuracy']:
        periods, owed = row['periods'], row['limit'] * len(row['periods'])
        if not periods:
            yield [names[row['kind']], str(row['limit']), str(row['ms']), 'none seen', '', '']
            continue
        yield [names[row['kind']], str(row['limit']), str(row['ms']), str(min(periods)),
               str(max(periods)), f'{(sum(periods) / owed - 1) * 100:+.3f} %']


def lines(results, names, table, number, duration):
    found = results['budget']
    fair, many, hog = found['fairness'], found['many'], found['hog']
    total, weights = sum(fair['weights']), sum(WEIGHTS)
    off = max(abs(got / total * weights / weight - 1)
              for got, weight in zip(fair['weights'], WEIGHTS))
    turn_ns = TURN_BESIDE_BYTES / hog['hog_MB_per_s'] * 1e3
    return [
        f'What guests that always want more were given in each of {PERIODS} periods in a row. '
        'Nobody tells a guest when a period begins; `dpdk-vhost-rng-bench --period` takes the '
        'first answer after a silence for the beginning of one, and from there on cuts time into '
        'periods by the clock.', '',
        *table(['', 'bytes', 'period, ms', 'least in one', 'most in one', 'off, together'],
               list(accuracy_rows(found, names))),
        f'{FAIR_BYTES} bytes in {FAIR_MS} ms:', '',
        f'- {FAIR_GUESTS} equal guests that want all: Jain\'s index {fair["jain"]:.6f}.',
        f'- Weights {":".join(map(str, WEIGHTS))}: each has its part, within {off * 100:.4f} %.',
        f'- One that wants all, {FAIR_GUESTS - 1} that want nothing: '
        f'{sum(fair["fair"]) / len(fair["fair"]):.0f} bytes in a period with `--sharing fair`, '
        f'{sum(fair["strict"]) / len(fair["strict"]):.0f} with `strict` '
        f'(a {FAIR_GUESTS}th is {FAIR_BYTES // FAIR_GUESTS}).', '',
        f'One lcore and {MANY} guests, all greedy, against one guest alone:', '',
        *table(['drbg', '1 guest, MB/s', f'{MANY} guests, MB/s', 'share'],
               [[name, number(one), number(all_), f'{all_ / one:.2f}']
                for name, one, all_ in many['work']]),
        f'(With 64 KiB the buffers of {MANY} guests have 128 MB, more than the caches hold: one '
        f'guest with 1,024 requests of 64 KiB gets {number(many["wide"])} MB/s.) '
        f'A guest at depth 1: p50 {duration(many["idle"][0]["p50"])} alone, '
        f'{duration(many["idle"][1]["p50"])} beside {MANY} connected guests that ask for nothing; '
        'twice the difference is what a sweep over them costs, '
        f'{(many["idle"][1]["p50"] - many["idle"][0]["p50"]) * 2 / MANY:.1f} ns each.', '',
        'A guest at depth 1 with 64 B: p50 '
        f'{duration(hog["alone"]["p50"])}, p99 {duration(hog["alone"]["p99"])} alone; p50 '
        f'{duration(hog["beside"]["p50"])}, p90 {duration(hog["beside"]["p90"])}, p99 '
        f'{duration(hog["beside"]["p99"])} beside one that asks for 1 MiB at depth 256, whose '
        f'turns, of 64 KiB while others want bytes, take {duration(turn_ns)}.', '',
    ]

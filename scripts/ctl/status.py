# SPDX-License-Identifier: BSD-3-Clause
"""What --status shows."""

from .text import NONE, Column, amount, duration, limit, period, table, width_of_output


# What an lcore's time goes to.
TIMES = ('busy_ns', 'spinning_ns', 'pausing_ns', 'sleeping_ns', 'blocked_ns')


def is_client(guest):
    """Its socket is the front-end's, and the daemon connects to it."""
    return guest.get('mode') == 'client'


def notes(guest):
    """What is out of the ordinary with a guest."""
    found = []
    if guest['broken']:
        found.append(f'broken: {guest["broken"]}')
    if guest.get('waits_for'):
        found.append(f'waits for {guest["waits_for"]}')
    if guest['draining']:
        found.append('draining')
    if guest['pinned']:
        found.append('pinned')
    return found


def _counter(name):
    return lambda guest: guest['counters'][name]


GUEST_COLUMNS = [
    Column('NAME', lambda g: g['name'], left=True),
    Column('STATE', lambda g: g['state'], left=True),
    Column('LCORE', lambda g: g['lcore'], rank=3),
    Column('WEIGHT', lambda g: g['weight'], rank=4),
    Column('CAP', lambda g: limit(g['cap']), rank=5),
    Column('BURST', lambda g: g['burst'], rank=6),
    Column('REQUESTS', _counter('requests')),
    Column('BYTES', _counter('bytes')),
    Column('SHORT', _counter('short'), rank=7),
    Column('THROTTLED', _counter('throttled'), rank=2),
    Column('STARVED', _counter('starved'), rank=7),
    Column('CALLS', _counter('calls'), rank=8),
    Column('SOCKET', lambda g: g['socket'] + (' (connected to)' if is_client(g) else ''), rank=9,
           left=True),
    Column('NOTES', lambda g: ', '.join(notes(g)) or NONE, rank=1, left=True),
]

LCORE_COLUMNS = [
    Column('LCORE', lambda n: n['lcore']),
    Column('CPU', lambda n: 'any' if n['cpu'] is None else n['cpu']),
    Column('GUESTS', lambda n: n['guests']),
    Column('BUSY', lambda n: busy_share(n), rank=2),
    Column('RESEEDS', lambda n: n['reseeds'], rank=3),
    Column('GENERATED', lambda n: n['generated'], rank=4),
    Column('DRAWN', lambda n: NONE if n['drawn'] is None else n['drawn'], rank=5),
    Column('NOTES', lambda n: ('DRBG failed its self-test' if n['failed'] else
                               'reseed is overdue' if n['overdue'] else NONE), rank=1, left=True),
]

SOURCE_COLUMNS = [
    Column('FILE', lambda s: s['file'], left=True),
    Column('STATE', lambda s: s['state'], left=True),
    Column('BYTES', lambda s: s['bytes']),
    Column('UNWELL', lambda s: s['unwell']),
    Column('ERRORS', lambda s: s['errors']),
]


def busy_share(lcore):
    """Of all its time."""
    total = sum(lcore[name] for name in TIMES)
    return f'{100 * lcore["busy_ns"] / total:.1f} %' if total else NONE


def budget_line(budget):
    limits = []
    if budget['max-bytes'] is not None:
        limits.append(f'{budget["max-bytes"]} bytes')
    if budget['max-requests'] is not None:
        limits.append(f'{budget["max-requests"]} requests')
    if not limits:
        return 'no limit'
    return (f'{" and ".join(limits)} in {period(budget["period_ms"])}, '
            f'{budget["sharing"]} sharing, refill by {budget["refill"]}')


def _title(text):
    return ['', text, '=' * len(text)]


def show(version, status, guests):
    width = width_of_output()
    lines = [f'dpdk-vhost-rng {version["program"]}, {version["dpdk"]}, pid {status["pid"]}, '
             f'up {duration(status["uptime_s"])}' +
             (', draining' if status['draining'] else ''),
             f'budget: {budget_line(status["budget"])}',
             f'source: {status["source-mode"]}; log level: {status["log-level"]}']
    lines += _title('Sources') + table(SOURCE_COLUMNS, status['sources'], width)
    lines += _title('Lcores') + table(LCORE_COLUMNS, status['lcores'], width)
    counts = status['guests']
    lines += _title(f'Guests: {counts["all"]}, {counts["connected"]} connected, '
                    f'{counts["served"]} served')
    if guests:
        lines += table(GUEST_COLUMNS, guests, width)
    return lines


def show_guest(guest):
    """All about one."""
    rows = [('name', guest['name']),
            ('socket', guest['socket']),
            ('mode', 'client: the socket is the front-end\'s' if is_client(guest) else
             'server: the socket is the daemon\'s'),
            ('state', guest['state']),
            ('notes', ', '.join(notes(guest)) or NONE),
            ('lcore', guest['lcore']),
            ('weight', guest['weight']),
            ('cap', limit(guest['cap'], ' bytes in a period')),
            ('burst', f'{guest["burst"]} bytes'),
            ('age', duration(guest['age_s']))]
    for name, number in guest['counters'].items():
        rows.append((name, f'{number} ({amount(number)})' if name == 'bytes' else number))
    return [f'{name:9}  {value}' for name, value in rows]

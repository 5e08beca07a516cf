# SPDX-License-Identifier: BSD-3-Clause
"""A live view: who gets how much, how busy the lcores are, and whether the source is well.

frame() makes the picture of two samples, and touches neither terminal nor daemon; live() and
batch() show it.
"""

import os
import re
import select
import shutil
import signal
import sys
import termios
import time
import tty

from .protocol import BadUsage, Unreachable
from .text import amount, bar, cut, duration, percent, period

PLAIN, BOLD, RED, YELLOW, REVERSE = '', '1', '31', '33', '7'
NAME_MAX = 20
BAR = 14


class Sample:
    """What the daemon says at one time."""

    def __init__(self, client):
        self.status = client.ask('status')
        self.guests = client.ask('guests')['guests']
        self.time = time.monotonic()


class Rate:
    """What a guest got between two samples."""

    def __init__(self, guest, before, seconds):
        self.guest = guest
        now = guest['counters']
        # One that was removed and added again in between begins with 0.
        old = before['counters'] if before and before['age_s'] <= guest['age_s'] else {}
        delta = {key: max(value - old.get(key, 0), 0) for key, value in now.items()}
        self.bytes = delta['bytes'] / seconds
        self.requests = delta['requests'] / seconds
        # Who waits all the time does not come to wait.
        self.throttled = delta['throttled'] > 0 or guest.get('waits_for') == 'tokens'
        self.starved = delta['starved'] > 0 or guest.get('waits_for') == 'bytes'

    def note(self):
        """What is out of the ordinary, and its colour."""
        guest = self.guest
        if guest['broken']:
            return f'BROKEN: {guest["broken"]}', RED
        if self.starved:
            return 'STARVED', RED
        if self.throttled:
            return 'THROTTLED', YELLOW
        if guest['draining']:
            return 'draining', YELLOW
        if guest['state'] == 'connected':
            return 'not served', YELLOW
        return ('' if guest['state'] == 'served' else guest['state']), PLAIN


def by_name(rate):
    """vm2 is before vm10."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.split(r'(\d+)', rate.guest['name']) if part]


SORTS = {
    'rate': lambda rate: (-rate.bytes, by_name(rate)),
    'name': by_name,
    'total': lambda rate: (-rate.guest['counters']['bytes'], by_name(rate)),
}


def rates_of(before, after):
    """Of all guests, and of how many seconds they are."""
    seconds = max(after.time - before.time, 1e-3)
    old = {guest['name']: guest for guest in before.guests}
    return [Rate(guest, old.get(guest['name']), seconds) for guest in after.guests], seconds


def _head(after, rates):
    status = after.status
    counts = status['guests']
    waiting = sum(1 for rate in rates if rate.throttled)
    broken = sum(1 for rate in rates if rate.guest['broken'])
    text = f'guests {counts["all"]}: {counts["served"]} served'
    if waiting:
        text += f', {waiting} throttled'
    if broken:
        text += f', {broken} broken'
    yield (f'dpdk-vhost-rng  pid {status["pid"]}, up {duration(status["uptime_s"])}, '
           f'{status["source-mode"]}, log level {status["log-level"]}' +
           (', DRAINING' if status['draining'] else ''), BOLD)
    yield (f'{text}; {amount(sum(rate.bytes for rate in rates))}/s, '
           f'{amount(sum(rate.requests for rate in rates), "")} requests/s',
           RED if broken else PLAIN)


def _budget(after, rates):
    budget = after.status['budget']
    shares = []
    for limit, rate, unit in (
            (budget['max-bytes'], sum(rate.bytes for rate in rates), 'B'),
            (budget['max-requests'], sum(rate.requests for rate in rates), ' requests')):
        if limit is not None:
            shares.append((rate * budget['period_ms'] / 1000 / limit, amount(limit, unit)))
    if not shares:
        return 'budget no limit', PLAIN
    share, limit = max(shares)
    return (f'budget {bar(share, BAR)} {percent(share):>5} of {limit} in '
            f'{period(budget["period_ms"])}, {budget["sharing"]}', PLAIN)


def _sources(after):
    for source in after.status['sources']:
        text = f'source {source["file"]}: {source["state"]}, {amount(source["bytes"])} read'
        for key, name in (('unwell', 'health tests failed'), ('errors', 'errors')):
            if source[key]:
                text += f', {source[key]} {name}'
        yield text, PLAIN if source['state'] == 'ok' else RED


def _busy(lcore, before, seconds):
    """Its busy share, with a bar; what passes in one step is counted when the step is over."""
    if before is None:
        return 'busy share not known yet'
    share = min(max(lcore['busy_ns'] - before['busy_ns'], 0) / 1e9 / seconds, 1)
    asleep = sum(lcore[key] - before[key] for key in ('sleeping_ns', 'blocked_ns')) / 1e9 / seconds
    return f'{bar(share, BAR)} {percent(share):>5} busy, {percent(min(asleep, 1))} asleep'


def _lcores(before, after, seconds):
    old = {lcore['lcore']: lcore for lcore in before.status['lcores']}
    for lcore in after.status['lcores']:
        cpu = 'any CPU' if lcore['cpu'] is None else f'CPU {lcore["cpu"]}'
        text = (f'lcore {lcore["lcore"]} on {cpu}: {lcore["guests"]:3} guests '
                f'{_busy(lcore, old.get(lcore["lcore"]), seconds)}')
        if after.status['source-mode'] == 'drbg':
            text += f', {lcore["reseeds"]} reseeds'
        trouble = (', DRBG FAILED ITS SELF-TEST' if lcore['failed'] else
                   ', RESEED OVERDUE' if lcore['overdue'] else '')
        yield text + trouble, RED if trouble else PLAIN


def _table(rates, most):
    width = min(max([len(rate.guest['name']) for rate in rates] + [8]), NAME_MAX)
    yield (f'{"GUEST":{width}} LCORE {"RATE":>11} {"":{BAR + 2}} {"REQ/S":>8} {"TOTAL":>8}  NOTES',
           REVERSE)
    for rate in rates:
        guest = rate.guest
        note, colour = rate.note()
        yield (f'{cut(guest["name"], width):{width}} {guest["lcore"]:5} '
               f'{amount(rate.bytes) + "/s":>11} {bar(rate.bytes / most, BAR)} '
               f'{amount(rate.requests, ""):>8} {amount(guest["counters"]["bytes"]):>8}  {note}',
               colour)


def frame(before, after, size=None, sort='rate', skip=0):
    """Lines with their colours.

    'size' is (columns, lines) of the terminal; None: as much as there is. 'skip' is how many
    guests were scrolled away.
    """
    rates, seconds = rates_of(before, after)
    rates.sort(key=SORTS[sort])
    most = max([rate.bytes for rate in rates] + [1e-9])
    lines = [*_head(after, rates), _budget(after, rates), *_sources(after),
             *_lcores(before, after, seconds)]
    head, *rows = _table(rates, most)
    lines.append(head)
    if size is None:
        return lines + rows
    columns, height = size
    room = max(height - len(lines), 0)
    skip = max(min(skip, len(rows) - room), 0)
    shown = rows[skip:skip + room]
    if room and skip + len(shown) < len(rows):
        shown[-1] = (f'... {len(rows) - skip - len(shown) + 1} more guests (down: j)', PLAIN)
    lines += shown
    # What is reversed is so over the whole line.
    return [(cut(text, columns).ljust(columns if colour == REVERSE else 0), colour)
            for text, colour in lines[:height]]


def coloured(text, colour):
    return f'\033[{colour}m{text}\033[0m' if colour else text


def batch(client, args):
    """So many frames as plain text, one after the other."""
    before = Sample(client)
    for number in range(args.batch):
        time.sleep(args.interval)
        after = Sample(client)
        if number > 0:
            print()
        for text, _ in frame(before, after, sort=args.sort):
            print(text.rstrip())
        sys.stdout.flush()
        before = after
    return 0


class Screen:
    """The terminal, with no echo and an own page; as before afterwards."""

    def __enter__(self):
        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        sys.stdout.write('\033[?1049h\033[?25l')
        # Ended from outside it must give the terminal back, too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda n, frame: sys.exit(128 + n))
        signal.signal(signal.SIGWINCH, lambda n, frame: None)
        return self

    def __exit__(self, *exception):
        sys.stdout.write('\033[?25h\033[?1049l')
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def show(self, lines):
        sys.stdout.write('\033[H' + '\033[K\n'.join(
            coloured(text, '' if 'NO_COLOR' in os.environ and colour != REVERSE else colour)
            for text, colour in lines) + '\033[K\033[J')
        sys.stdout.flush()

    @staticmethod
    def size():
        return tuple(shutil.get_terminal_size())

    @staticmethod
    def key(seconds):
        """What was typed within that time, or ''. A new size of the terminal ends it, too."""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return ''
        # Nobody is there any more: an end of file ends it.
        return os.read(sys.stdin.fileno(), 16).decode(errors='replace') or 'q'


class View:
    """What the keys change."""

    def __init__(self, sort):
        self.sort = sort
        self.skip = 0
        self.ended = False

    def press(self, key, guests):
        if key in ('q', 'Q', '\033'):
            self.ended = True
        elif key in ('r', 'n', 't'):
            self.sort = {'r': 'rate', 'n': 'name', 't': 'total'}[key]
            self.skip = 0
        elif key in ('j', '\033[B', 'k', '\033[A', '\033[6~', ' ', '\033[5~'):
            step = {'j': 1, '\033[B': 1, 'k': -1, '\033[A': -1, '\033[5~': -10}.get(key, 10)
            self.skip = max(min(self.skip + step, guests - 1), 0)


HELP = 'q quit   sort by: r rate, n name, t total   j k space: scroll'


def _draw(screen, view, before, after, trouble):
    columns, height = screen.size()
    lines = frame(before, after, (columns, height - 1), view.sort, view.skip)
    last = (cut(trouble, columns), RED) if trouble else (cut(HELP, columns), PLAIN)
    screen.show(lines + [last])


def _sample(client):
    """What there is, or why there is none: then it is tried again."""
    try:
        return Sample(client), ''
    except Unreachable as error:
        return None, str(error)


def live(client, args):
    """Until a key ends it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadUsage('top needs a terminal; --once or --batch N print without one')
    after, before = Sample(client), None
    view = View(args.sort)
    trouble = ''
    with Screen() as screen:
        while not view.ended:
            _draw(screen, view, before or after, after, trouble)
            until = time.monotonic() + (args.interval if before else min(args.interval, 0.5))
            while not view.ended and time.monotonic() < until:
                key = screen.key(max(until - time.monotonic(), 0))
                view.press(key, len(after.guests))
                _draw(screen, view, before or after, after, trouble)
            if not view.ended:
                sample, trouble = _sample(client)
                if sample:
                    before, after = after, sample
    return 0

# SPDX-License-Identifier: BSD-3-Clause
"""Tables and numbers for people."""

import shutil
import sys

NONE = '-'


def width_of_output():
    """Columns of the terminal; None: it is none, and lines may be as long as they are."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


class Column:
    """One of a table. Of those that do not fit, the ones with the highest 'rank' are left out."""

    def __init__(self, name, value, rank=0, left=False):
        self.name = name
        self.value = value
        self.rank = rank
        self.left = left


def _lines(columns, rows):
    cells = [[column.name for column in columns]]
    cells += [[str(column.value(row)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        yield '  '.join(cell.ljust(width) if column.left else cell.rjust(width)
                        for cell, width, column in zip(line, widths, columns)).rstrip()


def table(columns, rows, width=None):
    """Lines of aligned columns, no wider than 'width' if that is possible."""
    while True:
        lines = list(_lines(columns, rows))
        most = max(column.rank for column in columns)
        if width is None or most == 0 or max(map(len, lines)) <= width:
            return lines
        last = max(i for i, column in enumerate(columns) if column.rank == most)
        columns = columns[:last] + columns[last + 1:]


def amount(number, unit='B'):
    """With three digits and a prefix: 1.23 MB."""
    for prefix in ('', 'k', 'M', 'G', 'T'):
        if number < 999.5 or prefix == 'T':
            break
        number /= 1000
    if not prefix or number >= 99.95:
        digits = 0
    else:
        digits = 2 if number < 9.995 else 1
    return f'{number:.{digits}f} {prefix}{unit}'.rstrip()


def limit(number, unit=''):
    return 'none' if number is None else f'{number}{unit}'


def duration(seconds):
    """The two units that matter."""
    parts = []
    for name, length in (('d', 86400), ('h', 3600), ('min', 60), ('s', 1)):
        if seconds >= length or name == 's' or parts:
            parts.append(f'{int(seconds // length)} {name}')
            seconds %= length
    return ' '.join(parts[:2])


def period(ms):
    return f'{ms // 1000} s' if ms % 1000 == 0 else f'{ms} ms'


def percent(share):
    return f'{100 * share:.0f} %'


def bar(share, width):
    full = round(max(0, min(share, 1)) * width)
    return '[' + '|' * full + ' ' * (width - full) + ']'


def cut(line, width):
    return line if len(line) <= width else line[:max(width - 1, 0)] + '>'

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/security.md: each row of its tables of attacks and faults names a test, and that is there.

usage: test_security.py SOURCE_TREE

meson sets VRNG_TESTS, the folder of tap.py.
"""

import contextlib
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.environ['VRNG_TESTS'])
import tap  # noqa: E402

FOLDERS = {'u': 'unit', 'e': 'e2e'}

suite = tap.Suite()


def rows(page):
    """The cells of each row in tables whose last column is "test"; not rows that are headings."""
    in_table = False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')] if line[:1] == '|' else []
        if not cells:
            in_table = False
        elif cells[-1] == 'test':
            in_table = True
        elif in_table and cells[1] and not set(cells[1]) <= {'-'}:
            yield cells


def tests_of(cell):
    """Folder, program and the names in parentheses behind it, for each program of a cell."""
    folder = None
    for kind, program, names in re.findall(r'(?:\b([eu]) )?([a-z0-9_-]+)(?: \(([^)]*)\))?(?:, |$)',
                                           cell):
        folder = FOLDERS.get(kind, folder)
        assert folder, f'"{cell}" does not begin with u or e'
        yield folder, program, re.findall(r'`([^`]*)`', names)


def missing(tests, cell):
    """What a cell names and is not there."""
    found = list(tests_of(cell))
    if not found:
        yield f'no test in "{cell}"'
    for folder, program, names in found:
        path = tests / folder / f'test_{program.split("-")[0]}.c'
        if not path.is_file():
            yield f'no {path.name} in {folder}/'
            continue
        text = path.read_text()
        if program == 'rude_protocol':
            text += (tests / folder / 'lies.c').read_text()
        for name in names:
            if name.removesuffix('...').rstrip() not in text:
                yield f'no "{name}" in {path.name}'


@suite.case('each row of docs/security.md names a test, and that is there')
def _(env):
    top = Path(sys.argv[1])
    found = list(rows((top / 'docs/security.md').read_text()))
    assert len(found) > 30, f'only {len(found)} rows were found'
    wrong = [f'{cells[0]}: {what}' for cells in found for what in missing(top / 'tests', cells[-1])]
    assert not wrong, '\n'.join(wrong)


suite.main(contextlib.nullcontext)

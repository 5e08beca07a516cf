#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the tables of docs/compatibility.md from what matrix.sh noted.

usage: table.py RESULTS
"""

import datetime
import os
import sys

SUITES = ['bookworm', 'trixie', 'sid']
DEBIAN = {'bookworm': 'Debian 12 (bookworm)', 'trixie': 'Debian 13 (trixie)', 'sid': 'sid'}


def read_note(path):
    """The facts of one note, none where there is none."""
    facts = {}
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            for line in file:
                key, _, value = line.strip().partition('=')
                facts[key] = value
    return facts


def row(cells):
    return '| ' + ' | '.join(cells) + ' |'


def table(heads, rows):
    return [row(heads), row(['---'] * len(heads))] + [row(cells) for cells in rows]


def unit_tests(facts):
    kind, _, what = facts.get('unit', 'not run').partition(': ')
    return f'pass ({what})' if kind == 'pass' else facts.get('unit', 'not run')


def cell(results, dpdk, qemu, kernel, arch='amd64'):
    """What came out, without the number of cases that passed; nothing where it was not run."""
    outcome = read_note(os.path.join(results, f'cell.{dpdk}.{qemu}.{kernel}.{arch}')).get('cell')
    return 'pass' if outcome and outcome.startswith('pass') else outcome


def builds(results, arch):
    rows = []
    for suite in SUITES:
        facts = read_note(os.path.join(results, f'build.{suite}.{arch}'))
        if not facts:
            continue
        aes = f'libipsec-mb {facts["ipsec_mb"]}, ' if 'ipsec_mb' in facts else ''
        rows.append([DEBIAN[suite], f'{facts["dpdk"]}, {facts.get("link", "?")}',
                     f'GCC {facts["compiler"]}', f'{aes}libcrypto {facts["openssl"]}',
                     facts.get('build', 'not built'), unit_tests(facts)])
        if arch != 'amd64':
            rows[-1].append(cell(results, suite, suite, suite, arch) or 'not run')
    heads = ['suite', 'DPDK', 'compiler', 'AES by', 'builds, no warning', 'unit tests']
    if arch != 'amd64':
        heads.append('QEMU read test')
    return table(heads, rows) if rows else []


def cells(results):
    facts = {suite: read_note(os.path.join(results, f'build.{suite}.amd64')) for suite in SUITES}
    linux = {suite: read_note(os.path.join(results, f'guest.{suite}')) for suite in SUITES}
    rows = []
    for dpdk in SUITES:
        for qemu in SUITES:
            outcomes = [cell(results, dpdk, qemu, kernel) for kernel in SUITES]
            if any(outcomes):
                rows.append([facts[dpdk].get('dpdk', '?'), facts[qemu].get('qemu', '?'),
                             *(outcome or 'not run' for outcome in outcomes)])
    heads = ['DPDK', 'QEMU', *(f'Linux {linux[suite].get("linux", "?")}' for suite in SUITES)]
    return table(heads, rows) if rows else []


def document(results):
    text = [f'Made on {datetime.date.today()}.', '', 'x86-64:', '', *builds(results, 'amd64')]
    cross = builds(results, 'arm64')
    if cross:
        text += ['', 'arm64, cross-built; unit tests and daemon are run by qemu-user, the guest is '
                 'x86-64:', '', *cross]
    read = cells(results)
    if read:
        text += ['', 'The QEMU read test (x86-64, split ring):', '', *read]
    return '\n'.join(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(document(sys.argv[1]))


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what `meson test` did, case by case, and ends with one line of totals.

usage: count-tests.py DIR[@SETUP]:STATUS...

DIR is a build directory in which `meson test` ended with STATUS. Counted is what
DIR/meson-logs/testlog.json says (with "--setup SETUP" testlog-SETUP.json): each
TAP line is a case, and so is each program without TAP. meson's own
testlog.junit.xml would not do: there a program that ran into its time limit
passes, and one that crashed after some of its cases counts for those cases alone.

A program fails one time more than its cases say when it crashed, was stopped by
its time limit, ran fewer cases than it planned, or reported an error while none
of its cases failed.

Exit status: 0 when something passed and nothing failed, 1 otherwise, 2 for a bad
command line.
"""

import json
import os
import re
import sys

CASE = re.compile(r'(not )?ok\b\s*(\d*)\s*(?:-\s*)?([^#]*?)\s*(?:#\s*(skip|todo)\S*\s*(.*))?$',
                  re.I)
PLAN = re.compile(r'1\.\.(\d+)\s*(?:#\s*skip\S*\s*(.*))?$', re.I)

# What a failed case has to say is shown to so many lines; the rest is in meson's log.
COMMENTS_MAX = 60

PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'


def cases_of(stdout):
    """The cases, the planned number (None without a plan) and why it is 0 in a TAP
    stream. A case is outcome, name, explanation, and the comments that follow it."""
    cases = []
    planned = reason = None
    for line in stdout.splitlines():
        if line.startswith('#') and cases:
            cases[-1][3].append(line)
        case = CASE.match(line)
        plan = PLAN.match(line)
        if case:
            bad, number, name, directive, why = case.groups()
            if directive and directive.lower() == 'todo':
                # Known not to work yet: neither a pass nor a failure.
                outcome, why = SKIPPED, 'TODO ' + (why or '')
            elif bad:
                outcome = FAILED
            else:
                outcome = SKIPPED if directive else PASSED
            cases.append((outcome, f'{number} {name}'.strip(), why, []))
        elif plan and planned is None:
            planned, reason = int(plan[1]), plan[2]
    return cases, planned, reason


def outcomes_of(test):
    """Yields (outcome, name, explanation, comments...) for a line of testlog.json."""
    name, result, status = test['name'], test['result'], test.get('returncode')
    # Only TAP programs have a plan or cases; others may print what they like,
    # and what looks like a case there would make its program count by lines.
    cases, planned, reason = cases_of(test.get('stdout') or '')
    is_tap = planned is not None or bool(cases)

    if not is_tap:
        if result in ('OK', 'EXPECTEDFAIL'):
            yield PASSED, name, None
        elif result == 'SKIP' and status == 77:
            yield SKIPPED, name, 'exit status 77'
        elif result == 'SKIP':
            yield FAILED, name, 'a TAP program that printed no TAP'
        else:
            yield FAILED, name, f'{result}, exit status {status}'
        return

    failed = 0
    for outcome, case, why, comments in cases:
        failed += outcome == FAILED
        yield outcome, f'{name}: {case}', why, *comments[:COMMENTS_MAX]
    if planned == 0 and not cases and result == 'SKIP':
        yield SKIPPED, name, reason

    if result in ('TIMEOUT', 'INTERRUPT'):
        yield FAILED, name, f'{result} after {len(cases)} of {planned} cases'
    elif status is not None and status < 0:
        yield FAILED, name, f'killed by signal {-status} after {len(cases)} of {planned} cases'
    elif planned is not None and len(cases) != planned:
        yield FAILED, name, f'{len(cases)} cases where {planned} were planned'
    elif result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and failed == 0:
        yield FAILED, name, f'{result}, exit status {status}, though no case failed'
    elif status not in (None, 0, 77) and failed == 0:
        yield FAILED, name, f'exit status {status}, though no case failed'


def count(directory, meson_status):
    """The numbers of a build directory; names what failed and was skipped."""
    totals = {PASSED: 0, FAILED: 0, SKIPPED: 0}

    def add(outcome, name, why, *comments):
        totals[outcome] += 1
        if outcome != PASSED:
            print(f'{directory}: {outcome}: {name}' + (f' ({why})' if why else ''))
        if outcome == FAILED:
            for line in comments:
                print(f'    {line}')

    build, _, setup = directory.partition('@')
    path = os.path.join(build, 'meson-logs', f'testlog-{setup}.json' if setup else 'testlog.json')
    try:
        with open(path, encoding='utf-8', errors='replace') as log:
            for line in log:
                for outcome in outcomes_of(json.loads(line)):
                    add(*outcome)
    except (OSError, ValueError, KeyError) as error:
        add(FAILED, path, f'cannot be read: {error}')
    if meson_status != 0 and totals[FAILED] == 0:
        add(FAILED, 'meson test', f'ended with status {meson_status} though no test failed')
    return totals


def summary(totals):
    line = f'{totals[PASSED]} passed, {totals[FAILED]} failed'
    return line + (f', {totals[SKIPPED]} skipped' if totals[SKIPPED] else '')


def main(arguments):
    runs = [re.fullmatch(r'(.+):(\d+)', argument) for argument in arguments]
    if not runs or not all(runs):
        print(__doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    totals = {PASSED: 0, FAILED: 0, SKIPPED: 0}
    for run in runs:
        part = count(run[1], int(run[2]))
        print(f'{run[1]}: {summary(part)}')
        for outcome, number in part.items():
            totals[outcome] += number
    print(summary(totals))
    return 0 if totals[PASSED] > 0 and totals[FAILED] == 0 else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

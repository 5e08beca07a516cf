# SPDX-License-Identifier: BSD-3-Clause
"""A small TAP producer, so that `meson test` counts each case.

    suite = tap.Suite()

    @suite.case('a read gives data')
    def _(env):
        assert ..., 'what went wrong'

    suite.main(make_env)

make_env() returns a context manager; what it yields is handed to each case. It
may have a method check(), called after each case, which raises when the case
left something broken, and diagnostics(), whose lines are printed after a
failure. A case passes when it returns, is skipped when it raises Skip and fails
on any other exception; so do all cases when make_env or its __enter__ raises,
and those that are left, unrun, after three failures in a row.

The exit status is 0 when every case was run and reported, also when some
failed: the failures are in the TAP stream, and any other status would read as
"the program broke".
"""

import signal
import sys
import time
import traceback


# What is broken as much as this only costs time from here on.
FAILURES_IN_A_ROW_MAX = 3


class Skip(Exception):
    """The case cannot be run here; the message says why."""


class Suite:
    def __init__(self):
        self._cases = []
        self._number = 0
        self._failures_in_a_row = 0

    def case(self, name):
        def register(function):
            self._cases.append((name, function))
            return function

        return register

    def main(self, make_env):
        # End through the context managers, so that nothing is left running.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda n, frame: sys.exit(128 + n))

        emit(f'1..{len(self._cases)}')
        try:
            with make_env() as env:
                for name, function in self._cases:
                    self._run(name, function, env)
                    if self._failures_in_a_row == FAILURES_IN_A_ROW_MAX:
                        break
            if self._number < len(self._cases):
                comment(f'after {FAILURES_IN_A_ROW_MAX} failures in a row the rest was not run')
                self._rest('not ok {} - {}')
        except Skip as skip:
            self._rest(f'ok {{}} - {{}} # SKIP {one_line(skip)}')
        except Exception as error:
            if self._number == len(self._cases):
                # Every case is reported, and yet something is wrong.
                diagnose_exception()
                sys.exit(1)
            diagnose_exception()
            comment(f'the test environment failed: {one_line(error)}')
            self._rest('not ok {} - {}')
        sys.exit(0)

    def _run(self, name, function, env):
        start = time.monotonic()
        self._number += 1
        try:
            function(env)
            if hasattr(env, 'check'):
                env.check()
        except Skip as skip:
            emit(f'ok {self._number} - {name} # SKIP {one_line(skip)}')
            return
        except Exception:
            emit(f'not ok {self._number} - {name}')
            self._failures_in_a_row += 1
            diagnose_exception()
            if hasattr(env, 'diagnostics'):
                for line in env.diagnostics():
                    comment(line)
            return
        emit(f'ok {self._number} - {name}')
        self._failures_in_a_row = 0
        comment(f'{time.monotonic() - start:.1f} s')

    def _rest(self, form):
        for name, _ in self._cases[self._number:]:
            self._number += 1
            emit(form.format(self._number, name))


def one_line(thing):
    return ' '.join(str(thing).split())


def emit(line):
    print(line, flush=True)


def comment(text):
    for line in str(text).splitlines() or ['']:
        emit('# ' + line)


def diagnose_exception():
    for line in traceback.format_exc().splitlines():
        comment(line)

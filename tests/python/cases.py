# SPDX-License-Identifier: BSD-3-Clause
"""What cases share that start programs: a folder, time limits, and processes that end with them."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time

# Ends what hangs.
LIMIT_S = 60
# What works needs a fraction of it, also on a busy machine.
LIVENESS_S = 20

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(program, *args, **more):
    """Exit status, stdout and stderr."""
    done = subprocess.run([program, *map(str, args)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT_S, check=False,
                          **{'preexec_fn': die_with_parent, **more})
    return done.returncode, done.stdout, done.stderr


def until(what, condition, limit_s=LIVENESS_S):
    """Waits for something to be true; returns it."""
    deadline = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f'not within {limit_s} s: {what}'
        time.sleep(0.02)


def read(path):
    with open(path, errors='replace') as file:
        return file.read()


class Env:
    """A folder, and the processes of one case."""

    def __init__(self):
        self._dir = tempfile.TemporaryDirectory(prefix='vrng-')
        self._processes = []
        self._number = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.check()
        self._dir.cleanup()

    def check(self):
        """Between two cases: nothing goes on running."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []

    def path(self, name):
        self._number += 1
        return os.path.join(self._dir.name, f'{self._number}-{name}')

    def start(self, command, log, **more):
        with open(log, 'ab') as file:
            process = subprocess.Popen(command, **{
                'stdin': subprocess.DEVNULL, 'stdout': file, 'stderr': file,
                'preexec_fn': die_with_parent, **more})
        self._processes.append(process)
        return process

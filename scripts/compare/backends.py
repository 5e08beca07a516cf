# SPDX-License-Identifier: BSD-3-Clause
"""The back-ends that are compared, as processes with time limits."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_S = 20

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """Something that the comparison needs did not work."""


def die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Kind:
    """A program and how it is started; `name` is what it is called in the document."""

    def __init__(self, key, name, program, words, polls):
        self.key, self.name, self.program = key, name, program
        self.words, self.polls = words, polls

    def command(self, prefix, cpu, count, more):
        pin = ['--lcores', str(cpu)] if self.polls else []
        command = [self.program, '-s', prefix, '-c', str(count), *pin, *self.words,
                   *map(str, more)]
        return command if self.polls else ['taskset', '-c', str(cpu), *command]


def kinds(args):
    """The original first; ours in the modes that this build has."""
    found = [Kind('original', 'vhost-device-rng', args.original, [], False),
             Kind('ours', 'dpdk-vhost-rng, passthrough', args.daemon, [], True)]
    text = subprocess.run([args.daemon, '--help'], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=START_S).stdout
    if 'drbg' in text:
        found.append(Kind('drbg', 'dpdk-vhost-rng, drbg', args.daemon,
                          ['--source-mode', 'drbg'], True))
    return found


class Backend:
    """One running back-end; a context manager."""

    def __init__(self, kind, cpu, count=1, more=(), directory=None):
        self.kind = kind
        self.own_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix='vrng-compare-')
        self.prefix = os.path.join(self.dir, 'rng.sock')
        self.log_path = os.path.join(self.dir, 'log')
        self.command = kind.command(self.prefix, cpu, count, more)
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_parent)
        try:
            self._wait(count)
        except BaseException:
            self.__exit__()
            raise

    def _wait(self, count):
        deadline = time.monotonic() + START_S
        while not all(os.path.exists(f'{self.prefix}{i}') for i in range(count)):
            if self.process.poll() is not None:
                raise Failed(f'{self.kind.name} ended at once: {self.log()}')
            if time.monotonic() > deadline:
                raise Failed(f'{self.kind.name} made no sockets within {START_S} s')
            time.sleep(0.02)
        time.sleep(0.2)

    def log(self):
        with open(self.log_path, errors='replace') as file:
            return file.read()[-2000:]

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process.poll() is None

    def pause(self):
        """It keeps its sockets and takes no CPU time."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """SIGTERM, and SIGKILL if that does not help."""
        if self.alive:
            self.go_on()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)


def connects(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True

# SPDX-License-Identifier: BSD-3-Clause
"""A daemon and a guest, made when a case asks for them, and made anew when they broke."""

import contextlib
import tempfile

import guest
from reading import assert_content


class Env:
    """The guest has one device, the daemon one socket; other kinds of it have other ones."""

    def __init__(self, directory):
        self.directory = directory
        self.accel = guest.accelerator()
        self._daemon = None
        self._guest = None
        self._made = 0

    def name(self, what):
        self._made += 1
        return f'{what}{self._made}'

    def make_daemon(self):
        return guest.Daemon(self.directory, name=self.name('daemon'))

    def make_guest(self):
        return guest.Guest(self.directory, self.daemon.sockets, accel=self.accel,
                           name=self.name('guest'))

    def _need_daemon(self):
        if self._daemon is None or not self._daemon.alive:
            self.end()
            self._daemon = self.make_daemon()

    @property
    def daemon(self):
        self._need_daemon()
        return self._daemon

    def guest(self):
        self._need_daemon()
        if self._guest is None or not self._guest.usable:
            self.end_guest()
            self._guest = self.make_guest()
        return self._guest

    def end_guest(self):
        if self._guest is not None:
            self._guest.__exit__()
            self._guest = None

    def end(self):
        self.end_guest()
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon = None

    def check(self):
        """After each case: nothing that a guest does may end the daemon or QEMU, and the
        daemon finds nothing wrong."""
        for process in (self._daemon, self._guest):
            assert process is None or process.alive, \
                f'{process.name} ended with status {process.returncode}'
        if self._daemon is not None:
            assert_content(self._daemon)

    def diagnostics(self):
        for process in (self._daemon, self._guest):
            if process is not None:
                yield from process.tail()


@contextlib.contextmanager
def make_env(kind=Env):
    guest.require()
    with tempfile.TemporaryDirectory(prefix='vrng-') as directory:
        env = kind(directory)
        try:
            yield env
        finally:
            env.end()

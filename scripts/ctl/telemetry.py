# SPDX-License-Identifier: BSD-3-Clause
"""The client's side of DPDK's telemetry socket: a message each way. docs/telemetry.md says what the
daemon tells there; nothing is changed over it."""

import json
import os
import socket

from .protocol import LIMIT_S, Nonsense, Unreachable

PREFIX = '/vhost_rng/'
SOCKET = 'dpdk/rte/dpdk_telemetry.v2'
# What it says of itself is small; it then says how long an answer may be.
HELLO_MAX = 4096


def default_path():
    """Of the unit, or else where the EAL has it for this user."""
    unit = os.path.join('/run/dpdk-vhost-rng', SOCKET)
    if os.path.exists(unit):
        return unit
    directory = '/run' if os.geteuid() == 0 else os.environ.get('XDG_RUNTIME_DIR', '/tmp')
    return os.path.join(directory, SOCKET)


class Telemetry:
    """A connection. It is made with the first request, and again after a failure."""

    def __init__(self, path, limit_s=LIMIT_S):
        self.path = path
        self._limit_s = limit_s
        self._socket = None
        self._max = HELLO_MAX

    def close(self):
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _connect(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(self._limit_s)
        self._socket.connect(self.path)
        hello = self._receive(HELLO_MAX)
        try:
            self._max = int(hello['max_output_len'])
        except (KeyError, TypeError, ValueError) as error:
            raise Nonsense(f'{self.path} is not a telemetry socket of DPDK') from error

    def _receive(self, most):
        message = self._socket.recv(most)
        if not message:
            raise Unreachable(f'{self.path}: the daemon has ended, or has too many clients')
        try:
            return json.loads(message)
        except ValueError as error:
            raise Nonsense(f'{self.path} answers {message[:40]!r}: that is not JSON') from error

    def ask(self, command, *parameters):
        """What a command of ours is answered with; None: there is no such thing (any more)."""
        name = PREFIX + command
        try:
            if self._socket is None:
                self._connect()
            self._socket.sendall(','.join((name, *map(str, parameters))).encode())
            answer = self._receive(self._max)
        except OSError as error:
            self.close()
            raise Unreachable(f'cannot ask {self.path}: {error.strerror or error}; the daemon '
                              'needs --telemetry, and this the rights of its user') from error
        except (Unreachable, Nonsense):
            self.close()
            raise
        if not isinstance(answer, dict):
            raise Nonsense(f'{self.path} does not answer as DPDK does')
        return answer.get(name)

    def guests(self):
        """The names of all; an answer has room for some."""
        names = []
        while True:
            more = self.ask('guests', len(names))
            if not more:
                return names
            names += more

    def lcores(self):
        """Each lcore that polls, by its number; an answer has room for some."""
        lcores = {}
        while True:
            more = self.ask('lcores', len(lcores))
            if not more:
                return lcores
            lcores.update(more)

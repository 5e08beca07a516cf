# SPDX-License-Identifier: BSD-3-Clause
"""The client's side of the control socket: docs/control.md. A line of JSON, and a line back.

What goes wrong is a Failure, whose text is for people and whose status is this program's.
"""

import errno
import json
import os
import socket
import time

VERSION = 1
DEFAULT_PATH = '/run/dpdk-vhost-rng/control.sock'
# The daemon answers at once; also a busy machine needs no more than a fraction of it.
LIMIT_S = 10
# 1023 guests have half a megabyte. Who sends more is not the daemon.
ANSWER_MAX = 16 << 20


class Failure(Exception):
    """Something could not be done."""

    status = 1


class Refused(Failure):
    """The daemon said no, and has changed nothing. 'code' is as the protocol has it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class BadUsage(Failure):
    """What the command line asks for makes no sense."""

    status = 2


class Unreachable(Failure):
    """Nobody answers."""

    status = 4


class Nonsense(Failure):
    """Who answers does not speak this version of the protocol."""

    status = 5


def default_path():
    return os.environ.get('VRNG_CONTROL_SOCKET') or DEFAULT_PATH


def why_unreachable(path, error):
    if error.errno == errno.ENOENT:
        return (f'there is no control socket at {path}: start the daemon with '
                f'--control-socket {path}, or name its socket here in the same way')
    if error.errno == errno.ECONNREFUSED:
        return f'nobody answers at {path}: the daemon that made it has ended, start it again'
    if error.errno in (errno.EACCES, errno.EPERM):
        return f'{path} is for its owner and root alone ({error.strerror}): use sudo'
    if isinstance(error, socket.timeout):
        return f'no answer from {path} within {LIMIT_S} s: the daemon is stopped, or hangs'
    return f'cannot talk to {path}: {error.strerror or error}'


class Client:
    """A connection to the daemon. It is made with the first request, and again after a failure."""

    def __init__(self, path, limit_s=LIMIT_S):
        self.path = path
        self._limit_s = limit_s
        self._socket = None
        self._rest = b''

    def close(self):
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._rest = b''

    def ask(self, command, **keys):
        """The result of a command. '_' in the names of keys stands for '-'."""
        request = {'command': command, 'version': VERSION}
        request.update({key.replace('_', '-'): value for key, value in keys.items()})
        try:
            return self._result(self._exchange(json.dumps(request).encode() + b'\n'))
        except OSError as error:
            self.close()
            raise Unreachable(why_unreachable(self.path, error)) from error
        except (Unreachable, Nonsense):
            self.close()
            raise

    def _connect(self):
        if len(os.fsencode(self.path)) > 107:
            raise Unreachable(f'{self.path} has more bytes than the path of a socket may have, 107')
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(self._limit_s)
        self._socket.connect(self.path)

    def _exchange(self, line):
        deadline = time.monotonic() + self._limit_s
        if self._socket is None:
            self._connect()
        self._socket.settimeout(self._limit_s)
        try:
            self._socket.sendall(line)
        except BrokenPipeError:
            pass  # what it said before it left may still be there
        pieces = [self._rest]
        total = len(self._rest)
        while b'\n' not in pieces[-1]:
            # Each piece in time is not enough: all of it must be.
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            pieces.append(self._socket.recv(1 << 16))
            total += len(pieces[-1])
            if not pieces[-1]:
                raise Unreachable(f'{self.path}: the connection was closed before an answer came: '
                                  'the daemon has ended, or has too many clients')
            if total > ANSWER_MAX:
                raise Nonsense(f'{self.path} sends more than any answer has: that is not '
                               'dpdk-vhost-rng')
        answer, _, self._rest = b''.join(pieces).partition(b'\n')
        return answer

    def _result(self, line):
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get('version'), int):
            raise Nonsense(f'{self.path} answers {line[:40]!r}: that is not the control socket of '
                           'dpdk-vhost-rng')
        if answer['version'] != VERSION:
            raise Nonsense(f'the daemon speaks version {answer["version"]} of the protocol, this '
                           f'program version {VERSION}: use the one that came with the daemon')
        if answer.get('ok') is True and isinstance(answer.get('result'), dict):
            return answer['result']
        error = answer.get('error')
        if answer.get('ok') is False and isinstance(error, dict):
            raise Refused(str(error.get('code')), str(error.get('message')))
        raise Nonsense(f'{self.path} answers {line[:40]!r}: neither a result nor an error')

# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of dpdk-vhost-rng-ctl.py share: daemons, guests, and control sockets that lie."""

import json
import os
import shutil
import socket
import sys
import threading

sys.path.insert(0, os.environ['VRNG_TESTS'])
sys.path.insert(0, os.environ['VRNG_SCRIPTS'])
import cases  # noqa: E402
from cases import read, until  # noqa: E402

CTL = os.path.join(os.environ['VRNG_SCRIPTS'], 'dpdk-vhost-rng-ctl.py')
DAEMON = os.environ['VRNG_DAEMON']
BENCH = os.environ['VRNG_BENCH']


def run(*args, **more):
    """Exit status, stdout and stderr of dpdk-vhost-rng-ctl.py."""
    return cases.run(CTL, *args, **more)


def copy_for_others(folder):
    """A copy of the program that every user may run: this tree may be in a home that only its owner
    may search."""
    os.mkdir(folder)
    shutil.copytree(os.path.join(os.environ['VRNG_SCRIPTS'], 'ctl'), os.path.join(folder, 'ctl'))
    copy = shutil.copy(CTL, folder)
    for where, _, files in os.walk(folder):
        os.chmod(where, 0o755)
        for name in files:
            os.chmod(os.path.join(where, name), 0o755)
    return copy


class Daemon:
    """A running daemon, and this program to talk to it."""

    def __init__(self, env, args):
        self.folder = env.path('daemon')
        os.mkdir(self.folder)
        self.prefix = os.path.join(self.folder, 'rng.sock')
        self.control = os.path.join(self.folder, 'control')
        self.log = os.path.join(self.folder, 'log')
        self.args = args
        self._env = env
        self.start()

    def start(self):
        self.process = self._env.start([DAEMON, '--control-socket', self.control, *self.args],
                                       self.log)
        until('the daemon answers', self._is_there)

    def _is_there(self):
        assert self.process.poll() is None, 'the daemon ended: ' + read(self.log)
        return run('--control-socket', self.control, 'version')[0] == 0

    def ctl(self, *args, status=0):
        """What it said; with that exit status."""
        got, out, err = run('--control-socket', self.control, *args)
        assert got == status, f'{args}: status {got} instead of {status}: {out}{err}'
        return out if status in (0, 3) else err

    def json(self, *args):
        return json.loads(self.ctl('--json', *args))

    def guest(self, name):
        return self.json('status', name)

    def bench(self, path, *args):
        """A guest that goes on until it is ended."""
        return self._env.start([BENCH, '--socket', path, '--wait', 'block', '--duration', '60',
                                *map(str, args)],
                               os.path.join(self.folder, 'bench.log'))

    def served(self, path, name, *args):
        """The same, when it is served."""
        process = self.bench(path, *args)
        until(f'guest {name} is served', lambda: self.guest(name)['counters']['requests'] > 0)
        return process


class Fake:
    """A control socket that answers each line with what 'answer' makes of it; None: it hangs up."""

    def __init__(self, path, answer):
        self.path = path
        self.requests = []
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        with client, client.makefile('rb') as lines:
            for line in lines:
                self.requests.append(json.loads(line))
                pieces = self._answer(self.requests[-1])
                if pieces is None:
                    return
                try:
                    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                        client.sendall(piece)
                except OSError:
                    return


def result(**keys):
    return json.dumps({'version': 1, 'ok': True, 'result': keys}).encode() + b'\n'


class Env(cases.Env):
    def daemon(self, *args):
        return Daemon(self, args)

    def guests(self, count, *args):
        """A daemon with so many sockets."""
        prefix = os.path.join(self._dir.name, f'{self._number}-rng.sock')
        daemon = Daemon(self, ['-s', prefix, '-c', str(count), *args])
        daemon.prefix = prefix
        return daemon

    def fake(self, answer):
        return Fake(self.path('fake'), answer)

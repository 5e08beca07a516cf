# SPDX-License-Identifier: BSD-3-Clause
"""Starts the daemon and QEMU guests, and talks to them; all with time limits.

Both classes are context managers that leave no process behind. Paths come from
the environment, meson sets them:

    VRNG_DAEMON      the dpdk-vhost-rng to test
    VRNG_GUEST_DIR   where scripts/guest-image.sh put the guest
    VRNG_SCRIPTS     the directory of guest-boot.sh and guest-accel.sh
"""

import base64
import json
import os
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time

# Also for the tests, which import this first.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../python'))
import tap  # noqa: E402
from cases import die_with_parent  # noqa: E402

SCRIPTS = os.environ.get('VRNG_SCRIPTS') or os.path.normpath(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../scripts'))
BUILD = os.path.join(os.path.dirname(SCRIPTS), 'build')
DAEMON = os.environ.get('VRNG_DAEMON') or os.path.join(BUILD, 'app/daemon/dpdk-vhost-rng')
GUEST_DIR = os.environ.get('VRNG_GUEST_DIR') or os.path.join(BUILD, 'guest')

# What the daemon logs when it finds something wrong with a guest that does nothing wrong.
_COMPLAINTS = re.compile(r'not served|ring broken|broke a message off|refused|cannot|overdue')

# A guest that boots in 3 s on an idle machine may need a multiple of it on a
# busy one. Limits are there to end a test that hangs, not to measure.
BOOT_S = 90
COMMAND_S = 60


class Broken(Exception):
    """A process that the test relies on died or does not answer."""


def require():
    """Raises Skip unless a guest and the daemon can be started here."""
    if not os.access(DAEMON, os.X_OK):
        raise tap.Skip(f'no daemon at {DAEMON}')
    for file in ('vmlinuz', 'initramfs.cpio.gz'):
        path = os.path.join(GUEST_DIR, file)
        if not os.path.exists(path):
            raise tap.Skip(f'no guest image at {path}; scripts/guest-image.sh makes it')
    for folder in os.environ.get('PATH', os.defpath).split(os.pathsep):
        if os.access(os.path.join(folder, 'qemu-system-x86_64'), os.X_OK):
            return
    raise tap.Skip('no qemu-system-x86_64; scripts/install-deps.sh guest installs it')


def accelerator():
    """kvm or tcg, as scripts/guest-accel.sh finds."""
    return subprocess.run([os.path.join(SCRIPTS, 'guest-accel.sh'), GUEST_DIR], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=60).stdout.strip()


def wait_for(condition, timeout_s, what):
    """Returns the first true value of condition(), asked every 10 ms."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Broken(f'{what}: not within {timeout_s} s')
        time.sleep(0.01)


def _tail(path, lines):
    try:
        with open(path, errors='replace') as file:
            return file.read().splitlines()[-lines:]
    except OSError as error:
        return [str(error)]


class _Process:
    """One child process, its log and its end."""

    def __init__(self, name, directory):
        self.name = name
        self.log_path = os.path.join(directory, name + '.log')
        self._process = None

    def _spawn(self, command, **more):
        with open(self.log_path, 'ab') as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, preexec_fn=die_with_parent, **more)

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self):
        return self._process.poll()

    def log(self):
        with open(self.log_path, errors='replace') as file:
            return file.read()

    def tail(self, lines=15):
        return [f'{self.name}: {line}' for line in _tail(self.log_path, lines)]

    def wait(self, timeout_s):
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Broken(f'{self.name} (pid {self.pid}) still runs after {timeout_s} s') from None

    def kill(self):
        """kill -9, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()


class Daemon(_Process):
    """The daemon, listening on `count` sockets in `directory`.

    `args` are further words for its command line.
    """

    def __init__(self, directory, args=(), count=1, name='daemon'):
        super().__init__(name, directory)
        self._log_from = 0
        prefix = os.path.join(directory, name + '.sock')
        self.sockets = [f'{prefix}{i}' for i in range(count)]
        command = [DAEMON, '-s', prefix, '-c', str(count), *map(str, args)]
        self._spawn(command)
        try:
            self._wait_listening(20)
        except BaseException:
            self.kill()
            raise

    def _wait_listening(self, timeout_s):
        exist_since = None
        deadline = time.monotonic() + timeout_s
        while True:
            if not self.alive:
                raise Broken(f'{self.name} ended with {self.returncode} instead of serving: '
                             + ' | '.join(self.tail(5)))
            if all(_is_socket(path) for path in self.sockets):
                exist_since = exist_since or time.monotonic()
                if set(self.sockets) <= _listening():
                    return
                # A socket that was renamed after bind() is not in the kernel's
                # list under its new name.
                if time.monotonic() - exist_since > 1:
                    return
            if time.monotonic() > deadline:
                raise Broken(f'{self.name} made no sockets within {timeout_s} s')
            time.sleep(0.01)

    def complaints(self):
        """What it has found wrong with its guests since this was last asked."""
        log = self.log()
        new, self._log_from = log[self._log_from:], len(log)
        return [line for line in new.splitlines() if _COMPLAINTS.search(line)]

    def stop(self, number=signal.SIGTERM, timeout_s=10):
        """Sends the signal; returns the exit status, the seconds it took, and for how
        many of them its main thread waited for a CPU that others had."""
        waited_before = waited = _waited_for_cpu_s(self.pid)
        start = time.monotonic()
        self._process.send_signal(number)
        while self.alive and time.monotonic() - start < timeout_s:
            waited = max(waited, _waited_for_cpu_s(self.pid))
            time.sleep(0.005)
        took_s = time.monotonic() - start
        return self.wait(0), took_s, waited - waited_before


def _waited_for_cpu_s(pid):
    """How long the main thread of a process was runnable and did not run."""
    try:
        with open(f'/proc/{pid}/task/{pid}/schedstat') as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0


def _is_socket(path):
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _listening():
    """Paths of the Unix sockets that somebody listens on."""
    accepts = 0x10000
    paths = set()
    with open('/proc/net/unix') as file:
        next(file)
        for line in file:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & accepts:
                paths.add(fields[7].strip())
    return paths


class Guest(_Process):
    """A QEMU guest with one vhost-user-rng device per path in `sockets`, with further
    `device_options` such as ",packed=on".

    QEMU connects to the sockets or, with `listen`, makes them and waits for the daemon
    before it starts.

    The guest's root shell is on its second serial port; the first one is the
    kernel's console and goes to the file console_path. A machine with `one_port` has
    its shell there, and no console.
    """

    def __init__(self, directory, sockets=(), memory_mib=256, kernel_words='', qemu_args=(),
                 name='guest', accel=None, wait=True, device_options='', listen=False,
                 device='vhost-user-rng-pci', one_port=False):
        super().__init__(name, directory)
        self.console_path = os.path.join(directory, name + '.console')
        self._shell = self._qmp = None
        self._received = b''
        self._qmp_received = b''
        self._events = []
        self._token = 0
        self._trouble = None

        self._shell, shell_end = socket.socketpair()
        self._qmp, qmp_end = socket.socketpair()
        tty = 'ttyS0 console=' if one_port else 'ttyS1'
        command = [
            os.path.join(SCRIPTS, 'guest-boot.sh'), '-d', GUEST_DIR, '-a', accel or accelerator(),
            '-m', str(memory_mib), '-k', f'loglevel=5 vrng.tty={tty} {kernel_words}', '--',
            *(() if one_port else ('-serial', f'file:{self.console_path}')),
            '-chardev', f'socket,id=shell,fd={shell_end.fileno()}', '-serial', 'chardev:shell',
            '-chardev', f'socket,id=qmp,fd={qmp_end.fileno()}', '-mon', 'chardev=qmp,mode=control']
        for i, path in enumerate(sockets):
            command += ['-chardev', f'socket,id=rng{i},path={path}' + ',server=on' * listen,
                        '-device', f'{device},id=dev{i},chardev=rng{i}{device_options}']
        command += qemu_args
        try:
            with shell_end, qmp_end:
                self._spawn(command, pass_fds=[shell_end.fileno(), qmp_end.fileno()])
            self._qmp_receive(lambda message: 'QMP' in message, 'the QMP greeting', BOOT_S)
            self.command('qmp_capabilities')
            if wait:
                self.wait_ready()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception):
        self.kill()
        for end in (self._shell, self._qmp):
            if end is not None:
                end.close()

    @property
    def usable(self):
        """False once it died or a command was left without an answer."""
        return self.alive and self._trouble is None

    def _break(self, what):
        self._trouble = what
        raise Broken(f'{self.name}: {what}')

    def console(self):
        with open(self.console_path, errors='replace') as file:
            return file.read()

    def tail(self, lines=15):
        return super().tail(lines) + [f'{self.name} console: {line}'
                                      for line in _tail(self.console_path, lines)]

    # The shell.

    def _receive_until(self, pattern, timeout_s, what):
        """Takes what arrived up to and including the pattern; returns the match."""
        deadline = time.monotonic() + timeout_s
        while True:
            match = re.search(pattern, self._received, re.DOTALL)
            if match:
                self._received = self._received[match.end():]
                return match
            left = deadline - time.monotonic()
            if left <= 0:
                self._break(f'{what}: not within {timeout_s} s; received so far: '
                            f'{self._received[-200:]!r}')
            if not select.select([self._shell], [], [], min(left, 1))[0]:
                continue
            try:
                data = self._shell.recv(65536)
            except ConnectionError:
                data = b''
            if not data:
                self._break(f'{what}: QEMU ended, status {self.returncode}')
            self._received += data

    def wait_ready(self, timeout_s=BOOT_S):
        self._receive_until(rb'VRNG-GUEST-READY\r?\n', timeout_s, 'boot')

    def start(self, command):
        """Has the guest run a command; returns a ticket for finish()."""
        if self._trouble is not None:
            raise Broken(f'{self.name} is out of use: {self._trouble}')
        self._token += 1
        line = (f"printf '@begin {self._token}@\\n'; sh -c {shlex.quote(command)} </dev/null 2>&1; "
                f"printf '\\n@end {self._token} %d@\\n' $?\n")
        longest = max(map(len, line.encode().split(b'\n')))
        assert longest < 4096, f'the terminal of the guest takes no line of {longest} bytes'
        self._shell.sendall(line.encode())
        return self._token, command

    def finish(self, ticket, timeout_s=COMMAND_S):
        """Waits for a started command; returns its exit status and output."""
        token, command = ticket
        pattern = rb'@begin %d@\r?\n(.*)\r?\n@end %d (\d+)@\r?\n' % (token, token)
        match = self._receive_until(pattern, timeout_s, command)
        return int(match[2]), match[1].decode(errors='replace')

    def run(self, command, timeout_s=COMMAND_S):
        """Runs a shell command; returns its exit status and its output, errors included."""
        return self.finish(self.start(command), timeout_s)

    def check(self, command, timeout_s=COMMAND_S):
        """run() for a command that must succeed; returns its output."""
        status, output = self.run(command, timeout_s)
        assert status == 0, f'{self.name}: "{command}" gave status {status}: {output[-500:]}'
        return output

    def background(self, command):
        """Starts a command that outlives the call, its output in /tmp/bg.PID; returns its pid."""
        return int(self.check(f'sh -c {shlex.quote("exec >/tmp/bg.$$ 2>&1; exec " + command)} '
                              '>/dev/null & echo $!'))

    def running(self, pid):
        """Whether a background command still runs."""
        return self.run(f'test -d /proc/{pid} && ! grep -q "^State:.Z" /proc/{pid}/status')[0] == 0

    def read_hwrng(self, size, timeout_s=COMMAND_S):
        """`size` bytes of /dev/hwrng, read with one read(2) per 4 KiB."""
        block = min(size, 4096)
        text = self.check(f'head -c {size} /dev/hwrng | base64' if size % block else
                          f'dd if=/dev/hwrng bs={block} count={size // block} 2>/dev/null | base64',
                          timeout_s)
        return base64.b64decode(text)

    def reboot(self, command='reboot -f'):
        """The guest reboots itself."""
        self._received = b''
        self._shell.sendall(command.encode() + b'\n')
        self.wait_ready()

    def reset(self):
        """The machine's reset button."""
        self._received = b''
        self.command('system_reset')
        self.wait_ready()

    # QMP.

    def _qmp_receive(self, wanted, what, timeout_s):
        deadline = time.monotonic() + timeout_s
        while True:
            line, newline, rest = self._qmp_received.partition(b'\n')
            if newline:
                self._qmp_received = rest
                message = json.loads(line)
                if 'event' in message:
                    self._events.append(message)
                if wanted(message):
                    return message
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                self._break(f'{what}: not within {timeout_s} s')
            if not select.select([self._qmp], [], [], left)[0]:
                continue
            try:
                data = self._qmp.recv(65536)
            except ConnectionError:
                data = b''
            if not data:
                self._break(f'{what}: QEMU ended: ' + ' | '.join(_tail(self.log_path, 5)))
            self._qmp_received += data

    def command(self, name, timeout_s=COMMAND_S, **arguments):
        """A QMP command; returns what it returns, raises on its error."""
        request = {'execute': name, 'arguments': arguments}
        self._qmp.sendall(json.dumps(request).encode() + b'\n')
        answer = self._qmp_receive(lambda m: 'return' in m or 'error' in m, f'QMP {name}',
                                   timeout_s)
        assert 'return' in answer, f'{self.name}: QMP {name}: {answer["error"]}'
        return answer['return']

    def event(self, name, timeout_s=COMMAND_S):
        """Waits for, or takes, the oldest event of that name."""
        for event in self._events:
            if event['event'] == name:
                self._events.remove(event)
                return event
        event = self._qmp_receive(lambda m: m.get('event') == name, f'event {name}', timeout_s)
        self._events.remove(event)
        return event

    def quit(self, timeout_s=10):
        """Ends QEMU as a person would; kill() is the power cord."""
        self.command('quit')
        self.wait(timeout_s)

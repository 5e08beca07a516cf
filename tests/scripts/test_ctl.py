#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-vhost-rng-ctl.py: each command against a daemon with guests, and against control sockets
that are not there, forbidden, silent, or talk nonsense.

meson sets VRNG_SCRIPTS, the folder of the scripts, VRNG_TESTS, that of tap.py, VRNG_DAEMON,
VRNG_BENCH, and VRNG_CONFIG, that of libvirt-rng.xml.
"""

import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import xml.etree.ElementTree

from ctl_env import CTL, Env, copy_for_others, result, run
import tap
import cases
from cases import LIMIT_S, LIVENESS_S, read, until
import ctl.arguments
import ctl.usage

suite = tap.Suite()


def parsers():
    """The parser of the options for all, and those of the commands by name."""
    main = ctl.arguments.make()
    commands = next(action for action in main._actions if action.dest == 'command').choices
    return main, commands


# Against a daemon.

@suite.case('--status: daemon, sources, lcores and guests, as text and as JSON')
def _(env):
    daemon = env.guests(2, '-m', '1000000', '-p', '1000')
    daemon.served(daemon.prefix + '1', '1', '--rate', '100', '--depth', '1')
    for words in (['--status'], ['-s'], ['status']):
        said = daemon.ctl(*words)
        for part in (f'pid {daemon.process.pid}', 'budget: 1000000 bytes in 1 s', '/dev/urandom',
                     'Guests: 2, 1 connected, 1 served'):
            assert part in said, f'{part!r} is not in: {said}'
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.strip()}
    assert rows['1'][1] == 'served' and rows['0'][1] == 'alone', said
    told = daemon.json('status')
    assert told['status']['pid'] == daemon.process.pid
    assert [guest['name'] for guest in told['guests']] == ['0', '1']
    assert told['guests'][1]['counters']['bytes'] > 0
    said = daemon.ctl('status', '1')
    assert re.search(r'^state +served$', said, re.M) and daemon.prefix + '1' in said, said
    assert daemon.ctl('names') == '0\n1\n'
    assert 'protocol 1' in daemon.ctl('version')
    assert 'no guest nobody' in daemon.ctl('status', 'nobody', status=1)


@suite.case('add, set, move and remove do what they say')
def _(env):
    daemon = env.daemon('--lcores', str(max(os.sched_getaffinity(0))))
    path = os.path.join(daemon.folder, 'vm')
    daemon.ctl('add', 'vm', path, '--weight', '2', '--cap', '1Mi', '--burst', '4k')
    guest = daemon.guest('vm')
    assert (guest['weight'], guest['cap'], guest['burst']) == (2, 1048576, 4000), guest
    assert guest['socket'] == path and not guest['pinned'], guest
    assert 'vm' in daemon.ctl('add', 'vm', path + '2', status=1)
    assert 'weight 3, cap none' in daemon.ctl('set', 'vm', '--weight', '3', '--cap', 'none')
    guest = daemon.guest('vm')
    assert (guest['weight'], guest['cap'], guest['burst']) == (3, None, 4000), guest
    lcore = guest['lcore']
    daemon.ctl('move', 'vm', lcore)
    assert daemon.guest('vm')['pinned']
    daemon.ctl('move', 'vm', 'any')
    assert not daemon.guest('vm')['pinned']
    assert 'does not poll' in daemon.ctl('move', 'vm', '9999', status=1)
    daemon.ctl('add', 'other', path + '2', '--lcore', lcore)
    assert daemon.guest('other')['pinned']
    # What can be done is done, and what cannot is said.
    assert 'nobody' in daemon.ctl('remove', 'vm', 'nobody', 'other', status=1)
    assert daemon.ctl('names') == ''
    assert not os.path.exists(path) and not os.path.exists(path + '2')


@suite.case('the socket of add is one from here, not from where the daemon runs')
def _(env):
    daemon = env.daemon()
    status, out, err = run('--control-socket', daemon.control, 'add', 'vm', 'vm.sock',
                           cwd=daemon.folder)
    assert status == 0, out + err
    assert daemon.guest('vm')['socket'] == os.path.join(daemon.folder, 'vm.sock')


@suite.case('the budget of all')
def _(env):
    daemon = env.guests(1, '-m', '1000', '-p', '1000')
    daemon.ctl('set', '--max-bytes', '2k', '--max-requests', '7')
    budget = daemon.json('status')['status']['budget']
    assert (budget['max-bytes'], budget['max-requests']) == (2000, 7), budget
    said = daemon.ctl('set', '--max-bytes', 'none', '--max-requests', 'none')
    assert said == 'budget: no limit\n', said


@suite.case('reseed, log-level, and what this daemon cannot')
def _(env):
    daemon = env.guests(1, '--source-mode', 'drbg')

    def reseeds():
        return daemon.json('status')['status']['lcores'][0]['reseeds']
    before = until('the DRBG is seeded', reseeds)
    daemon.ctl('reseed')
    until('the DRBG is reseeded', lambda: reseeds() > before)
    daemon.ctl('log-level', 'error')
    assert daemon.json('status')['status']['log-level'] == 'error'
    daemon = env.guests(1)
    assert 'nothing to reseed' in daemon.ctl('reseed', status=1)
    daemon.ctl('reload', status=1)


@suite.case('drain: of a guest, not after all, and of all')
def _(env):
    daemon = env.guests(3)
    first = daemon.served(daemon.prefix + '0', '0', '--rate', '100', '--depth', '1')
    second = daemon.served(daemon.prefix + '1', '1', '--rate', '100', '--depth', '1')
    daemon.ctl('drain', '0', '2')
    until('the guest without a front-end is gone', lambda: '2' not in daemon.ctl('names'))
    assert daemon.guest('0')['draining'] and daemon.guest('0')['state'] == 'served'
    first.kill()
    until('the drained guest is gone', lambda: daemon.ctl('names') == '1\n')
    daemon.ctl('drain', '1')
    daemon.ctl('drain', '--cancel', '1')
    assert not daemon.guest('1')['draining']
    assert '--all' in daemon.ctl('drain', status=2)
    daemon.ctl('drain', '--all')
    assert daemon.json('status')['status']['draining']
    second.kill()
    assert daemon.process.wait(LIVENESS_S) == 0


# top

@suite.case('top --batch: rates, the throttled one marked, and the share of the budget')
def _(env):
    daemon = env.guests(3, '-m', '90000', '-p', '1000', '--idle', 'adaptive')
    daemon.served(daemon.prefix + '0', '0', '--rate', '100', '--depth', '1')
    daemon.served(daemon.prefix + '1', '1', '--depth', '4')
    # The two have their shares, and one of them wants more.
    frame = daemon.ctl('top', '--batch', '2', '--interval', '3').split('\n\n')[-1]
    rows = {line.split()[0]: line for line in frame.splitlines() if line.strip()}
    assert 'THROTTLED' in rows['1'] and 'THROTTLED' not in rows['0'], frame
    assert rows['2'].endswith('alone'), frame
    rate = float(re.search(r'([\d.]+) kB/s', rows['1'])[1])
    # 30 kB in each second; 3 seconds see the starts of 2, 3 or 4 periods.
    assert 15 < rate < 45, frame
    assert frame.index('\n1 ') < frame.index('\n0 ') < frame.index('\n2 '), 'not sorted by rate'
    assert re.search(r'budget \[\|+ *\] +\d+ % of 90.0 kB in 1 s, strict', frame), frame
    assert re.search(r'lcore \d+ on .*: +2 guests \[.*\] +\d+ % busy', frame), frame
    assert 'source /dev/urandom: ok' in frame, frame
    assert '\033' not in frame
    once = daemon.ctl('top', '--once', '--interval', '0.1', '--sort', 'name')
    assert once.index('\n0 ') < once.index('\n1 ') < once.index('\n2 '), once


class Terminal:
    """A terminal with this program in it."""

    def __init__(self, env, *args, size=(24, 80)):
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('HHHH', *size, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = ''
        self.process = env.start([CTL, *args], os.devnull, stdin=self.slave, stdout=self.slave,
                                 stderr=self.slave, env={**os.environ, 'TERM': 'xterm'})

    def expect(self, words, limit_s=LIVENESS_S):
        """Reads until the words have come."""
        deadline = time.monotonic() + limit_s
        while not re.search(words, self.seen):
            assert time.monotonic() < deadline, f'{words!r} is not in: {self.seen[-2000:]!r}'
            if select.select([self._master], [], [], 0.1)[0]:
                self.seen += os.read(self._master, 65536).decode()
        seen, self.seen = self.seen, ''
        return seen

    def type(self, text):
        os.write(self._master, text.encode())

    def end(self):
        """How the program ended; the terminal must be as before."""
        status = self.process.wait(LIVENESS_S)
        assert termios.tcgetattr(self.slave) == self.before, 'the terminal was not restored'
        os.close(self._master)
        os.close(self.slave)
        return status


@suite.case('top in a terminal: keys, a daemon that goes and comes, and the end')
def _(env):
    daemon = env.guests(40)
    screen = Terminal(env, '--control-socket', daemon.control, 'top', '--interval', '0.2')
    # A frame has as many lines as the terminal, and no line is wider.
    seen = screen.expect(r'\033\[\?1049h(.|\n)*q quit.*\033\[J')
    frame = seen.split('\033[H')[1]
    lines = re.sub(r'\033\[[\d;?]*[a-zA-Z]', '', frame).replace('\r', '').split('\n')
    assert len(lines) <= 24 and max(map(len, lines)) <= 80, lines
    assert '40: 0 served' in frame and 'more guests' in frame, frame
    for _ in range(4):
        screen.type(' ')
        screen.expect('q quit')
    screen.expect(r'\n39 +\d')
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(LIVENESS_S) == 0
    screen.expect('control socket|nobody answers|was closed')
    daemon.start()
    screen.expect(f'pid {daemon.process.pid}')
    screen.type('q')
    assert screen.end() == 0


@suite.case('top gives the terminal back when it is ended from outside')
def _(env):
    daemon = env.guests(1)
    screen = Terminal(env, '--control-socket', daemon.control, 'top')
    screen.expect('q quit')
    screen.process.terminate()
    assert screen.end() == 128 + signal.SIGTERM
    assert 'needs a terminal' in daemon.ctl('top', status=2)


# What to paste

def connects(env, daemon, name, words):
    """A QEMU with these words reaches the daemon."""
    if shutil.which('qemu-system-x86_64') is None:
        raise tap.Skip('there is no qemu-system-x86_64: scripts/install-deps.sh guest installs it')
    log = env.path('qemu.log')
    qemu = env.start(['bash', '-c', 'exec qemu-system-x86_64 -nodefaults -display none -accel tcg '
                      f'-S {words}'], log)

    def is_connected():
        assert qemu.poll() is None, read(log)
        return daemon.guest(name)['state'] != 'alone'
    until(f'QEMU is connected: {read(log)}', is_connected, LIMIT_S)
    qemu.kill()


@suite.case('qemu-args: QEMU connects to the daemon, also where a path has a comma and a blank')
def _(env):
    daemon = env.daemon()
    daemon.ctl('add', '7-a.b', os.path.join(daemon.folder, "a,b 'c"))
    connects(env, daemon, '7-a.b', daemon.ctl('qemu-args', '7-a.b', '--memory', '64M'))


@suite.case('qemu-args: the daemon connects to QEMU in client mode')
def _(env):
    daemon = env.guests(1, '--client')
    words = daemon.ctl('qemu-args', '0', '--memory', '64M')
    assert 'server=on' in words
    connects(env, daemon, '0', words)


@suite.case('config/qemu.args, and the command line in README: QEMU connects to the daemon')
def _(env):
    with open(os.path.join(os.environ['VRNG_CONFIG'], 'qemu.args')) as file:
        of_config = ' '.join(line for line in file.read().splitlines() if line[:1] != '#')
    with open(os.path.join(os.environ['VRNG_SCRIPTS'], '../README.md')) as file:
        text = file.read()
    of_readme = re.search(r'^qemu-system-x86_64 \.\.\. (.*?[^\\])\n', text, re.M | re.S)[1]
    for words in of_config, of_readme:
        daemon = env.guests(1)
        assert '/run/rng.sock0' in words and '1G' in words, words
        connects(env, daemon, '0', words.replace('/run/rng.sock0', daemon.prefix + '0')
                 .replace('1G', '64M'))


@suite.case('libvirt-xml has the chardev of qemu-args, and its device')
def _(env):
    daemon = env.daemon()
    daemon.ctl('add', 'vm', os.path.join(daemon.folder, 'a,b<&"\''))
    root = xml.etree.ElementTree.fromstring(daemon.ctl('libvirt-xml', 'vm'))
    space = '{http://libvirt.org/schemas/domain/qemu/1.0}'
    args = [arg.get('value') for arg in root.findall(f'{space}commandline/{space}arg')]
    words = shlex.split(daemon.ctl('qemu-args', 'vm').replace('\\\n', ''))
    chardev = words.index('-chardev')
    assert args[:3] == [*words[chardev:chardev + 2], '-device'], (args, words)
    # libvirt 9.0 starts no domain with the plain form of this one.
    device = json.loads(args[3])
    addr = device.pop('addr')
    assert addr == '0x1e', args
    assert device == {'driver': 'vhost-user-rng-pci', 'chardev': 'rng-vm', 'vectors': 2}, device
    assert daemon.json('qemu-args', 'vm') == words
    assert root.find('memoryBacking/access').get('mode') == 'shared'
    assert root.find('memoryBacking/source').get('type') == 'memfd'


@suite.case('libvirt-xml gives the domain of config/libvirt-rng.xml')
def _(env):
    daemon = env.guests(1)
    path = daemon.guest('0')['socket']
    own = xml.etree.ElementTree.fromstring(daemon.ctl('libvirt-xml', '0').replace(path, 'PATH')
                                           .replace('rng-0', 'rng0'))
    with open(os.path.join(os.environ['VRNG_CONFIG'], 'libvirt-rng.xml')) as file:
        shipped = xml.etree.ElementTree.fromstring(file.read().replace('/run/rng.sock0', 'PATH'))
    assert xml.etree.ElementTree.tostring(own) == xml.etree.ElementTree.tostring(shipped)


@suite.case('libvirt-xml names the rights that each side needs')
def _(env):
    assert 'socket-group=kvm' in env.guests(1).ctl('libvirt-xml', '0')
    client = env.guests(1, '--client').ctl('libvirt-xml', '0')
    assert 'socket-group' not in client and 'write to its directory' in client, client


@suite.case('qemu-args: the device can be unplugged, and nothing recommends that QEMU reconnects')
def _(env):
    daemon = env.guests(1)
    words = daemon.json('qemu-args', '0')
    assert words[-4:] == ['-device', 'pcie-root-port,id=rng-0-port,chassis=200', '-device',
                          'vhost-user-rng-pci,id=rng-0-dev,chardev=rng-0,bus=rng-0-port,vectors=2']
    assert not any('reconnect' in word for word in words), words
    # QEMU fails with it at start, and this program had an option for it.
    for command in 'qemu-args', 'libvirt-xml':
        assert '--reconnect' in daemon.ctl(command, '0', '--reconnect', status=2)
    daemon.ctl('qemu-args', '0', '--memory', '1,share=off', status=2)


@suite.case('qemu-replug: four commands, with the ids of qemu-args')
def _(env):
    for words, more in ([], {'server': False}), (['--client'], {'server': True, 'wait': True}):
        daemon = env.guests(1, *words)
        path = daemon.prefix + '0'
        lines = daemon.ctl('qemu-replug', '0').splitlines()
        commands = [json.loads(line) for line in lines]
        assert daemon.json('qemu-replug', '0') == commands
        assert commands == [
            {'execute': 'device_del', 'arguments': {'id': 'rng-0-dev'}},
            {'execute': 'chardev-remove', 'arguments': {'id': 'rng-0'}},
            {'execute': 'chardev-add', 'arguments': {'id': 'rng-0', 'backend': {
                'type': 'socket', 'data': {'addr': {'type': 'unix', 'data': {'path': path}},
                                           **more}}}},
            {'execute': 'device_add', 'arguments': {
                'driver': 'vhost-user-rng-pci', 'id': 'rng-0-dev', 'chardev': 'rng-0',
                'bus': 'rng-0-port', 'vectors': 2}}], commands


@suite.case('qemu-replug prints what README has')
def _(env):
    daemon = env.daemon()
    daemon.ctl('add', '0', os.path.join(daemon.folder, 'socket'))
    said = daemon.ctl('qemu-replug', '0').replace('rng-0', 'rng0') \
        .replace(os.path.join(daemon.folder, 'socket'), '/run/rng.sock0')
    with open(os.path.join(os.environ['VRNG_SCRIPTS'], '../README.md')) as file:
        readme = file.read()
    for line in said.splitlines():
        assert f'\n{line}\n' in readme, f'README has no line {line}'


# Control sockets that are not as they should be

@suite.case('no daemon: not there, gone, forbidden')
def _(env):
    path = env.path('control')
    status, _, err = run('--control-socket', path, 'status')
    assert status == 4 and f'--control-socket {path}' in err, err
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    status, _, err = run('status', env={**os.environ, 'VRNG_CONTROL_SOCKET': path})
    assert status == 4 and 'has ended' in err, err
    status, _, err = run('--control-socket', '/' + 'x' * 107, 'status')
    assert status == 4 and '107' in err, err


@suite.case('no daemon: permission denied')
def _(env):
    fake = env.fake(lambda request: result())
    os.chmod(os.path.dirname(fake.path), 0o755)
    os.chmod(fake.path, 0o600)
    if os.geteuid() != 0:
        raise tap.Skip('only root can become somebody who may not')

    status, _, err = cases.run(copy_for_others(env.path('scripts')), '--control-socket', fake.path,
                               'reseed', preexec_fn=lambda: os.setresuid(65534, 65534, 65534))
    assert status == 4 and 'root alone' in err and 'sudo' in err, err
    assert fake.requests == []


@suite.case('answers that are none')
def _(env):
    def version(number):
        return json.dumps({'version': number, 'ok': True, 'result': {}}).encode() + b'\n'
    for answer, expected, words in (
            (None, 4, 'was closed'),
            (b'HTTP/1.1 400 Bad Request\r\n\r\n', 5, 'not the control socket'),
            (b'\xff\xfe\n', 5, 'not the control socket'), (b'[]\n', 5, 'not the control socket'),
            (b'{"ok": true, "result": {}}\n', 5, 'not the control socket'),
            (version(2), 5, 'version 2'), (b'{"version": 1}\n', 5, 'neither a result'),
            (b'{"version": 1, "ok": true, "result": 7}\n', 5, 'neither a result'),
            ([b'x' * (1 << 20)] * 20, 5, 'more than any answer')):
        fake = env.fake(lambda request, answer=answer: answer)
        status, out, err = run('--control-socket', fake.path, 'reseed')
        assert status == expected and words in err, f'{answer!r:.60}: {status}: {err}'
        assert 'Traceback' not in err and out == '', err
        assert fake.requests[0]['version'] == 1
    fake = env.fake(lambda request: result(pid=1))
    status, _, err = run('--control-socket', fake.path, 'status')
    assert status == 5 and 'lacks' in err and 'Traceback' not in err, err


@suite.case('a daemon that is stopped is not waited for for ever, and one that is slow is')
def _(env):
    def slow(request):
        line = result()
        for i in range(len(line)):
            time.sleep(0.01)
            yield line[i:i + 1]
    fake = env.fake(slow)
    assert run('--control-socket', fake.path, 'reseed')[0] == 0

    def silent(request):
        yield b'{"version"'
        time.sleep(LIMIT_S)
    fake = env.fake(silent)
    start = time.monotonic()
    status, _, err = run('--control-socket', fake.path, 'reseed')
    assert status == 4 and 'within 10 s' in err, err
    assert 9 < time.monotonic() - start < 10 + LIVENESS_S


@suite.case('what is refused has the reason and status 1')
def _(env):
    fake = env.fake(lambda request: b'{"version": 1, "ok": false, "error": '
                    b'{"code": "failed", "message": "the moon is not full"}}\n')
    status, out, err = run('--control-socket', fake.path, 'reseed')
    assert status == 1 and err == 'dpdk-vhost-rng-ctl: the moon is not full\n', err
    assert out == ''


@suite.case('reload asks for that')
def _(env):
    fake = env.fake(lambda request: result())
    assert run('--control-socket', fake.path, 'reload')[0] == 0
    assert [request['command'] for request in fake.requests] == ['reload']


# The command line

@suite.case('bad usage is refused before anybody is asked')
def _(env):
    fake = env.fake(lambda request: result())
    for args in ([], ['nonsense'], ['add', 'vm'], ['add', 'vm', 's', '--weight', 'x'],
                 ['add', 'vm', 's', '--cap', '1Q'], ['add', 'vm', 's', '--cap', '-1'],
                 ['add', 'vm', 's', '--cap', '9223372036854775808'], ['set', 'vm'], ['set'],
                 ['set', '--weight', '2'], ['set', 'vm', '--max-bytes', '2'],
                 ['move', 'vm', 'x'], ['log-level', 'loud'], ['drain'],
                 ['drain', 'vm', '--all'], ['top', '--batch', '0'], ['top', '--interval', 'nan'],
                 ['--json', 'top'], ['--json', 'libvirt-xml', 'vm'], ['--stat'],
                 ['--status', 'reseed'], ['top', '--once', '--sort', 'x']):
        status, out, err = run('--control-socket', fake.path, *args)
        assert status == 2 and out == '', f'{args}: {status}: {out}{err}'
        assert 'dpdk-vhost-rng-ctl: ' in err and 'Traceback' not in err, f'{args}: {err}'
    assert fake.requests == []


@suite.case('--help tells of all commands and options, and no others')
def _(env):
    main, commands = parsers()
    for name, parser in commands.items():
        assert re.search(rf'^  {name} ', ctl.usage.HELP, re.M), name
        assert run(name, '--help')[0] == 0
    options = {option for parser in [main, *commands.values()] for option
               in parser._option_string_actions}
    assert options == set(re.findall(r'(?<![\w-])--?[a-z][a-z-]*(?= )', '\n'.join(
        line[:27] + ' ' for line in ctl.usage.HELP.splitlines() if line.startswith('  ')
        and not line.startswith('  dpdk')).replace(',', ' '))), options
    assert all(len(line) <= 88 for line in ctl.usage.HELP.splitlines())


def complete(program, *words, env=None):
    """What bash would offer for the last word."""
    script = (f'source {shlex.quote(os.path.join(os.path.dirname(CTL), "ctl/completion.bash"))}\n'
              'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dpdk_vhost_rng_ctl\n'
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(['bash', '-c', script, 'bash', program, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=True)
    return set(done.stdout.split())


@suite.case('bash completes commands, options, and names of guests')
def _(env):
    main, commands = parsers()
    assert complete(CTL, '') == set(commands)
    assert complete(CTL, 'lib') == {'libvirt-xml'}
    for name, parser in commands.items():
        options = {option for option in parser._option_string_actions if option.startswith('--')}
        assert complete(CTL, name, '-') == options, name
    assert '--status' in complete(CTL, '-')
    daemon = env.daemon()
    for name in ('vm1', 'vm2', 'other'):
        daemon.ctl('add', name, os.path.join(daemon.folder, name))
    here = ('--control-socket', daemon.control)
    assert complete(CTL, *here, 'set', 'vm') == {'vm1', 'vm2'}
    assert complete(CTL, *here, 'remove', 'vm1', '') == {'vm1', 'vm2', 'other'}
    assert complete(CTL, *here, 'set', '--weight', '2', 'o') == {'other'}
    assert complete(CTL, *here, 'set', 'vm1', '') == set()
    assert complete(CTL, 'log-level', 'd') == {'debug'}
    assert complete(CTL, 'set', '--cap', '') == {'none'}


suite.main(Env)

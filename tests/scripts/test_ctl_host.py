#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-vhost-rng-ctl.py doctor, on folders that look like hosts and with daemons that say what the
test wants; and the frames of top, from samples that were made up.

meson sets VRNG_SCRIPTS, the folder of the scripts, VRNG_TESTS, that of tap.py, VRNG_DAEMON and
VRNG_BENCH.
"""

import json
import os

from ctl_env import Env, result, run
import tap
from ctl import text, top

suite = tap.Suite()

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max open files            {files}                 {files}               files
Max locked memory         {locked}              {locked}              bytes
"""

# As good as it gets, but for what a test takes away.
FILES = {
    'etc/group': 'root:x:0:\nkvm:x:106:\n',
    'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nvrng:x:990:990::/:/bin/false\n',
    'proc/meminfo': 'MemTotal:  1024 kB\nSwapTotal:  1000 kB\n',
    'proc/cpuinfo': 'model name\t: A CPU\nflags\t\t: sse2 aes vaes avx512f waitpkg\n',
    'proc/sys/kernel/osrelease': '6.12.1-amd64\n',
    'proc/self/limits': LIMITS.format(files=20000, locked=8388608),
    'proc/77/limits': LIMITS.format(files=20000, locked=8388608),
    'proc/77/status': 'Name:\tdaemon\nUid:\t990\t990\t990\t990\n',
    'sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
    'sys/devices/system/cpu/online': '0-3\n',
    'sys/devices/system/cpu/isolated': '2-3\n',
    'sys/devices/system/cpu/nohz_full': '2-3\n',
    'sys/devices/system/cpu/cpu3/topology/thread_siblings_list': '3\n',
    'sys/devices/system/node/online': '0\n',
}
DAEMON_CHECKS = ('daemon', 'source', 'sandbox')


class Machine:
    """A folder that looks like a host, and a daemon on it."""

    def __init__(self, env, **more):
        self.root = env.path('host')
        for path, content in FILES.items():
            self.write(path, content)
        self.guests = []
        self.status = {
            'pid': 77, 'uptime_s': 5, 'draining': False, 'source-mode': 'drbg',
            'lcores': [{'lcore': 1, 'cpu': 3}], 'sources': [{'file': '/dev/urandom',
                                                             'state': 'ok'}],
            'sandbox': [{'part': 'caps', 'state': 'in-force', 'why': None},
                        {'part': 'seccomp', 'state': 'in-force', 'why': None}],
            'refused-calls': 0, **more}
        self._fake = env.fake(self._answer)

    def _answer(self, request):
        return {'version': lambda: result(program='1', dpdk='DPDK 1', protocol=1),
                'guests': lambda: result(guests=self.guests),
                'status': lambda: result(**self.status)}[request['command']]()

    def write(self, path, content):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(content)

    def all_files(self):
        found = {}
        for where, _, files in os.walk(self.root):
            for name in files:
                path = os.path.join(where, name)
                with open(path) as file:
                    found[path] = (file.read(), os.stat(path).st_mode, os.stat(path).st_mtime_ns)
        return found

    def doctor(self, control=None, **more):
        """{check: [(verdict, text, command)]}; the exit status must tell the same."""
        before = self.all_files()
        status, out, err = run('--json', '--control-socket', control or self._fake.path, 'doctor',
                               '--root', self.root, **more)
        assert err == '', err
        assert self.all_files() == before, 'doctor changed something'
        found = {}
        for finding in json.loads(out):
            found.setdefault(finding['check'], []).append(finding)
        bad = [finding for findings in found.values() for finding in findings
               if finding['verdict'] in ('better', 'wrong')]
        assert status == (3 if bad else 0), (status, bad)
        assert all(finding['command'] for finding in bad if finding['verdict'] == 'better'), bad
        return found


def expect(found, check, verdict, *words):
    """One of the findings of a check is as that."""
    for finding in found.get(check, []):
        said = f'{finding["text"]} {finding["command"]}'
        if finding['verdict'] == verdict and all(word in said for word in words):
            return
    raise AssertionError(f'no {verdict} with {words} of {check} in {json.dumps(found, indent=1)}')


@suite.case('doctor: a host as it should be, and one line for each check')
def _(env):
    machine = Machine(env)
    found = machine.doctor()
    for check in ('daemon', 'source', 'DPDK', 'kernel', 'AES', 'idle', 'clock', 'CPU 3', 'NUMA',
                  'hugepages', 'open files', 'locked memory', 'sandbox'):
        expect(found, check, 'ok')
    status, out, _ = run('--control-socket', machine._fake.path, 'doctor', '--root', machine.root)
    assert status == 0 and 'AES            ok      aes, vaes and AVX-512' in out, out


@suite.case('doctor: CPUs')
def _(env):
    machine = Machine(env)
    for path, content, check, words in (
            ('isolated', '2\n', 'CPU 3', ('isolcpus=3', 'not isolated')),
            ('nohz_full', '(null)\n', 'CPU 3', ('nohz_full=3',)),
            ('cpu3/cpufreq/scaling_governor', 'powersave\n', 'CPU 3', ('performance',))):
        machine.write(f'sys/devices/system/cpu/{path}', content)
        expect(machine.doctor(), check, 'better', *words)
    machine.write('sys/fs/cgroup/cpuset.cpus.isolated', '3\n')
    found = machine.doctor()
    assert not any('isolcpus' in (f['command'] or '') for f in found['CPU 3']), found
    machine.write('sys/devices/system/cpu/cpu3/topology/thread_siblings_list', '1,3\n')
    expect(machine.doctor(), 'CPU 3', 'note', 'CPU 1')
    machine.write('sys/devices/system/cpu/online', '0\n')
    expect(machine.doctor(), 'CPUs', 'better', 'there is one')


@suite.case('doctor: instructions, kernel, clock')
def _(env):
    machine = Machine(env)
    machine.write('proc/cpuinfo', 'model name\t: A CPU\nflags\t\t: sse2 aes\n')
    machine.write('proc/sys/kernel/osrelease', '6.1.0\n')
    machine.write('sys/devices/system/clocksource/clocksource0/current_clocksource', 'hpet\n')
    found = machine.doctor()
    expect(found, 'AES', 'note', 'AVX-512')
    expect(found, 'kernel', 'note', '6.11')
    expect(found, 'clock', 'better', 'clocksource=tsc')
    machine.write('proc/cpuinfo', 'model name\t: A CPU\nflags\t\t: sse2\n')
    expect(machine.doctor(), 'AES', 'better', 'A CPU')


@suite.case('doctor: what a restart of the daemon does with this version of QEMU')
def _(env):
    machine = Machine(env)
    folder = env.path('bin')
    os.mkdir(folder)
    qemu = os.path.join(folder, 'qemu-system-x86_64')

    def doctor(version):
        with open(qemu, 'w') as file:
            file.write(f'#!/bin/sh\necho QEMU emulator version {version}\n')
        os.chmod(qemu, 0o755)
        return machine.doctor(env={**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'})
    server, client = guest('vm1', machine), guest('vm2', machine, mode='client')
    for guests in [], [server], [client]:
        machine.guests = guests
        for version in '7.2.22', '8.2.10':
            expect(doctor(version), 'QEMU', 'note', version[:3], 'survive', '--client')
    for version in '9.0.0', '10.0.13', '11.1.3':
        machine.guests = [server]
        found = doctor(version)
        expect(found, 'QEMU', 'note', version[:-3].rstrip('.'), 'cuts guests off', 'qemu-replug')
        assert 'server=on' not in str(found['QEMU']) and '--client' not in str(found['QEMU'])
        machine.guests = [server, client]
        expect(doctor(version), 'QEMU', 'better', 'aborts', 'vm2', 'without --client')
    expect(doctor('6.2.0'), 'QEMU', 'wrong', 'has no vhost-user-rng-pci')


@suite.case('doctor: NUMA and hugepages')
def _(env):
    machine = Machine(env)
    machine.write('sys/devices/system/node/online', '0-1\n')
    machine.write('sys/devices/system/cpu/cpu3/node1/x', '')
    for counter, number in (('nr', 4), ('free', 0)):
        machine.write('sys/devices/system/node/node1/hugepages/hugepages-2048kB/'
                      f'{counter}_hugepages', f'{number}\n')
    found = machine.doctor()
    expect(found, 'NUMA', 'note', 'node 1 of 0-1', 'membind=1')
    expect(found, 'hugepages', 'note', '4 of 2M on node 1, 0 free', '--hugepages 8x2M@1')


def guest(name, machine, rights=0o600, **more):
    path = f'/run/{name}'
    machine.write(path[1:], '')
    os.chmod(machine.root + path, rights)
    return {'name': name, 'socket': path, 'mode': 'server', **more}


@suite.case('doctor: limits of the daemon, for the guests and lcores that it has')
def _(env):
    machine = Machine(env)
    machine.write('proc/77/limits', LIMITS.format(files=1024, locked=65536))
    found = machine.doctor()
    expect(found, 'open files', 'ok', 'enough for 68 guests')
    expect(found, 'locked memory', 'better', 'LimitMEMLOCK=614400')
    machine.guests = [guest(f'vm{i}', machine) for i in range(100)]
    expect(machine.doctor(), 'open files', 'better', 'needs 1464', 'LimitNOFILE=1464')
    machine.write('proc/meminfo', 'SwapTotal:  0 kB\n')
    expect(machine.doctor(), 'locked memory', 'note', 'no swap')
    machine.write('proc/77/limits', LIMITS.format(files='unlimited', locked='unlimited'))
    found = machine.doctor()
    expect(found, 'open files', 'ok', 'any number')
    expect(found, 'locked memory', 'ok')


@suite.case('doctor: rights of sockets')
def _(env):
    machine = Machine(env)
    machine.guests = [guest('private', machine), guest('group', machine, 0o660),
                      guest('open', machine, 0o666),
                      guest('theirs', machine, 0o666, mode='client')]
    found = machine.doctor()
    expect(found, 'sockets', 'note', 'private', 'mode 600', '--socket-mode 0660')
    expect(found, 'sockets', 'ok', 'group', 'mode 660')
    expect(found, 'sockets', 'better', 'open', 'anybody')
    assert 'theirs' not in json.dumps(found['sockets']), found['sockets']


@suite.case('doctor: a daemon that is root, and one whose source is not well')
def _(env):
    machine = Machine(env, sources=[{'file': '/dev/hwrng', 'state': 'unwell'}], draining=True)
    machine.write('proc/77/status', 'Uid:\t0\t0\t0\t0\n')
    found = machine.doctor()
    expect(found, 'sandbox', 'note', 'as root')
    expect(found, 'source', 'better', '/dev/hwrng: unwell')
    expect(found, 'daemon', 'note', 'drained')


@suite.case('doctor: what a daemon says of its sandbox')
def _(env):
    machine = Machine(env)
    found = machine.doctor()
    expect(found, 'sandbox', 'ok', 'caps, seccomp')
    assert len(found['sandbox']) == 1, found
    machine.status['sandbox'][0].update(state='missing', why='no such call')
    machine.status['sandbox'][1].update(state='off')
    found = machine.doctor()
    expect(found, 'sandbox', 'better', 'caps is missing: no such call')
    expect(found, 'sandbox', 'note', 'switched off: seccomp')
    machine.status['refused-calls'] = 3
    expect(machine.doctor(), 'sandbox', 'better', '3 system calls')


@suite.case('doctor: without a daemon it tells of the host')
def _(env):
    machine = Machine(env)
    found = machine.doctor(env.path('nothing'))
    expect(found, 'daemon', 'note', 'no control socket')
    expect(found, 'CPU 3', 'ok')
    assert not set(found) & {'source', 'sandbox', 'DPDK'}, found
    expect(found, 'sockets', 'note', 'dpdk-vhost-rng-setup.sh')
    fake = env.fake(lambda request: b'hello\n')
    expect(machine.doctor(fake.path), 'daemon', 'wrong', 'not the control socket')


@suite.case('doctor: this host, and a real daemon')
def _(env):
    daemon = env.guests(1)
    status, out, err = run('--control-socket', daemon.control, 'doctor')
    assert status in (0, 3) and err == '', f'{status}: {err}'
    assert f'pid {daemon.process.pid}' in out and 'Traceback' not in out, out
    assert 'open files' in out and 'sandbox' in out, out


# Frames of top

def sample(seconds, guests, **more):
    """As the daemon would have said it: guests are (name, bytes, more)."""
    made = top.Sample.__new__(top.Sample)
    made.time = seconds
    made.status = {
        'pid': 1, 'uptime_s': 5, 'draining': False, 'source-mode': 'drbg', 'log-level': 'info',
        'guests': {'all': len(guests), 'served': len(guests)},
        'budget': {'max-bytes': None, 'max-requests': None, 'period_ms': 1000,
                   'sharing': 'strict', 'refill': 'period'},
        'sources': [{'file': '/dev/urandom', 'state': 'ok', 'bytes': 1, 'unwell': 0,
                     'errors': 0}],
        'lcores': [], **more}
    made.guests = [{'name': name, 'state': 'served', 'lcore': 3, 'broken': None,
                    'draining': False, 'age_s': 100 + seconds,
                    'counters': {'bytes': total, 'requests': total // 64, 'throttled': 0,
                                 'starved': 0, **counters}, **changes}
                   for name, total, counters, changes in guests]
    return made


def rows_of(before, after, **more):
    return {line.split()[0]: (line, colour) for line, colour in top.frame(before, after, **more)}


@suite.case('top: rates are of the time between samples; counters that begin anew are no rates')
def _(env):
    before = sample(0, [('a', 1000, {}, {}), ('b', 10**9, {}, {}), ('c', 5, {}, {})])
    after = sample(2, [('a', 21000, {}, {}), ('b', 4000, {}, {'age_s': 1}), ('new', 8, {}, {})])
    rows = rows_of(before, after)
    assert '10.0 kB/s' in rows['a'][0] and '2.00 kB/s' in rows['b'][0], rows
    assert '[||||||||||||||]' in rows['a'][0] and '[|||           ]' in rows['b'][0], rows
    assert '4 B/s' in rows['new'][0] and 'c' not in rows, rows
    assert '12.0 kB/s' in rows['guests'][0], rows


@suite.case('top: the throttled, starved, broken and drained are marked, and what is not well')
def _(env):
    before = sample(0, [(name, 0, {}, {}) for name in 'abcdef'])
    after = sample(1, [('a', 1, {'throttled': 3}, {}), ('b', 1, {'starved': 1}, {}),
                       ('c', 1, {}, {'broken': 'a loop'}), ('d', 1, {}, {'draining': True}),
                       ('e', 0, {}, {'waits_for': 'tokens'}),
                       ('f', 0, {}, {'waits_for': 'bytes'})],
                   sources=[{'file': 'f', 'state': 'unwell', 'bytes': 1, 'unwell': 2,
                             'errors': 0}],
                   lcores=[{'lcore': 3, 'cpu': 3, 'guests': 4, 'reseeds': 1, 'overdue': True,
                            'failed': False}])
    rows = rows_of(before, after)
    assert rows['a'][0].endswith('THROTTLED') and rows['a'][1] == top.YELLOW
    assert rows['b'][0].endswith('STARVED') and rows['b'][1] == top.RED
    assert rows['c'][0].endswith('BROKEN: a loop') and rows['c'][1] == top.RED
    assert rows['d'][0].endswith('draining')
    assert rows['e'][0].endswith('THROTTLED') and rows['f'][0].endswith('STARVED')
    assert '2 throttled, 1 broken' in rows['guests'][0]
    assert '2 health tests failed' in rows['source'][0] and rows['source'][1] == top.RED
    assert 'OVERDUE' in rows['lcore'][0] and 'not known yet' in rows['lcore'][0]


@suite.case('top: the busy share of an lcore')
def _(env):
    def at(seconds, busy_ns, blocked_ns):
        times = {'busy_ns': busy_ns, 'spinning_ns': 0, 'pausing_ns': 0, 'sleeping_ns': 0,
                 'blocked_ns': blocked_ns}
        return sample(seconds, [], lcores=[{'lcore': 3, 'cpu': None, 'guests': 0, 'reseeds': 1,
                                            'overdue': False, 'failed': False, **times}])
    row = rows_of(at(0, 5, 0), at(2, 5 + 10**9, 5 * 10**8))['lcore'][0]
    assert '[|||||||       ]  50 % busy, 25 % asleep' in row, row


@suite.case('top: a frame is never larger than the terminal')
def _(env):
    guests = [(f'guest-with-a-long-name-{i}', i * 10**9, {}, {}) for i in range(511)]
    before, after = sample(0, guests), sample(1, guests)
    for size in ((80, 24), (200, 50), (20, 5), (80, 600), (1, 1)):
        for skip in (0, 100, 10000):
            frame = top.frame(before, after, size, 'total', skip)
            assert len(frame) <= size[1] and all(len(line) <= size[0] for line, _ in frame), size
    last = top.frame(before, after, (80, 24), 'name', 10000)[-1][0]
    assert last.startswith('guest-with-a-long-n>') and '510 GB' in last, last
    assert 'more guests' in top.frame(before, after, (80, 24))[-1][0]


@suite.case('numbers for people')
def _(env):
    for number, said in ((0, '0 B'), (999, '999 B'), (1000, '1.00 kB'), (9999, '10.0 kB'),
                         (99999, '100 kB'), (999999, '1.00 MB'), (12345678, '12.3 MB'),
                         (8 * 10**15, '8000 TB')):
        assert text.amount(number) == said, (number, text.amount(number))
    assert text.duration(59) == '59 s' and text.duration(3660) == '1 h 1 min'
    assert text.duration(86400 * 3 + 7200) == '3 d 2 h'
    columns = [text.Column('A', lambda row: row), text.Column('LONG', lambda row: 'x' * 9, rank=1)]
    assert text.table(columns, [1, 22]) == [' A       LONG', ' 1  xxxxxxxxx', '22  xxxxxxxxx']
    assert text.table(columns, [1], width=10) == ['A', '1']


suite.main(Env)

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bench: against the daemon, and against back-ends that die, hang and lie.

meson sets VRNG_BENCH and VRNG_DAEMON, the programs to test.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'python'))
import cases  # noqa: E402
import tap  # noqa: E402
from cases import LIMIT_S, die_with_parent, read, until  # noqa: E402

BENCH = os.environ['VRNG_BENCH']
DAEMON = os.environ['VRNG_DAEMON']

# A back-end that is dead or silent must be noticed long before what hangs is ended.
NOTICE_S = 15

suite = tap.Suite()


def run(*args):
    """Exit status, stdout and stderr of the bench."""
    return cases.run(BENCH, *args)


def run_json(*args):
    status, out, err = run('--json', *args)
    assert status == 0, f'status {status}: {err}'
    return json.loads(out)


class Env(cases.Env):
    def fake(self, manner):
        """Starts a fake back-end; returns the path of its socket."""
        path = self.path(manner)
        self.start([sys.executable, os.path.join(HERE, 'fake_backend.py'), path, manner],
                   path + '.log')
        until('the fake back-end starts', lambda: os.path.exists(path))
        return path

    def daemon(self, *args, count=1):
        """Starts the daemon; returns its process, the prefix of its sockets and its log."""
        prefix = self.path('sock')
        log = prefix + '.log'
        process = self.start([DAEMON, '-s', prefix, '-c', str(count), *args], log)

        def serves():
            assert process.poll() is None, 'the daemon ended: ' + read(log)
            return all(answers(f'{prefix}{i}') for i in range(count))

        until('the daemon listens', serves)
        return process, prefix, log


def answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def expect(args, status, words):
    """The bench ends soon with that status and says these words."""
    start = time.monotonic()
    got, out, err = run(*args)
    took = time.monotonic() - start
    assert got == status, f'status {got} instead of {status}: {out} {err}'
    assert re.search(words, err), f'it does not say "{words}": {err}'
    assert took < NOTICE_S, f'it took {took:.1f} s'


# What it says of itself.

@suite.case('--help and --version')
def _(env):
    status, out, _ = run('--help')
    assert status == 0 and '--socket' in out and 'Exit status' in out
    assert all(len(line) <= 80 for line in out.splitlines()), 'a line is too long'
    status, out, _ = run('--version')
    assert status == 0 and re.fullmatch(r'dpdk-vhost-rng-bench \d+\.\d+\.\d+\n', out)


@suite.case('bad options are refused with status 2 and named')
def _(env):
    for args, words in (
            ([], 'missing'), (['-s', ''], 'empty'), (['--nonsense'], 'nonsense'),
            (['-s', 'x', 'y'], "'y'"), (['-s', 'x', '--self'], 'exclude'),
            (['-s', 'x', '--size', '0'], '--size'), (['-s', 'x', '--size', '1025Ki'], '--size'),
            (['-s', 'x', '--size', '64,'], '--size'), (['-s', 'x', '--size', '-1'], '--size'),
            (['-s', 'x', '--depth', '0'], '--depth'),
            (['-s', 'x', '--depth', '65', '--queue-size', '64'], 'descriptors'),
            (['-s', 'x', '--depth', '16384', '--chain', '4'], 'descriptors'),
            (['-s', 'x', '--queue-size', '100'], 'power of two'),
            (['-s', 'x', '--size', '2', '--chain', '3'], '--chain'),
            (['-s', 'x', '--queue-size', '32769', '--layout', 'packed'], '--queue-size'),
            (['-s', 'x', '--layout', 'round'], '--layout'),
            (['-s', 'x', '--event-idx', 'perhaps'], 'neither'),
            (['-s', 'x', '--wait', 'long'], 'neither'),
            (['-s', 'x', '--guests', '0'], '--guests'),
            (['-s', 'x', '--guests', '1025'], '--guests'),
            (['-s', 'x', '--duration', '0'], '--duration'),
            (['-s', 'x', '--duration', 'nan'], '--duration'),
            (['-s', 'x', '--count', '0'], '--count'), (['-s', 'x', '--rate', '0'], '--rate'),
            (['-s', 'x', '--timeout', '0'], '--timeout'), (['-s', 'x', '--pin', '-1'], '--pin'),
            (['-s', 'x', '--pid', '0'], '--pid'), (['-s'], 'needs a value'),
            (['--self', '--verify'], '--verify'), (['-s', 'x', '--json=1'], 'does not take'),
            (['-s', 'x', '--json', '--output', '-'], 'stdout')):
        expect(args, 2, words)


@suite.case('its own back-end in memory')
def _(env):
    result = run_json('--self', '--depth', '128', '--duration', '0.2')
    total = result['total']
    assert total['measured']['requests'] > 0
    assert total['measured']['bytes'] == 64 * total['measured']['requests']
    # What was under way when measuring began has no latency.
    assert total['latency_ns']['samples'] == total['measured']['requests'] - 128


@suite.case('a word that JSON has no room for')
def _(env):
    result = run_json('--self', '--count', '10', '--source', os.fsdecode(b'/\xff'))
    assert result['command'][-2:] == ['--source', '(not UTF-8)'], result['command']


@suite.case('its own back-end, packed, chains')
def _(env):
    result = run_json('--self', '--depth', '5', '--count', '10000', '--chain', '3', '--size', '100',
                      '--layout', 'packed', '--queue-size', '17')
    assert result['total']['measured']['bytes'] == 1000000


@suite.case('its own back-end, by count, chains in indirect tables')
def _(env):
    result = run_json('--self', '--depth', '5', '--count', '1003', '--chain', '3', '--indirect',
                      '--size', '100,1000', '--guests', '3')
    assert [guest['measured']['bytes'] for guest in result['guests']] == [
        100300, 1003000, 100300]


# Against the daemon.

@suite.case('its bytes and the daemon\'s agree, and the JSON is whole')
def _(env):
    process, prefix, log = env.daemon()
    result = run_json('-s', prefix + '0', '--count', '300000', '--warm-up', '0.2', '--depth', '16',
                      '--size', '100', '--timeout', '20', '--pid', process.pid)
    total = result['total']
    assert total['requests_per_s'] > 0 and total['measured']['requests'] > 0
    assert abs(total['MB_per_s'] - total['requests_per_s'] * 100 / 1e6) < 0.01
    latency = [total['latency_ns'][name] for name in ('p50', 'p90', 'p99', 'p99.9', 'max')]
    assert latency == sorted(latency) and latency[0] > 0
    assert sum(count for _, _, count in total['histogram_ns']) == total['measured']['requests']
    assert result['backend']['cpu_ns'] > 0 and result['backend']['threads']
    assert result['work']['depths'] == [16] and result['command'][0] == BENCH
    assert result['verdict'] == 'ok' and result['total']['jain'] == 1
    # Agreement to the byte, whatever the daemon's words for it are.
    expected = (total['lifetime']['requests'], total['lifetime']['bytes'])
    deadline = time.monotonic() + NOTICE_S
    said = []
    while expected not in said:
        assert time.monotonic() < deadline, f'the daemon says {said}, not {expected}'
        time.sleep(0.02)
        # Also the probe that waited for the socket has come and gone.
        said = [tuple(map(int, pair))
                for pair in re.findall(r'after (\d+) requests, (\d+) bytes', read(log))]


@suite.case('--verify finds nothing wrong with the daemon')
def _(env):
    _, prefix, _ = env.daemon()
    for words, args in ((8, ['--size', '64']), (0, ['--size', '1']),
                        (3, ['--size', '17', '--depth', '7']),
                        (3 * 42, ['--size', '1000', '--chain', '3', '--depth', '8']),
                        (5 * 103, ['--size', '4Ki', '--chain', '5', '--indirect', '--depth', '32']),
                        (131072, ['--size', '1Mi', '--event-idx', 'off', '--wait', 'block']),
                        (8, ['--size', '64', '--wait', 'block'])):
        result = run_json('-s', prefix + '0', '--verify', '--count', '100', '--timeout', '20',
                          *args)
        assert result['verify']['answers'] == 100, result['verify']
        if result['total']['lifetime']['short'] == 0:
            assert result['verify']['words'] == 100 * words, result['verify']


@suite.case('--verify finds nothing wrong with packed queues')
def _(env):
    _, prefix, _ = env.daemon()
    for args in (['--size', '64', '--depth', '128'], ['--size', '17', '--queue-size', '7'],
                 ['--size', '1000', '--chain', '3', '--depth', '8', '--queue-size', '25'],
                 ['--size', '4Ki', '--chain', '5', '--indirect', '--depth', '32'],
                 ['--size', '1Mi', '--event-idx', 'off', '--wait', 'block'],
                 ['--size', '64', '--wait', 'block', '--depth', '3', '--queue-size', '3']):
        result = run_json('-s', prefix + '0', '--verify', '--count', '100', '--timeout', '20',
                          '--layout', 'packed', *args)
        assert result['verify']['answers'] == 100, result['verify']
        assert result['work']['layout'] == 'packed'


@suite.case('a back-end without packed queues')
def _(env):
    expect(['-s', env.fake('honest'), '--layout', 'packed'], 1, '--layout packed.*not offer')


@suite.case('several guests, sizes, depths')
def _(env):
    _, prefix, _ = env.daemon(count=4)
    for wait in ('poll', 'block'):
        result = run_json('-s', prefix, '--guests', '4', '--size', '64,128', '--depth', '4,8,16',
                          '--count', '500', '--wait', wait, '--verify')
        got = [(g['size'], g['depth'], g['measured']['requests']) for g in result['guests']]
        assert got == [(64, 4, 500), (128, 8, 500), (64, 16, 500), (128, 4, 500)], got


@suite.case('an open loop keeps its rate')
def _(env):
    _, prefix, _ = env.daemon()
    for wait in ('poll', 'block'):
        result = run_json('-s', prefix + '0', '--rate', '500', '--duration', '2', '--depth', '32',
                          '--wait', wait)
        # However busy the machine is, each that is due is answered, outstanding or unsent, and the
        # warm-up may leave as many that are answered later.
        total = result['total']
        got = total['measured']['requests'] + total['unsent']
        assert abs(got - 500 * total['seconds']) < 40, (got, total['seconds'])


@suite.case('a short answer is counted, its latency starts when it was due')
def _(env):
    _, prefix, _ = env.daemon('-m', '100', '-p', '1000')
    result = run_json('-s', prefix + '0', '--size', '64', '--rate', '20', '--count', '7',
                      '--depth', '64', '--timeout', '20')
    # Seven are due within 0.3 s; 100 bytes a second last for one of 64 and a short one.
    measured = result['total']['measured']
    assert measured['requests'] == 7 and measured['short'] >= 2, measured
    assert measured['bytes'] < 7 * 64 and measured['empty'] == 0, measured
    assert result['total']['latency_ns']['max'] > 1e9


@suite.case('--output has the bytes')
def _(env):
    _, prefix, _ = env.daemon()
    path = env.path('stream')
    run_json('-s', prefix + '0', '--count', '1000', '--size', '100', '--depth', '4',
             '--output', path)
    with open(path, 'rb') as file:
        data = file.read()
    assert len(data) == 100000
    # Of 390 expected, each value has 20 as standard deviation.
    assert all(200 < data.count(value) < 600 for value in range(256))
    status, _, err = run('-s', prefix + '0', '--count', '1000', '--output', '/dev/full')
    assert status == 1 and 'No space left' in err, err


@suite.case('--limits and the table')
def _(env):
    _, prefix, _ = env.daemon()
    status, out, err = run('-s', prefix + '0', '--duration', '0.2', '--limits')
    assert status == 0, err
    for words in ('requests/s', 'p99.9', 'keystream', 'copy', 'reached: ', '/dev/urandom'):
        assert words in out, f'"{words}" is missing: {out}'
    limits = run_json('-s', prefix + '0', '--duration', '0.2', '--limits')['limits']
    for name in ('source', 'source_bulk', 'keystream', 'copy'):
        assert limits[name]['MB_per_s'] > 1, limits


# Against what is broken.

@suite.case('nobody at the socket')
def _(env):
    expect(['-s', env.path('nobody')], 1, 'No such file')


@suite.case('a daemon that is killed is noticed at once')
def _(env):
    for wait in ('poll', 'block'):
        process, prefix, _ = env.daemon()
        bench = subprocess.Popen([BENCH, '-s', prefix + '0', '--duration', '60', '--wait', wait],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        try:
            time.sleep(1)
            start = time.monotonic()
            process.kill()
            _, err = bench.communicate(timeout=LIMIT_S)
        finally:
            bench.kill()
            bench.wait()
        assert bench.returncode == 1, f'status {bench.returncode}: {err}'
        assert 'closed the connection' in err, err
        assert time.monotonic() - start < NOTICE_S


@suite.case('a back-end that leaves')
def _(env):
    for wait in ('poll', 'block'):
        expect(['-s', env.fake('leaves'), '--wait', wait], 1, 'closed the connection')


@suite.case('a back-end that says nothing')
def _(env):
    expect(['-s', env.fake('mute'), '--timeout', '1'], 1, 'no answer in time')


@suite.case('a back-end that answers and makes no call')
def _(env):
    expect(['-s', env.fake('no-call'), '--wait', 'block', '--timeout', '1'], 1, 'made no call')


@suite.case('a back-end that speaks something else')
def _(env):
    expect(['-s', env.fake('nonsense')], 1, 'not vhost-user')


@suite.case('a back-end that answers no request')
def _(env):
    for wait in ('poll', 'block'):
        expect(['-s', env.fake('silent'), '--timeout', '1', '--duration', '60', '--wait', wait],
               1, 'no answer for 1 s with 1 requests')
        expect(['-s', env.fake('silent'), '--duration', '0.5', '--wait', wait],
               1, 'not one answer')
        expect(['-s', env.fake('silent'), '--timeout', '1', '--count', '5', '--wait', wait],
               1, 'no answer')


# Against liars.

@suite.case('an honest back-end of few lines passes')
def _(env):
    result = run_json('-s', env.fake('honest'), '--verify', '--count', '500', '--depth', '4',
                      '--size', '200', '--chain', '3')
    assert result['verify']['blocks'] > 0


for liar, lie in (('bad-id', 'not outstanding'), ('too-long', 'claims 65 bytes of 64'),
                  ('too-many', 'more answers than')):
    @suite.case(f'lie, seen always: {liar}')
    def _(env, liar=liar, lie=lie):
        expect(['-s', env.fake(liar), '--depth', '4', '--duration', '10'], 3, lie)

for liar, lie in (('unwritten', 'were not written'), ('gap', 'were not written: at offset 32'),
                  ('last-byte', 'the last byte of 8 answers'), ('outside', 'behind the end'),
                  ('table', 'descriptor table'), ('empty', 'no bytes'), ('repeat', 'twice')):
    @suite.case(f'lie, seen by --verify: {liar}')
    def _(env, liar=liar, lie=lie):
        expect(['-s', env.fake(liar), '--verify', '--duration', '0.5'], 3, lie)


if __name__ == '__main__':
    suite.main(Env)

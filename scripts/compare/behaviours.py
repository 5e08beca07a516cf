# SPDX-License-Identifier: BSD-3-Clause
"""What the back-ends do in unusual cases: each is tried, and told as it was seen."""

import json
import os
import subprocess
import tempfile
import time

from backends import Backend, Failed, START_S, connects, die_with_parent

CASE_S = 60
MODES = ('original', 'ours')  # the DRBG changes nothing in the handling of queues

NO = 'no answer'


def served(length):
    return NO if length < 0 else f'{length} bytes'


def afterwards(outcome):
    """After something that broke a rule: from where on the guest is served again."""
    if outcome['then'] > 0:
        return 'the next request is served'
    if outcome['after_reset'] > 0:
        return 'nothing more until the guest resets the device; then served'
    if outcome['after_reconnect'] > 0:
        return 'nothing more, neither after a reset of the device; served after a new connection'
    return 'nothing more, neither after a new connection'


def identity(path):
    """Of a file: another one may have its inode's number again."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mode, stat.st_ctime_ns


def refusal(status):
    return 'left alone' + (', and it goes on running' if status is None
                           else f', the start is refused (status {status})')


class Behaviours:
    def __init__(self, args, kinds, cpu, say):
        self.args, self.cpu, self.say = args, cpu, say
        self.kinds = [kind for kind in kinds if kind.key in MODES]

    def behave(self, backend, case, *words):
        done = subprocess.run([os.path.join(self.args.bench_dir, 'behave'), case,
                               backend.prefix + '0', *map(str, words)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=CASE_S)
        outcome = json.loads(done.stdout or '{"failed": "no outcome"}')
        time.sleep(0.1)
        outcome['alive'] = backend.alive
        if 'failed' in outcome and outcome['alive']:
            raise Failed(f'{backend.kind.name}, {case}: {outcome["failed"]}')
        return outcome

    def simple(self, kind, case, count=1, more=(), words=()):
        with Backend(kind, self.cpu, count, more) as backend:
            return self.behave(backend, case, *(
                f'{backend.prefix}1' if word == 'OTHER' else word for word in words))

    # Each returns what was seen, for a person.

    def chain(self, kind):
        outcome = self.simple(kind, 'chain')
        if outcome['first'] == 128:
            return 'served, 128 bytes'
        return f'{served(outcome["first"])}; {afterwards(outcome)}'

    def readable(self, kind):
        return 'dropped; ' + afterwards(self.simple(kind, 'readable'))

    def bad_head(self, kind):
        return afterwards(self.simple(kind, 'bad-head'))

    def bad_index(self, kind):
        return afterwards(self.simple(kind, 'bad-index'))

    def reset(self, kind):
        outcome = self.simple(kind, 'reset')
        if outcome['after_reset'] > 0:
            return 'served'
        return (f'not served: the used index goes on at {outcome["used_idx"]}, where the guest '
                'expects 1')

    def reset_throttled(self, kind):
        outcome = self.simple(kind, 'reset-throttled', 1, ['-m', 64, '-p', 2000], [2000])
        if outcome['data_after_stop'] or outcome['used_after_stop']:
            return 'the request is answered after the stop: memory is written that is not its own'
        return 'nothing is written after the stop'

    def tiny_budget(self, kind):
        outcome = self.simple(kind, 'ask', 2, ['-m', 1, '-p', 300], [64, 3])
        if 0 in outcome['answers']:
            return 'answers of 0 bytes'
        return 'the guests have their byte in turn, never an answer of 0 bytes'

    def refill(self, kind):
        answers = self.simple(kind, 'ask-fresh', 1, ['-m', 64, '-p', 60000], [64, 3])['answers']
        if answers[1] > 0:
            return 'each new connection has the whole budget again'
        return 'a new connection has what is left of the period'

    def end_of_file(self, kind):
        with tempfile.NamedTemporaryFile(prefix='vrng-compare-') as file:
            file.write(bytes(range(64)))
            file.flush()
            answers = self.simple(kind, 'ask', 1, ['-f', file.name], [64, 3])['answers']
        if 0 in answers:
            return 'answers of 0 bytes, for ever'
        return 'requests wait until the file has more'

    def shrink(self, kind):
        outcome = self.simple(kind, 'shrink', 2, (), ['OTHER'])
        if not outcome['alive']:
            return 'the process dies (SIGBUS), and with it all guests'
        return f'the others are served ({served(outcome["other"])})'

    def hog(self, kind):
        outcome = self.simple(kind, 'hog', 2, (), ['OTHER'])
        return f'the other one waits up to {outcome["longest_us"] / 1000:.1f} ms'

    def second(self, kind):
        outcome = self.simple(kind, 'second')
        return f'{outcome["second"]}, after {outcome["ms"]} ms; the first one is ' + (
            'served on' if outcome['first'] > 0 else 'served no more')

    def _start_again(self, kind, before):
        """Whether a second process takes a path from `before`, and its exit status."""
        with tempfile.TemporaryDirectory(prefix='vrng-compare-') as directory:
            with before(directory) as path:
                file = identity(path)
                process = subprocess.Popen(
                    kind.command(os.path.join(directory, 'rng.sock'), self.cpu, 1, ()),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
                deadline = time.monotonic() + min(START_S, 5)
                while (time.monotonic() < deadline and process.poll() is None
                       and identity(path) == file):
                    time.sleep(0.02)
                status = process.poll()
                taken = identity(path) != file
                process.kill()
                process.wait()
        return taken, status

    def live_socket(self, kind):
        class Live:
            def __init__(this, directory):
                this.backend = Backend(kind, self.cpu, directory=directory)

            def __enter__(this):
                return this.backend.prefix + '0'

            def __exit__(this, *exception):
                this.backend.stop()

        taken, status = self._start_again(kind, Live)
        return ('it is removed: the first daemon is out of reach' if taken
                else refusal(status))

    def other_file(self, kind):
        class File:
            def __init__(this, directory):
                this.path = os.path.join(directory, 'rng.sock0')
                with open(this.path, 'w') as file:
                    file.write('precious')

            def __enter__(this):
                return this.path

            def __exit__(this, *exception):
                pass

        taken, status = self._start_again(kind, File)
        return ('it is removed' if taken
                else refusal(status))

    def leftovers(self, kind):
        with Backend(kind, self.cpu) as backend:
            backend.stop()
            path = backend.prefix + '0'
            return ('the socket is left behind' if os.path.exists(path) and not connects(path)
                    else 'the socket is removed')

    def all(self):
        cases = (
            ('A request of two descriptors', self.chain),
            ('A request without a writable descriptor', self.readable),
            ('A descriptor index outside the queue', self.bad_head),
            ('An available index far ahead', self.bad_index),
            ('The guest resets the device and starts it again', self.reset),
            ('The guest resets the device while a request waits for budget', self.reset_throttled),
            ('`--max-bytes` smaller than the number of sockets', self.tiny_budget),
            ('The front-end reconnects when its budget is used up', self.refill),
            ('The source is a file, and it ends', self.end_of_file),
            ('The front-end shrinks the memory that it shares', self.shrink),
            ('One guest asks for 256 MiB at once, another for 64 bytes', self.hog),
            ('A second front-end connects to the same socket', self.second),
            ('Started where a live daemon has its socket', self.live_socket),
            ('Started where a file is that is no socket', self.other_file),
            ('SIGTERM', self.leftovers),
        )
        rows = []
        for name, case in cases:
            self.say(f'behaviour: {name}')
            rows.append({'case': name,
                         'seen': {kind.key: self.see(case, kind) for kind in self.kinds}})
        return rows

    def see(self, case, kind):
        try:
            return case(kind)
        except (Failed, subprocess.TimeoutExpired) as error:
            self.say(f'not tried: {error}')
            return 'could not be tried in this run'

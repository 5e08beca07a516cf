#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-vhost-rng-exporter.py: what it makes of what the daemon tells, over both of its sockets; a
real Prometheus that scrapes it and answers queries; alert rules and dashboard.

meson sets VRNG_SCRIPTS, VRNG_TESTS, VRNG_DAEMON, VRNG_BENCH, and VRNG_CONFIG, the folder of the
rules.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

from ctl_env import Env
import tap
from cases import LIMIT_S, LIVENESS_S, die_with_parent, read, until

EXPORTER = os.path.join(os.environ['VRNG_SCRIPTS'], 'dpdk-vhost-rng-exporter.py')
CONFIG = os.path.join(os.environ['VRNG_CONFIG'], 'prometheus')
HERE = os.path.dirname(os.path.abspath(__file__))
RULES = os.path.join(CONFIG, 'dpdk-vhost-rng.rules.yml')

suite = tap.Suite()


def python():
    """One that has prometheus_client; Debian's package is for Debian's own."""
    for program in (sys.executable, '/usr/bin/python3'):
        done = subprocess.run([program, '-c', 'import prometheus_client'], check=False,
                              stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            return program
    raise tap.Skip('there is no prometheus_client: scripts/install-deps.sh test installs it')


def need(tool):
    if shutil.which(tool) is None:
        raise tap.Skip(f'there is no {tool}: scripts/install-deps.sh prometheus installs it')


def run(*args, status=0):
    """What it said."""
    done = subprocess.run([python(), EXPORTER, *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT_S, check=False, preexec_fn=die_with_parent)
    assert done.returncode == status, f'{args}: {done.returncode}: {done.stdout}{done.stderr}'
    return done.stdout if status == 0 else done.stderr


def values_of(text):
    """{'name{labels}': number} of the text format."""
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines() if line and not line.startswith('#')}


GUEST = {
    'name': 'vm1', 'socket': '/run/vm1', 'mode': 'server', 'state': 'served', 'broken': '',
    'waits_for': '', 'lcore': 3, 'pinned': 0, 'weight': 2, 'cap': 1000, 'burst': 0,
    'draining': 0, 'age_s': 7,
    'counters': {'requests': 10, 'bytes': 640, 'short': 1, 'calls': 4, 'kicks': 2,
                 'throttled': 5, 'throttled_ns': 2500000000, 'starved': 1, 'starved_ns': 500000000,
                 'broken': 0}}
HISTOGRAM = {'unit': 'ns', 'count': 6, 'sum': 9000, 'le': [256, 512, 1024],
             'counts': [1, 0, 3], 'over': 2}
LCORE = {'lcore': 3, 'cpu': 3, 'guests': 1, 'reseeds': 9, 'generated': 5, 'overdue': 0, 'failed': 0,
         'busy_ns': 1500000000, 'spinning_ns': 2, 'pausing_ns': 3, 'sleeping_ns': 4,
         'blocked_ns': 5, 'sleeps': 6, 'blocks': 7, 'wakes': 8}
ANSWERS = {
    'guest,vm1': GUEST,
    'guest,vm2': {**GUEST, 'name': 'vm2', 'state': 'alone', 'broken': 'a loop'},
    'lcores,0': {'3': LCORE},
    'lcores,1': {'4': {**LCORE, 'lcore': 4, 'reseeds': 11}}, 'lcores,2': {},
    'source': {'mode': 'drbg', '0': {'file': '/dev/urandom', 'state': 'ok', 'bytes': 48,
                                     'unwell': 1, 'errors': 2}},
    'budget': {'max_bytes': 4096, 'period_ms': 1500, 'sharing': 'fair', 'refill': 'period',
               'guests': 2, 'weights': 4},
    'histogram,wake,3': HISTOGRAM,
    'histogram,timer,3': HISTOGRAM,
    'histogram,service,vm1': HISTOGRAM,
}


class FakeTelemetry:
    """As DPDK's: it says something of itself, and then answers. 'gone' is a guest that was listed
    and is there no more; names and lcores come in pieces."""

    def __init__(self, path, hello=None):
        self.path = path
        self._hello = hello or json.dumps({'version': 'DPDK 1', 'pid': 1,
                                           'max_output_len': 16384}).encode()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(path)
        self._socket.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self._socket.accept()
            with client, contextlib.suppress(OSError):
                client.send(self._hello)
                while True:
                    command = client.recv(1024).decode()
                    if not command:
                        break
                    client.send(json.dumps({command.split(',')[0]: self._answer(
                        command[len('/vhost_rng/'):])}).encode())

    @staticmethod
    def _answer(command):
        name, _, rest = command.partition(',')
        if name == 'guests':
            return ['vm1', 'gone', 'vm2'][int(rest):][:2]
        return ANSWERS.get(command)


@suite.case('each thing that telemetry tells is a metric, in base units')
def _(env):
    fake = FakeTelemetry(env.path('telemetry'))
    text = run('--once', '--guest-histograms', '--telemetry-socket', fake.path)
    got = values_of(text)
    for name, value in {
            'vhost_rng_up': 1,
            'vhost_rng_guest_delivered_bytes_total{guest="vm1"}': 640,
            'vhost_rng_guest_requests_total{guest="vm1"}': 10,
            'vhost_rng_guest_throttled_seconds_total{guest="vm1"}': 2.5,
            'vhost_rng_guest_starved_seconds_total{guest="vm1"}': 0.5,
            'vhost_rng_guest_kicks_total{guest="vm1"}': 2,
            'vhost_rng_guest_served{guest="vm1"}': 1, 'vhost_rng_guest_served{guest="vm2"}': 0,
            'vhost_rng_guest_broken{guest="vm1"}': 0, 'vhost_rng_guest_broken{guest="vm2"}': 1,
            'vhost_rng_guest_cap_bytes{guest="vm1"}': 1000,
            'vhost_rng_guest_info{guest="vm1",mode="server",socket="/run/vm1"}': 1,
            'vhost_rng_lcore_seconds_total{lcore="3",state="busy"}': 1.5,
            'vhost_rng_lcore_seconds_total{lcore="3",state="blocked"}': 5e-9,
            'vhost_rng_lcore_reseeds_total{lcore="3"}': 9,
            'vhost_rng_lcore_reseeds_total{lcore="4"}': 11,
            'vhost_rng_source_ok{file="/dev/urandom"}': 1,
            'vhost_rng_source_health_test_failures_total{file="/dev/urandom"}': 1,
            'vhost_rng_source_info{mode="drbg"}': 1,
            'vhost_rng_budget_bytes': 4096, 'vhost_rng_budget_period_seconds': 1.5,
            'vhost_rng_lcore_wake_delay_seconds_count{lcore="3"}': 6,
            'vhost_rng_lcore_wake_delay_seconds_bucket{lcore="3",le="+Inf"}': 6,
            'vhost_rng_guest_service_seconds_sum{guest="vm1"}': 9e-6}.items():
        assert abs(got[name] - value) < 1e-12, f'{name} is {got.get(name)}, not {value}'
    buckets = [value for name, value in got.items()
               if name.startswith('vhost_rng_guest_service_seconds_bucket{guest="vm1"')]
    assert buckets == [1, 1, 4, 6], buckets
    bounds = re.findall(r'guest_service_seconds_bucket{guest="vm1",le="(.*?)"}', text)
    assert bounds == ['2.56e-07', '5.12e-07', '1.024e-06', '+Inf'], bounds
    # Neither what has no limit nor who is gone is there.
    assert 'gone' not in text and 'vhost_rng_budget_requests' not in text, text
    assert not any('drawn' in name for name in got), text
    text = run('--once', '--telemetry-socket', fake.path)
    assert 'vhost_rng_guest_service_seconds_bucket' not in text


@suite.case('promtool finds nothing wrong with the metrics')
def _(env):
    need('promtool')
    fake = FakeTelemetry(env.path('telemetry'))
    text = run('--once', '--guest-histograms', '--telemetry-socket', fake.path)
    done = subprocess.run(['promtool', 'check', 'metrics'], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0 and done.stdout == '', done.stdout


@suite.case('promtool finds nothing wrong with the rules, and each alert fires when it must')
def _(env):
    need('promtool')
    for words in (['check', 'rules', RULES], ['test', 'rules', HERE + '/rules.test.yml']):
        done = subprocess.run(['promtool', *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stdout
    alerts = set(re.findall(r'- alert: (\w+)', read(RULES)))
    tests = read(HERE + '/rules.test.yml')
    assert all(tests.count(f'alertname: {alert}') == 2 for alert in alerts), alerts


@suite.case('rules and dashboard ask for metrics that there are')
def _(env):
    fake = FakeTelemetry(env.path('telemetry'))
    text = run('--once', '--guest-histograms', '--telemetry-socket', fake.path)
    there = {name.split('{')[0] for name in values_of(text)}
    dashboard = read(os.path.join(CONFIG, 'grafana-dashboard.json'))
    for content in (read(RULES), dashboard):
        asked = set(re.findall(r'\bvhost_rng_\w+', content))
        assert asked and asked <= there, f'there are no {asked - there}'
    panels = json.loads(dashboard)['panels']
    assert len({panel['id'] for panel in panels}) == len(panels) > 10
    for panel in panels:
        for other in panels:
            a, b = panel['gridPos'], other['gridPos']
            assert panel is other or a['x'] + a['w'] <= b['x'] or b['x'] + b['w'] <= a['x'] or \
                a['y'] + a['h'] <= b['y'] or b['y'] + b['h'] <= a['y'], (a, b)


@suite.case('a telemetry socket that is not there, or none')
def _(env):
    said = run('--once', '--telemetry-socket', env.path('nothing'), status=4)
    assert 'needs --telemetry' in said, said
    for hello in (b'hello', b'{}', b'[]'):
        fake = FakeTelemetry(env.path('fake'), hello)
        said = run('--once', '--telemetry-socket', fake.path, status=5)
        assert 'Traceback' not in said, said


@suite.case('bad usage is refused with status 2')
def _(env):
    for args in (['--listen', 'here'], ['--listen', '1.2.3.4:99999'], ['x'],
                 ['--control-socket', 'a', '--telemetry-socket', 'b'],
                 ['--control-socket', 'a', '--guest-histograms'], ['--onc']):
        assert 'dpdk-vhost-rng-exporter: ' in run(*args, status=2), args
    said = run('--listen', '192.0.2.1:1', status=1)
    assert 'cannot listen on 192.0.2.1:1' in said, said


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def fetch(url):
    """A page, or None: nobody is there (yet)."""
    try:
        with urllib.request.urlopen(url, timeout=LIVENESS_S) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return None


def serve(env, *args):
    """Starts it; returns its address, process and log."""
    address = f'127.0.0.1:{free_port()}'
    log = env.path('exporter.log')
    process = env.start([python(), EXPORTER, '--listen', address, *args], log)

    def is_there():
        assert process.poll() is None, read(log)
        return fetch(f'http://{address}/metrics')
    until('the exporter answers', is_there)
    return address, process, log


@suite.case('over the control socket of a daemon that goes and comes')
def _(env):
    daemon = env.guests(2, '-m', '1M', '-p', '1000', '--idle', 'adaptive')
    daemon.served(daemon.prefix + '1', '1', '--count', '5')
    address, process, log = serve(env, '--control-socket', daemon.control)

    def metric(name):
        return values_of(fetch(f'http://{address}/metrics')).get(name)
    until('all five requests are counted',
          lambda: metric('vhost_rng_guest_requests_total{guest="1"}') == 5)
    assert metric('vhost_rng_up') == 1
    assert metric('vhost_rng_guest_delivered_bytes_total{guest="1"}') == 320
    assert metric('vhost_rng_budget_bytes') == 1000000
    assert metric('vhost_rng_source_ok{file="/dev/urandom"}') == 1
    lcore = daemon.json('status')['status']['lcores'][0]['lcore']
    assert metric(f'vhost_rng_lcore_seconds_total{{lcore="{lcore}",state="busy"}}') > 0
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.wait(LIVENESS_S)
    assert metric('vhost_rng_up') == 0
    assert metric('vhost_rng_guest_requests_total{guest="1"}') is None
    assert metric('vhost_rng_up') == 0
    daemon.start()
    assert metric('vhost_rng_up') == 1
    # What is wrong is said once.
    assert read(log).count('control socket') == 1 and 'answers again' in read(log), read(log)
    process.terminate()
    assert process.wait(LIVENESS_S) == 0


def with_telemetry(env, *args):
    """A daemon with telemetry in a folder of its own, and the path of its socket."""
    folder = env.path('run')
    os.mkdir(folder)
    os.environ['RUNTIME_DIRECTORY'] = folder
    try:
        daemon = env.guests(2, '--telemetry', *args)
    finally:
        del os.environ['RUNTIME_DIRECTORY']
    return daemon, os.path.join(folder, 'dpdk/rte/dpdk_telemetry.v2')


@suite.case('over the telemetry socket of a daemon: the same as over its control socket, and more')
def _(env):
    daemon, path = with_telemetry(env, '-m', '1M', '--idle', 'adaptive')
    daemon.served(daemon.prefix + '1', '1', '--count', '5').wait(LIVENESS_S)
    until('the guest has gone', lambda: daemon.guest('1')['state'] == 'alone')
    by_control = values_of(run('--once', '--control-socket', daemon.control))
    by_telemetry = values_of(run('--once', '--guest-histograms', '--telemetry-socket', path))
    assert set(by_control) - set(by_telemetry) == set(), set(by_control) - set(by_telemetry)
    for name, value in by_control.items():
        if '{guest=' in name and 'seconds' not in name:
            assert by_telemetry[name] == value, name
    assert by_telemetry['vhost_rng_guest_requests_total{guest="1"}'] == 5
    assert any('wake_delay_seconds_bucket' in name for name in by_telemetry), by_telemetry


class Prometheus:
    """A real one that scrapes the exporter, with our rules."""

    def __init__(self, env, target):
        folder = env.path('prometheus')
        os.mkdir(folder)
        config = os.path.join(folder, 'prometheus.yml')
        with open(config, 'w') as file:
            json.dump({
                'global': {'scrape_interval': '1s', 'evaluation_interval': '1s'},
                'rule_files': [RULES],
                'scrape_configs': [{'job_name': 'rng',
                                    'static_configs': [{'targets': [target]}]}]}, file)
        self.address = f'127.0.0.1:{free_port()}'
        self.log = os.path.join(folder, 'log')
        self.process = env.start(['prometheus', f'--config.file={config}',
                                  f'--storage.tsdb.path={folder}/data',
                                  f'--web.listen-address={self.address}'], self.log)
        until('Prometheus is ready', self._is_ready, LIMIT_S)

    def _is_ready(self):
        assert self.process.poll() is None, read(self.log)
        return fetch(f'http://{self.address}/-/ready')

    def query(self, expression):
        """Its values."""
        page = fetch(f'http://{self.address}/api/v1/query?'
                     + urllib.parse.urlencode({'query': expression}))
        answer = json.loads(page)
        assert answer['status'] == 'success', page
        return [float(result['value'][1]) for result in answer['data']['result']]

    def alerts(self):
        page = json.loads(fetch(f'http://{self.address}/api/v1/alerts'))
        return {alert['labels']['alertname'] for alert in page['data']['alerts']}


@suite.case('a real Prometheus scrapes it, answers queries, and raises an alert')
def _(env):
    need('prometheus')
    python()
    daemon = env.guests(1, '--idle', 'adaptive')
    daemon.served(daemon.prefix + '0', '0', '--rate', '200', '--depth', '1')
    address, _, _ = serve(env, '--control-socket', daemon.control)
    prometheus = Prometheus(env, address)
    until('it is scraped', lambda: prometheus.query('vhost_rng_up') == [1])
    # 200 requests of 64 bytes a second; a busy machine may have fewer.
    rate = until('there is a rate', lambda: prometheus.query(
        'rate(vhost_rng_guest_delivered_bytes_total{guest="0"}[10s])'))[0]
    assert 0 < rate < 2 * 200 * 64, rate
    assert until('the rules are evaluated',
                 lambda: prometheus.query('count(vhost_rng:lcore_busy:ratio5m)')) == [1]
    assert prometheus.alerts() == set()
    daemon.process.send_signal(signal.SIGTERM)
    until('Prometheus knows that the daemon is gone',
          lambda: 'VhostRngDown' in prometheus.alerts())


suite.main(Env)

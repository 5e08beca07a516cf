#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of a running dpdk-vhost-rng for Prometheus: see --help. It needs prometheus_client
(Debian: python3-prometheus-client); what else it is made of is in the folder ctl."""

import os
import re
import signal
import sys
import threading

# No files of ours next to those of a package.
sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.realpath(__file__))
for place in (HERE, os.path.join(HERE, '@DATA_DIR@'),
              os.path.join(HERE, '..', 'share', 'dpdk-vhost-rng')):
    if os.path.isfile(os.path.join(place, 'ctl', 'protocol.py')):
        sys.path.insert(0, place)
        break
else:
    sys.exit(f'{sys.argv[0]}: its folder ctl is not there: install it again')

from ctl import protocol, telemetry  # noqa: E402
from ctl.arguments import Parser  # noqa: E402

LISTEN = '127.0.0.1:9878'
HELP = f"""\
usage: dpdk-vhost-rng-exporter.py [options]

Tells Prometheus what dpdk-vhost-rng does: http://{LISTEN}/metrics. The daemon
is asked at each scrape, over its telemetry socket (--telemetry of the daemon).

options:
      --telemetry-socket PATH
                        that socket (/run/dpdk-vhost-rng/dpdk/rte/dpdk_telemetry.v2
                        of the unit if it is there, or else where the EAL has it
                        for this user)
      --control-socket PATH
                        ask there instead; histograms are not told there
      --guest-histograms
                        a latency histogram of each guest, too: 27 more series each
      --listen ADDRESS:PORT
                        where Prometheus comes to ({LISTEN}; an IPv6
                        address in brackets)
      --once            print the metrics once, and end; status 4 without a daemon
  -h, --help            this text

Exit status: 0 after SIGINT or SIGTERM, 1 when it could not start, 2 for bad usage.
"""


class Main(Parser):
    def format_help(self):
        return HELP


def complain(text):
    print(f'dpdk-vhost-rng-exporter: {text}', file=sys.stderr, flush=True)


def address_of(text):
    match = re.fullmatch(r'(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):(\d{1,5})', text)
    if not match or not 0 <= int(match[3]) <= 65535:
        raise protocol.BadUsage(f'--listen {text}: not ADDRESS:PORT, such as {LISTEN}; see --help')
    return match[1] or match[2], int(match[3])


def parse(words):
    parser = Main(prog='dpdk-vhost-rng-exporter.py')
    where = parser.add_mutually_exclusive_group()
    where.add_argument('--telemetry-socket', metavar='PATH')
    where.add_argument('--control-socket', metavar='PATH')
    parser.add_argument('--guest-histograms', action='store_true')
    parser.add_argument('--listen', default=LISTEN)
    parser.add_argument('--once', action='store_true')
    args = parser.parse_args(words)
    args.address, args.port = address_of(args.listen)
    if args.control_socket and args.guest_histograms:
        raise protocol.BadUsage('--guest-histograms needs the telemetry socket; see --help')
    return args


def snapshot_of(args, metrics):
    """A function that asks the daemon, one scrape after the other."""
    lock = threading.Lock()
    if args.control_socket:
        ask, where = metrics.from_control, protocol.Client(args.control_socket)
    else:
        ask = metrics.from_telemetry
        where = telemetry.Telemetry(args.telemetry_socket or telemetry.default_path())

    def snapshot():
        with lock:
            try:
                return ask(where, args.guest_histograms)
            finally:
                # A daemon has room for a few clients only.
                where.close()
    return snapshot


def serve(args, client, registry):
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, frame: ended.set())
    try:
        client.start_http_server(args.port, args.address, registry)
    except OSError as error:
        complain(f'cannot listen on {args.listen}: {error.strerror or error}; choose another '
                 '--listen')
        return 1
    complain(f'metrics are at http://{args.listen}/metrics')
    ended.wait()
    return 0


def main(words):
    try:
        args = parse(words)
    except protocol.BadUsage as error:
        complain(error)
        return error.status
    try:
        import prometheus_client as client
        from ctl import metrics
    except ImportError:
        complain(f'{sys.executable} has no prometheus_client: apt-get install '
                 'python3-prometheus-client')
        return 1
    registry = client.CollectorRegistry()
    take = snapshot_of(args, metrics)
    if args.once:
        try:
            registry.register(metrics.Collector(lambda snapshot=take(): snapshot, complain))
        except protocol.Failure as error:
            complain(error)
            return error.status
        sys.stdout.write(client.generate_latest(registry).decode())
        return 0
    registry.register(metrics.Collector(take, complain))
    return serve(args, client, registry)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

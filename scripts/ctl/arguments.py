# SPDX-License-Identifier: BSD-3-Clause
"""The command line."""

import argparse
import re
import sys

from . import usage
from .protocol import BadUsage, default_path
from .top import SORTS

LEVELS = ('error', 'warning', 'notice', 'info', 'debug')
PREFIXES = {'': 1, 'k': 10**3, 'M': 10**6, 'G': 10**9, 'T': 10**12,
            'Ki': 2**10, 'Mi': 2**20, 'Gi': 2**30, 'Ti': 2**40}
SUFFIXES = [suffix for suffix in PREFIXES if suffix]
NUMBER_MAX = 2**63 - 1
LIBVIRT_XML = '''Print parts of a libvirt domain for a guest. On Debian libvirt runs QEMU as user
libvirt-qemu, a member of group kvm: start the daemon with --socket-group kvm, and let that user
search the directory of the socket. Where AppArmor confines QEMU, add the path of the socket,
followed by " rw,", as a line to /etc/apparmor.d/local/abstractions/libvirt-qemu.'''
NONE = 'none'
ANY = 'any'


class Parser(argparse.ArgumentParser):
    """One whose errors are as those of the other programs."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message):
        raise BadUsage(f'{message}; see --help')


class Main(Parser):
    def format_help(self):
        return usage.HELP


def _bytes(text):
    match = re.fullmatch(r'(\d+)([kMGT]i?|Ki)?', text)
    number = int(match[1]) * PREFIXES.get(match[2] or '', 0) if match else 0
    if not match or (match[2] or '') not in PREFIXES or number > NUMBER_MAX:
        raise argparse.ArgumentTypeError(
            f'"{text}" is not a number of bytes, such as 512, 64k or 1Mi')
    return number


def _whole(text):
    if not re.fullmatch(r'\d+', text) or int(text) > NUMBER_MAX:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number')
    return int(text)


def _or(word, kind):
    """A number, or None for this word."""
    def convert(text):
        return None if text == word else kind(text)
    return convert


def _within(kind, least, most):
    def convert(text):
        try:
            number = kind(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f'"{text}" is not a number from {least} to {most}')
        return number
    return convert


def _common(of_command):
    """Options that may stand before and after a command."""
    otherwise = argparse.SUPPRESS if of_command else None
    parser = Parser(add_help=False)
    parser.add_argument('-j', '--json', action='store_true',
                        default=otherwise or False, help='print JSON instead of text')
    parser.add_argument('--control-socket', metavar='PATH', default=otherwise or default_path(),
                        help='where the daemon listens')
    return parser


def _terms(parser, adding):
    """What was not given is not sent."""
    def option(name, kind, metavar, help):
        parser.add_argument(name, type=kind, metavar=metavar, default=argparse.SUPPRESS,
                            help=help)

    option('--weight', _whole, 'N', 'its part of the budget, 1 to 1000')
    option('--cap', _or(NONE, _bytes), 'BYTES', 'most bytes in a period, or none')
    option('--burst', _bytes, 'BYTES', 'what it may keep of its share')
    if adding:
        option('--burst-once', _bytes, 'BYTES', 'what it may have beyond its share, one time')
        option('--lcore', _or(ANY, _whole), 'N', 'which serves it, or any')
    else:
        option('--max-bytes', _or(NONE, _bytes), 'BYTES',
               'of all guests together in a period, or none')
        option('--max-requests', _or(NONE, _whole), 'N',
               'of all guests together in a period, or none')


def make():
    main = Main(prog='dpdk-vhost-rng-ctl.py', parents=[_common(False)])
    main.add_argument('-s', '--status', action='store_true')
    commands = main.add_subparsers(dest='command', metavar='COMMAND', parser_class=Parser)
    common = _common(True)

    def command(name, about):
        return commands.add_parser(name, description=about, parents=[common])

    command('status', 'Show the daemon, its sources, lcores and guests; or one guest.') \
        .add_argument('guest', metavar='GUEST', nargs='?')
    command('names', 'Show the names of the guests, one on a line.')
    command('version', 'Show the versions of the daemon, of DPDK and of the protocol.')
    top = command('top', 'Show who gets how much, live.')
    top.add_argument('--interval', metavar='SECONDS', type=_within(float, 0.1, 3600), default=1,
                     help='between two samples')
    top.add_argument('--sort', metavar='KEY', choices=SORTS, default='rate',
                     help=', '.join(SORTS))
    top.add_argument('--once', dest='batch', action='store_const', const=1,
                     help='print one frame without a terminal')
    top.add_argument('--batch', metavar='N', type=_within(int, 1, 10**9), help='print N frames')
    doctor = command('doctor', 'Say what of this host could be better. Changes nothing.')
    doctor.add_argument('--root', metavar='DIR', default='', help='look below it: for tests')

    add = command('add', 'Make a socket, and serve the guest that comes there.')
    add.add_argument('guest', metavar='GUEST')
    add.add_argument('socket', metavar='SOCKET')
    _terms(add, True)
    command('remove', 'Close connections and sockets of guests, and forget them.') \
        .add_argument('guest', metavar='GUEST', nargs='+')
    change = command('set', 'Change the terms of a guest; without GUEST, those of all together.')
    change.add_argument('guest', metavar='GUEST', nargs='?')
    _terms(change, False)
    move = command('move', 'Let this lcore serve a guest.')
    move.add_argument('guest', metavar='GUEST')
    move.add_argument('lcore', metavar='LCORE', type=_or(ANY, _whole), help='a number, or any')
    command('reseed', 'Reseed all DRBGs.')
    command('reload', 'Read the configuration of the daemon again.')
    command('log-level', 'Set how much the daemon logs.') \
        .add_argument('level', metavar='LEVEL', choices=LEVELS, help=', '.join(LEVELS))
    drain = command('drain', 'Serve guests until their front-ends leave, then remove them.')
    drain.add_argument('guest', metavar='GUEST', nargs='*')
    drain.add_argument('--all', action='store_true', help='the daemon ends with the last guest')
    drain.add_argument('--cancel', action='store_true', help='no, stay')

    for name, about in (('qemu-args', 'Print options of QEMU for a guest.'),
                        ('qemu-replug', 'Print QMP commands that unplug the device of qemu-args '
                         'and plug it in again.'),
                        ('libvirt-xml', LIBVIRT_XML)):
        snippet = command(name, about)
        snippet.add_argument('guest', metavar='GUEST')
        if name == 'qemu-args':
            snippet.add_argument('--memory', metavar='SIZE', default='1G',
                                 help='of the virtual machine')
    return main


def parse(words):
    parser = make()
    args = parser.parse_args(words)
    if args.status:
        if args.command not in (None, 'status'):
            raise BadUsage(f'--status and the command "{args.command}" exclude each other; '
                           'see --help')
        if args.command is None:
            args.command, args.guest = 'status', None
    if args.command is None:
        sys.stderr.write(parser.format_help())
        raise BadUsage('a command is missing')
    return args

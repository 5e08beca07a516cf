# SPDX-License-Identifier: BSD-3-Clause
"""The commands."""

import json
import os
import sys

from . import arguments, doctor, snippets, status, top
from .protocol import BadUsage, Client, Failure, Nonsense, Refused

TERMS = ('weight', 'cap', 'burst', 'burst_once', 'lcore', 'max_bytes', 'max_requests')


def given(args, names=TERMS):
    """Those of the options that were given."""
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def show(args, result, lines):
    """As JSON or as text."""
    if args.json:
        print(json.dumps(result, indent=2))
        return
    for line in lines:
        print(line)


def guest_of(client, name):
    return client.ask('guests', name=name)['guests'][0]


def place(guest):
    return f'lcore {guest["lcore"]}' + ('' if guest['pinned'] else ' (any)')


def do_status(args, client):
    if args.guest is not None:
        guest = guest_of(client, args.guest)
        show(args, guest, status.show_guest(guest))
        return 0
    version = client.ask('version')
    now = client.ask('status')
    guests = client.ask('guests')['guests']
    show(args, {'version': version, 'status': now, 'guests': guests},
         status.show(version, now, guests))
    return 0


def do_names(args, client):
    names = [guest['name'] for guest in client.ask('guests')['guests']]
    show(args, names, names)
    return 0


def do_version(args, client):
    version = client.ask('version')
    show(args, version, [f'dpdk-vhost-rng {version["program"]}, {version["dpdk"]}, '
                         f'protocol {version["protocol"]}'])
    return 0


def do_top(args, client):
    if args.json:
        raise BadUsage('top has no --json; status has')
    return top.batch(client, args) if args.batch else top.live(client, args)


def do_doctor(args, client):
    findings = doctor.examine(client, args.root)
    show(args, [finding._asdict() for finding in findings], doctor.report(findings))
    return doctor.status_of(findings)


def do_add(args, client):
    # The daemon's working directory is another one.
    guest = client.ask('add', name=args.guest, socket=os.path.abspath(args.socket), **given(args))
    show(args, guest, [f'added {guest["name"]} at {guest["socket"]}, {place(guest)}'])
    return 0


def each(args, client, command, done, **keys):
    """A command for several guests: what can be done is done, also when one is refused."""
    names = []
    for name in args.guest:
        try:
            client.ask(command, name=name, **keys)
        except Refused as error:
            complain(error)
        else:
            names.append(name)
    show(args, names, [f'{done} {name}' for name in names])
    return 0 if len(names) == len(args.guest) else Refused.status


def do_remove(args, client):
    return each(args, client, 'remove', 'removed')


def do_set(args, client):
    terms = given(args)
    of_all = [name for name in ('max_bytes', 'max_requests') if name in terms]
    if not terms:
        raise BadUsage('set needs one of --weight, --cap, --burst for a GUEST, or --max-bytes, '
                       '--max-requests without')
    if args.guest is None:
        if len(of_all) != len(terms):
            raise BadUsage('--weight, --cap and --burst are of a guest: name it')
        client.ask('set', **terms)
        budget = client.ask('status')['budget']
        show(args, budget, [f'budget: {status.budget_line(budget)}'])
        return 0
    if of_all:
        raise BadUsage('--max-bytes and --max-requests are of all guests: leave GUEST out')
    guest = client.ask('set', name=args.guest, **terms)
    show(args, guest, [f'{guest["name"]}: weight {guest["weight"]}, cap '
                       f'{status.limit(guest["cap"])}, burst {guest["burst"]}'])
    return 0


def do_move(args, client):
    guest = client.ask('move', name=args.guest, lcore=args.lcore)
    show(args, guest, [f'{guest["name"]}: {place(guest)}'])
    return 0


def plain(command, done, **keys):
    """A command that takes nothing more, and has nothing to show."""
    def do(args, client):
        result = client.ask(command, **{key: getattr(args, key) for key in keys})
        show(args, result, [done.format(**vars(args))])
        return 0
    return do


def do_drain(args, client):
    if args.all == bool(args.guest):
        raise BadUsage('drain needs names of guests, or --all: then the daemon ends with the last '
                       'one')
    keys = {'cancel': True} if args.cancel else {}
    done = 'not draining any more:' if args.cancel else 'draining'
    if args.guest:
        return each(args, client, 'drain', done, **keys)
    show(args, client.ask('drain', **keys), [f'{done} all'])
    return 0


def do_qemu_args(args, client):
    memory = snippets.check_memory(args.memory)
    guest = guest_of(client, args.guest)
    show(args, snippets.qemu_words(guest, memory), [snippets.qemu_args(guest, memory)])
    return 0


def do_qemu_replug(args, client):
    guest = guest_of(client, args.guest)
    show(args, snippets.qemu_replug(guest), snippets.qemu_replug_lines(guest))
    return 0


def do_libvirt_xml(args, client):
    if args.json:
        raise BadUsage('libvirt-xml is XML: it has no --json')
    print(snippets.libvirt_xml(guest_of(client, args.guest)))
    return 0


COMMANDS = {
    'status': do_status,
    'names': do_names,
    'version': do_version,
    'top': do_top,
    'doctor': do_doctor,
    'add': do_add,
    'remove': do_remove,
    'set': do_set,
    'move': do_move,
    'reseed': plain('reseed', 'reseeding'),
    'reload': plain('reload', 'the configuration was read again'),
    'log-level': plain('log-level', 'log level {level}', level=True),
    'drain': do_drain,
    'qemu-args': do_qemu_args,
    'qemu-replug': do_qemu_replug,
    'libvirt-xml': do_libvirt_xml,
}


def complain(error):
    print(f'dpdk-vhost-rng-ctl: {error}', file=sys.stderr)


def main(words):
    client = None
    try:
        args = arguments.parse(words)
        client = Client(args.control_socket)
        status = COMMANDS[args.command](args, client)
        sys.stdout.flush()
        return status
    except Failure as error:
        complain(error)
        return error.status
    except KeyError as error:
        complain(f'the daemon\'s answer lacks {error}: use the program that came with it')
        return Nonsense.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough; Python must not complain of it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        if client is not None:
            client.close()

# SPDX-License-Identifier: BSD-3-Clause
"""What of this host is as it should be for the daemon, what could be better, and the command that
does it. Looks only; with a daemon that answers also at what that has.

Verdicts: "ok"; "note", worth to know; "better", it works, and would be better otherwise; "wrong",
it will not work as it is.
"""

import stat
import textwrap
from collections import namedtuple

from .host import Host, cpu_list, size_name
from .protocol import Failure, Unreachable
from .snippets import QEMU, qemu_version
from .status import is_client
from .text import width_of_output

Finding = namedtuple('Finding', 'check verdict text command')

# The device became one of QEMU's vhost-user-base then, which cannot be started a second time.
QEMU_ABORTS_SINCE = (9, 0)

# docs/operations.md, "Sizing".
FILES_EACH, FILES_OTHERS = 14, 64
LOCKED_EACH_LCORE = 600 << 10

BOOT = 'on the kernel\'s command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)'


class Daemon:
    """What it says; None where it says nothing."""

    def __init__(self, client):
        self.version = self.status = self.trouble = None
        self.guests = []
        self.path = client.path
        try:
            self.version = client.ask('version')
            self.status = client.ask('status')
            self.guests = client.ask('guests')['guests']
        except Failure as error:
            self.trouble = error

    @property
    def pid(self):
        return self.status['pid'] if self.status else None

    def lcore_cpus(self):
        """The CPUs that poll."""
        lcores = self.status['lcores'] if self.status else []
        return sorted({lcore['cpu'] for lcore in lcores if lcore['cpu'] is not None})


def ok(check, text):
    return Finding(check, 'ok', text, None)


def note(check, text, command=None):
    return Finding(check, 'note', text, command)


def better(check, text, command):
    return Finding(check, 'better', text, command)


def wrong(check, text, command):
    return Finding(check, 'wrong', text, command)


def check_daemon(host, daemon):
    if daemon.status:
        yield ok('daemon', f'pid {daemon.pid}, version {daemon.version["program"]}, '
                           f'{len(daemon.guests)} guests')
        if daemon.status['draining']:
            yield note('daemon', 'it is being drained, and ends with the last guest',
                       'dpdk-vhost-rng-ctl.py drain --all --cancel')
    elif isinstance(daemon.trouble, Unreachable):
        yield note('daemon', f'{daemon.trouble}; what follows is about the host alone')
    else:
        yield wrong('daemon', f'{daemon.trouble}; a restart cuts its guests off',
                    'systemctl restart dpdk-vhost-rng')


def check_versions(host, daemon):
    if daemon.version:
        yield ok('DPDK', daemon.version['dpdk'])
    version = qemu_version(QEMU)
    if version is None:
        yield note('QEMU', f'there is no {QEMU} here', 'apt-get install qemu-system-x86')
    elif version < (7, 1):
        yield wrong('QEMU', f'{version[0]}.{version[1]} has no vhost-user-rng-pci, 7.2 has',
                    'apt-get install qemu-system-x86')
    else:
        yield from check_restarts(version, daemon)
    major, minor = host.kernel()
    if (major, minor) >= (6, 11):
        yield ok('kernel', f'{major}.{minor}: lcores draw from it without system calls')
    else:
        yield note('kernel', f'{major}.{minor}: --source-mode passthrough is nearly twice as fast '
                             'with 6.11 or newer; drbg does not care')


def check_restarts(version, daemon):
    """What this QEMU does when the daemon is restarted: docs/compatibility.md, "Restarts"."""
    name = f'{version[0]}.{version[1]}'
    clients = [guest['name'] for guest in daemon.guests if is_client(guest)]
    if version < QEMU_ABORTS_SINCE:
        yield note('QEMU', f'{name}: guests survive a restart of the daemon if QEMU makes the '
                           'sockets (server=on); others need their device unplugged and plugged '
                           'in again', 'dpdk-vhost-rng --client ...')
    elif clients:
        names = ', '.join(clients[:4]) + (f' and {len(clients) - 4} more' * (len(clients) > 4))
        yield better('QEMU', f'{name} aborts when the daemon comes back to a socket that QEMU made '
                             f'(server=on), as those of {names}: let the daemon make the sockets',
                     'dpdk-vhost-rng without --client; mode = server in its --config')
    else:
        yield note('QEMU', f'{name}: a restart of the daemon cuts guests off until their device is '
                           'unplugged and plugged in again; a reset of the guest before that '
                           'aborts QEMU', 'dpdk-vhost-rng-ctl.py qemu-replug GUEST')


def check_cpu(host, daemon):
    flags = host.cpu_flags()
    if 'aes' not in flags:
        yield better('AES', f'{host.cpu_model()} has no instructions for AES (or hides them): '
                            'drbg is slow', 'choose a CPU model that has them (QEMU: -cpu host)')
    elif 'avx512f' in flags:
        yield ok('AES', f'aes{", vaes" if "vaes" in flags else ""} and AVX-512: drbg at full speed')
    else:
        yield note('AES', 'aes without AVX-512: libcrypto makes the keystream, at half the rate')
    if 'waitpkg' in flags:
        yield ok('idle', 'UMWAIT: --idle pause saves power')
    clock = host.read('/sys/devices/system/clocksource/clocksource0/current_clocksource', 'unknown')
    if clock in ('tsc', 'kvm-clock', 'arch_sys_counter', 'hyperv_clocksource_tsc_page'):
        yield ok('clock', clock)
    elif clock != 'unknown':
        yield better('clock', f'{clock} takes a system call for each look at it',
                     f'clocksource=tsc {BOOT}')


def check_polling_cpus(host, daemon):
    online = host.online()
    if len(online) < 2:
        yield better('CPUs', 'there is one: lcores share it with all else',
                     'give the machine a second one')
        return
    cpus = daemon.lcore_cpus()
    if not cpus:
        # The daemon would take the last one.
        cpus = [max(host.isolated() & online or online)]
    for cpu in cpus:
        yield from check_one_cpu(host, cpu)


def check_one_cpu(host, cpu):
    name = f'CPU {cpu}'
    there = f'/sys/devices/system/cpu/cpu{cpu}'
    found = []
    if cpu not in host.isolated():
        found.append(better(name, 'polls, or would, and is not isolated',
                            f'isolcpus={cpu} nohz_full={cpu} rcu_nocbs={cpu} {BOOT}'))
    elif cpu not in host.cpus('/sys/devices/system/cpu/nohz_full'):
        found.append(better(name, 'is isolated and has a timer tick', f'nohz_full={cpu} {BOOT}'))
    governor = host.read(f'{there}/cpufreq/scaling_governor', 'performance')
    if governor != 'performance':
        found.append(better(name, f'governor {governor} slows it',
                            f'cpupower -c {cpu} frequency-set -g performance'))
    others = host.cpus(f'{there}/topology/thread_siblings_list') - {cpu}
    if others:
        found.append(note(name, f'shares its core with CPU {cpu_list(others)}: best kept idle',
                          f'echo 0 > /sys/devices/system/cpu/cpu{min(others)}/online'))
    return found or [ok(name, 'isolated, without a tick, governor performance')]


def check_numa(host, daemon):
    nodes = host.nodes()
    if len(nodes) < 2:
        yield ok('NUMA', 'one node')
        return
    used = {host.node_of(cpu) for cpu in daemon.lcore_cpus()}
    if not used:
        yield note('NUMA', f'nodes {cpu_list(nodes)}: choose lcores on the node of the guests\' '
                           'memory', 'dpdk-vhost-rng --lcores LIST')
    elif len(used) < len(nodes):
        yield note('NUMA', f'lcores on node {cpu_list(used)} of {cpu_list(nodes)}: keep the memory '
                           'of guests there, or poll on each node',
                   f'numactl --membind={min(used)} {QEMU} ...')
    else:
        yield ok('NUMA', f'lcores on all nodes, {cpu_list(nodes)}')


def check_hugepages(host, daemon):
    pages = [(node, kb, total, free) for node, kb, total, free in host.hugepages() if total]
    if not pages:
        yield ok('hugepages', 'none reserved, and none needed: only EAL options such as '
                              '--in-memory, and guests that want them, take some')
    for node, kb, total, free in pages:
        where = '' if node is None else f' on node {node}'
        text = f'{total} of {size_name(kb)}{where}, {free} free'
        if free == 0:
            yield note('hugepages', f'{text}: a guest or a daemon that wants them does not start',
                       f'dpdk-vhost-rng-setup.sh --hugepages {2 * total}x{size_name(kb)}'
                       f'{"" if node is None else f"@{node}"}')
        else:
            yield ok('hugepages', text)


def check_limits(host, daemon):
    who = 'the daemon' if daemon.pid else 'a daemon that is started here'
    limits = host.limits(daemon.pid or 'self')
    if not limits:
        yield note('limits', f'those of {who} cannot be read: use sudo')
        return
    guests = max(len(daemon.guests), 1)
    lcores = max(len(daemon.status['lcores']) if daemon.status else 0, 1)
    for check, limit, need, unit, way in (
            ('open files', limits.get('open files'), FILES_EACH * guests + FILES_OTHERS, '',
             'LimitNOFILE={} in the unit (systemctl edit dpdk-vhost-rng), or ulimit -n {}'),
            ('locked memory', limits.get('locked memory'), LOCKED_EACH_LCORE * lcores, ' bytes',
             'LimitMEMLOCK={} in the unit (systemctl edit dpdk-vhost-rng)')):
        if not limit:
            continue
        hard = limit[-1]
        # root needs no limit for memory, but for a capability that the unit takes away.
        if hard is None or hard >= need:
            more = '' if hard is None or check != 'open files' else \
                f', enough for {(hard - FILES_OTHERS) // FILES_EACH} guests'
            yield ok(check, f'{who} may have {"any number" if hard is None else hard}{unit}{more}')
        elif check == 'locked memory' and host.swap_kb() == 0:
            yield note(check, f'{who} may have {hard}{unit} and wants {need}; there is no swap, so '
                              'nothing of it gets there', way.format(need, need))
        else:
            yield better(check, f'{who} may have {hard}{unit} and needs {need}',
                         way.format(need, need))


def rights(host, path, status):
    return (f'user {host.name_of("passwd", status.st_uid)}, group '
            f'{host.name_of("group", status.st_gid)}, mode {stat.S_IMODE(status.st_mode):o}')


def check_sockets(host, daemon):
    status = host.stat(daemon.path)
    if status is not None:
        if stat.S_IMODE(status.st_mode) & 0o077:
            yield better('control', f'{daemon.path} is open to others: '
                                    f'{rights(host, daemon.path, status)}',
                         f'chmod 0600 {daemon.path}')
        else:
            yield ok('control', f'{daemon.path}: {rights(host, daemon.path, status)}')
    if not daemon.guests:
        directory = host.stat('/run/dpdk-vhost-rng')
        if directory is None:
            yield note('sockets', 'there is no /run/dpdk-vhost-rng for them',
                       'dpdk-vhost-rng-setup.sh --group kvm')
        else:
            yield ok('sockets', f'/run/dpdk-vhost-rng: '
                                f'{rights(host, "/run/dpdk-vhost-rng", directory)}')
    yield from check_guest_sockets(host, daemon)


def check_guest_sockets(host, daemon):
    groups = {}
    for guest in daemon.guests:
        status = None if is_client(guest) else host.stat(guest['socket'])
        if status is not None:
            groups.setdefault(rights(host, guest['socket'], status), []).append(guest)
    for text, guests in groups.items():
        names = ', '.join(guest['name'] for guest in guests[:4])
        names += f' and {len(guests) - 4} more' if len(guests) > 4 else ''
        mode = int(text.rsplit(' ', 1)[1], 8)
        if mode & 0o002:
            yield better('sockets', f'{names}: anybody may connect: {text}',
                         '--socket-mode 0660 --socket-group kvm of the daemon')
        elif not mode & 0o020:
            yield note('sockets', f'{names}: only a QEMU of that user (or root) reaches it: {text}',
                       '--socket-mode 0660 --socket-group kvm of the daemon')
        else:
            yield ok('sockets', f'{names}: {text}')


def check_sandbox(host, daemon):
    """What the daemon gave up."""
    if not daemon.status:
        return
    if host.process(daemon.pid).get('Uid', '').split()[:1] == ['0']:
        yield note('sandbox', 'the daemon runs as root', 'systemctl start dpdk-vhost-rng')
    states = {}
    for part in daemon.status['sandbox']:
        states.setdefault(part['state'], []).append(part['part'])
        if part['state'] == 'missing':
            yield better('sandbox', f'{part["part"]} is missing: {part["why"]}',
                         'see "What the process gives up" in docs/security.md')
    if 'off' in states:
        yield note('sandbox', f'switched off: {", ".join(states["off"])}',
                   'dpdk-vhost-rng --sandbox on')
    refused = daemon.status['refused-calls']
    if refused:
        yield better('sandbox', f'{refused} system calls were refused, and there should be none',
                     'journalctl -u dpdk-vhost-rng; report which ones')
    if 'in-force' in states:
        yield ok('sandbox', f'in force: {", ".join(states["in-force"])}')


def check_source(host, daemon):
    for source in daemon.status['sources'] if daemon.status else []:
        text = f'{source["file"]}: {source["state"]}'
        if source['state'] == 'ok':
            yield ok('source', text)
        else:
            yield better('source', text, 'see "What the log says" in docs/operations.md')


CHECKS = (check_daemon, check_source, check_versions, check_cpu, check_polling_cpus, check_numa,
          check_hugepages, check_limits, check_sockets, check_sandbox)


def examine(client, root):
    host = Host(root)
    daemon = Daemon(client)
    return [finding for check in CHECKS for finding in check(host, daemon)]


def report(findings):
    """Lines, as wide as the terminal at most."""
    column = max(len(finding.check) for finding in findings)
    room = (width_of_output() or 1000) - column - 10
    for finding in findings:
        head = f'{finding.check:{column}}  {finding.verdict:6}  '
        for line in textwrap.wrap(finding.text, max(room, 20)):
            yield head + line
            head = ' ' * len(head)
        if finding.command:
            # Not wrapped: it is to be pasted.
            yield f'{head}-> {finding.command}'


def status_of(findings):
    return 3 if any(finding.verdict in ('better', 'wrong') for finding in findings) else 0

# SPDX-License-Identifier: BSD-3-Clause
"""What to paste so that a virtual machine gets a guest's device, and gets it back after a restart
of the daemon.

In server mode the daemon has made the socket and the VMM connects; in client mode the VMM makes
it (server=on) and the daemon connects.
"""

import json
import re
import shlex
import subprocess
from xml.sax.saxutils import quoteattr

from .protocol import BadUsage
from .status import is_client

QEMU = 'qemu-system-x86_64'
DRIVER = 'vhost-user-rng-pci'
MEMORY_FORM = r'\d{1,15}[KMGT]?'
# Linux needs two for MSI-X (configuration, queue); with QEMU's default, 1, the guest uses INTx.
VECTORS = 2
# A slot of the root bus of q35 and pc that libvirt assigns last, if ever.
LIBVIRT_ADDR = '0x1e'
# The root port's chassis number: QEMU refuses two ports with the same chassis and slot, and libvirt
# and operators number theirs from 1.
CHASSIS = 200


def check_memory(size):
    if not re.fullmatch(MEMORY_FORM, size):
        raise BadUsage(f'--memory {size}: QEMU takes a number with K, M, G or T, such as 1G')
    return size


def qemu_version(program):
    """(major, minor), or None: it is not there, or says something else."""
    try:
        done = subprocess.run([program, '--version'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r'QEMU emulator version (\d+)\.(\d+)', done.stdout)
    return (int(match[1]), int(match[2])) if match else None


def _chardev(guest):
    # A comma within a value is written twice.
    path = guest['socket'].replace(',', ',,')
    chardev = f'socket,id={_identifier(guest)},path={path}'
    if is_client(guest):
        chardev += ',server=on'
    return ['-chardev', chardev]


def _identifier(guest):
    """QEMU's ids begin with a letter, and then take what a guest's name has."""
    return f'rng-{guest["name"]}'


def qemu_words(guest, memory):
    """The words of QEMU's command line. The guest's memory must be shared with the daemon. The
    device is behind a root port, because QEMU cannot unplug devices of q35's root bus."""
    name = _identifier(guest)
    return ['-m', memory,
            '-object', f'memory-backend-memfd,id=mem,size={memory},share=on',
            '-machine', 'q35,memory-backend=mem',
            *_chardev(guest),
            '-device', f'pcie-root-port,id={name}-port,chassis={CHASSIS}',
            '-device', f'{DRIVER},id={name}-dev,chardev={name},bus={name}-port,vectors={VECTORS}']


def qemu_args(guest, memory):
    """The same for a shell, an option on each line."""
    words = qemu_words(guest, memory)
    return ' \\\n'.join(f'{words[i]} {shlex.quote(words[i + 1])}'
                        for i in range(0, len(words), 2))


def qemu_replug(guest):
    """The QMP commands that unplug the device of qemu_words() and plug it in again."""
    name = _identifier(guest)
    socket = {'addr': {'type': 'unix', 'data': {'path': guest['socket']}},
              'server': is_client(guest)}
    if is_client(guest):
        # Without it chardev-add returns before the daemon has connected, and device_add fails.
        socket['wait'] = True
    return [
        {'execute': 'device_del', 'arguments': {'id': f'{name}-dev'}},
        {'execute': 'chardev-remove', 'arguments': {'id': name}},
        {'execute': 'chardev-add', 'arguments': {
            'id': name, 'backend': {'type': 'socket', 'data': socket}}},
        {'execute': 'device_add', 'arguments': {
            'driver': DRIVER, 'id': f'{name}-dev', 'chardev': name,
            'bus': f'{name}-port', 'vectors': VECTORS}}]


def qemu_replug_lines(guest):
    return [json.dumps(command) for command in qemu_replug(guest)]


# Two dashes in a row would end a comment of XML early, so options are named without theirs.
LIBVIRT_RIGHTS_SERVER = """\
     Rights: libvirt runs QEMU as user libvirt-qemu on Debian, a member of group kvm. The socket
     needs that group and mode 0660 (the daemon's option socket-group=kvm), and its directory must
     be searchable for that user. Where AppArmor confines QEMU, add the socket's path with " rw,"
     after it as a line to /etc/apparmor.d/local/abstractions/libvirt-qemu."""
LIBVIRT_RIGHTS_CLIENT = """\
     Rights: QEMU makes the socket, as user libvirt-qemu on Debian, so that user must be able to
     write to its directory, and the daemon to the socket. Where AppArmor confines QEMU, add the
     socket's path with " rw," after it as a line to
     /etc/apparmor.d/local/abstractions/libvirt-qemu."""


def libvirt_xml(guest):
    """Return the parts of a libvirt domain that the guest's device needs.

    libvirt has no element for a vhost-user RNG, so the device goes through to QEMU. QEMU creates
    devices with JSON arguments after those of libvirt, and plain ones before: these would take the
    slots that libvirt 9.0 assigns to its own."""
    words = [*_chardev(guest), '-device',
             json.dumps({'driver': DRIVER, 'chardev': _identifier(guest), 'vectors': VECTORS,
                         'addr': LIBVIRT_ADDR}, separators=(',', ':'))]
    args = '\n'.join(f'    <qemu:arg value={quoteattr(word)}/>' for word in words)
    rights = LIBVIRT_RIGHTS_CLIENT if is_client(guest) else LIBVIRT_RIGHTS_SERVER
    return f"""\
<!-- Merge with the domain (virsh edit): the xmlns:qemu of its first element, the memory's
     access mode, and the arguments. If slot {LIBVIRT_ADDR} is in use, choose another one for addr.
{rights} -->
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <qemu:commandline>
{args}
  </qemu:commandline>
</domain>"""

# SPDX-License-Identifier: BSD-3-Clause
"""What to paste so that a virtual machine gets a guest's device.

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
# QEMU tries again after so long.
RECONNECT_S = 1


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


def _reconnect(guest, program):
    """The words for the chardev that let QEMU connect again when the daemon was restarted."""
    if is_client(guest):
        raise BadUsage(f'--reconnect: the daemon connects to {guest["socket"]}, and does so again '
                       'by itself; leave it out')
    version = qemu_version(program)
    if version is None:
        raise BadUsage(f'--reconnect: {program} does not say its version, on which it depends: '
                       'name another one with --qemu')
    if version < (8, 2):
        raise BadUsage(f'--reconnect: QEMU {version[0]}.{version[1]} aborts when the device has '
                       'it: use 8.2 or newer, or --client of the daemon')
    if version < (9, 2):
        return f',reconnect={RECONNECT_S}'
    return f',reconnect-ms={1000 * RECONNECT_S}'


def _chardev(guest, identifier, reconnect, program):
    # A comma within a value is written twice.
    path = guest['socket'].replace(',', ',,')
    chardev = f'socket,id={identifier},path={path}'
    if is_client(guest):
        chardev += ',server=on'
    if reconnect:
        chardev += _reconnect(guest, program)
    return chardev


def _identifier(guest):
    """QEMU's ids begin with a letter, and then take what a guest's name has."""
    return f'rng-{guest["name"]}'


def qemu_words(guest, memory, reconnect, program):
    """The words of QEMU's command line. The guest's memory must be shared with the daemon."""
    return ['-m', memory,
            '-object', f'memory-backend-memfd,id=mem,size={memory},share=on',
            '-machine', 'q35,memory-backend=mem',
            '-chardev', _chardev(guest, _identifier(guest), reconnect, program),
            '-device', f'{DRIVER},chardev={_identifier(guest)},vectors={VECTORS}']


def qemu_args(guest, memory, reconnect, program=QEMU):
    """The same for a shell, an option on each line."""
    words = qemu_words(guest, memory, reconnect, program)
    return ' \\\n'.join(f'{words[i]} {shlex.quote(words[i + 1])}'
                        for i in range(0, len(words), 2))


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


def libvirt_xml(guest, reconnect, program=QEMU):
    """Return the parts of a libvirt domain that the guest's device needs.

    libvirt has no element for a vhost-user RNG, so the device goes through to QEMU. QEMU creates
    devices with JSON arguments after those of libvirt, and plain ones before: these would take the
    slots that libvirt 9.0 assigns to its own."""
    identifier = _identifier(guest)
    words = ['-chardev', _chardev(guest, identifier, reconnect, program),
             '-device', json.dumps({'driver': DRIVER, 'chardev': identifier, 'vectors': VECTORS,
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

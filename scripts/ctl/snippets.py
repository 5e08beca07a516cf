# SPDX-License-Identifier: BSD-3-Clause
"""What to paste so that a virtual machine gets a guest's device.

In server mode the daemon has made the socket and the VMM connects; in client mode the VMM makes
it (server=on) and the daemon connects.
"""

import re
import shlex
import subprocess
from xml.sax.saxutils import quoteattr

from .protocol import BadUsage
from .status import is_client

QEMU = 'qemu-system-x86_64'
MEMORY_FORM = r'\d{1,15}[KMGT]?'
# Linux needs two for MSI-X (configuration, queue); with QEMU's default, 1, the guest uses INTx.
VECTORS = 2
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


def _device(guest, identifier, reconnect, program):
    # A comma within a value is written twice.
    path = guest['socket'].replace(',', ',,')
    chardev = f'socket,id={identifier},path={path}'
    if is_client(guest):
        chardev += ',server=on'
    if reconnect:
        chardev += _reconnect(guest, program)
    return ['-chardev', chardev,
            '-device', f'vhost-user-rng-pci,chardev={identifier},vectors={VECTORS}']


def _identifier(guest):
    """QEMU's ids begin with a letter, and then take what a guest's name has."""
    return f'rng-{guest["name"]}'


def qemu_words(guest, memory, reconnect, program):
    """The words of QEMU's command line. The guest's memory must be shared with the daemon."""
    return ['-m', memory,
            '-object', f'memory-backend-memfd,id=mem,size={memory},share=on',
            '-machine', 'q35,memory-backend=mem',
            *_device(guest, _identifier(guest), reconnect, program)]


def qemu_args(guest, memory, reconnect, program=QEMU):
    """The same for a shell, an option on each line."""
    words = qemu_words(guest, memory, reconnect, program)
    return ' \\\n'.join(f'{words[i]} {shlex.quote(words[i + 1])}'
                        for i in range(0, len(words), 2))


def libvirt_xml(guest, reconnect, program=QEMU):
    """libvirt has no element for a vhost-user RNG, so the device goes through to QEMU."""
    words = _device(guest, _identifier(guest), reconnect, program)
    args = '\n'.join(f'    <qemu:arg value={quoteattr(word)}/>' for word in words)
    return f"""\
<!-- Merge with the domain (virsh edit): the xmlns:qemu of its first element, the memory's
     access mode, and the arguments. -->
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <memoryBacking>
    <source type='memfd'/>
    <access mode='shared'/>
  </memoryBacking>
  <qemu:commandline>
{args}
  </qemu:commandline>
</domain>"""

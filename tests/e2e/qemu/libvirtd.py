# SPDX-License-Identifier: BSD-3-Clause
"""A libvirtd of the test's own, and domains that it runs.

libvirtd runs as root, as on a host, in mount, network and PID namespaces: it has the paths of a
system instance, but sees no domains, networks, D-Bus and configuration of this machine, leaves
nothing behind, and ends with all its QEMUs when the test ends. QEMU runs as libvirt-qemu, which
Debian's package libvirt-daemon-system makes; where that is not installed, the user exists in the
namespace alone. QEMU is not confined by AppArmor here.
"""

import glob
import grp
import os
import pwd
import shutil
import socket
import stat
import subprocess
import xml.etree.ElementTree as ElementTree

import guest
import tap
from cases import die_with_parent

# A member of it may use the sockets: the recipe's group.
GROUP = 'kvm'
USER = 'libvirt-qemu'
USER_UID = 64055
START_S = 30
NAMESPACES = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
# As scripts/guest-boot.sh has them for TCG. The first serial port is the console, the second the
# shell.
KERNEL_WORDS = ('console=ttyS0 quiet loglevel=5 panic=-1 rng_core.default_quality=0 '
                'tsc=unstable clocksource=hpet vrng.tty=ttyS1')
QEMU_SPACE = 'http://libvirt.org/schemas/domain/qemu/1.0'

# $1: the directory. The shell is process 1 of the namespace and reaps the QEMUs that libvirtd has
# detached; without that, libvirt waits 40 s for each. There is no KVM: if QEMU's user may not use
# /dev/kvm, libvirt 9.0 probes QEMU's features anew for each query, which adds 16 s to each start.
# The mount on /dev/kvm is the reason for "namespaces".
SCRIPT = '''
set -eu
for dir in /run /var/lib /var/cache /etc/libvirt; do
    mount -t tmpfs tmpfs "$dir"
done
mount -t sysfs sysfs /sys
mount --bind "$1/log" /var/log
for file in passwd group; do
    mount --bind "$1/$file" "/etc/$file"
done
if [ -e /dev/kvm ]; then
    mount --bind "$1/no-kvm" /dev/kvm
fi
cat >/etc/libvirt/qemu.conf <<CONF
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
CONF
libvirtd --config "$1/libvirtd.conf" &
wait $!
'''


def require():
    """Raise Skip unless libvirtd can be started here."""
    if os.geteuid() != 0:
        raise tap.Skip('not root: libvirtd of the system runs as root, and starts QEMU as another '
                       'user')
    for program in ('libvirtd', 'virsh'):
        if shutil.which(program) is None:
            raise tap.Skip(f'no {program}; scripts/install-deps.sh libvirt installs it')
    done = subprocess.run([*NAMESPACES, 'mount', '-t', 'tmpfs', 'tmpfs', '/run'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise tap.Skip(f'no namespaces for libvirtd: {done.stdout}')
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        raise tap.Skip(f'no group {GROUP}, which the packages of QEMU make') from None


def _write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def _add_user(directory):
    """Copies of /etc/passwd and /etc/group that have QEMU's user, as Debian's package makes it."""
    with open('/etc/passwd') as file:
        passwd = file.read()
    with open('/etc/group') as file:
        group = file.read()
    try:
        pwd.getpwnam(USER)
    except KeyError:
        passwd += (f'{USER}:x:{USER_UID}:{grp.getgrnam(GROUP).gr_gid}::/var/lib/libvirt:'
                   '/usr/sbin/nologin\n')
    try:
        grp.getgrnam(USER)
    except KeyError:
        group += f'{USER}:x:{USER_UID}:{USER}\n'
    _write(os.path.join(directory, 'passwd'), passwd)
    _write(os.path.join(directory, 'group'), group)


def open_to_group(directory):
    """Let the group search the directory, as the recipe says, and check that it can."""
    os.chown(directory, 0, grp.getgrnam(GROUP).gr_gid)
    os.chmod(directory, 0o750)
    parent = os.path.dirname(os.path.realpath(directory))
    while not os.path.ismount(parent) and parent != '/':
        if not os.stat(parent).st_mode & stat.S_IXOTH:
            raise tap.Skip(f'{USER} cannot search {parent}; set TMPDIR to another directory')
        parent = os.path.dirname(parent)


class Libvirtd(guest._Process):
    """libvirtd; its socket, and all that its domains need, are in `directory`."""

    def __init__(self, directory):
        super().__init__('libvirtd', directory)
        self.directory = directory
        self.uri = f'qemu:///system?socket={directory}/libvirt-sock'
        os.mkdir(os.path.join(directory, 'log'))
        _add_user(directory)
        no_kvm = os.path.join(directory, 'no-kvm')
        _write(no_kvm, '')
        os.chmod(no_kvm, 0)
        _write(os.path.join(directory, 'libvirtd.conf'), f'unix_sock_dir = "{directory}"\n'
               'unix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n')
        # libvirt gives the files of a domain to QEMU's user, so the build's own are not used.
        for file in ('vmlinuz', 'initramfs.cpio.gz'):
            shutil.copy(os.path.join(guest.GUEST_DIR, file), directory)
        self._spawn([*NAMESPACES, '--propagation', 'private', 'sh', '-c', SCRIPT, 'sh', directory])
        try:
            guest.wait_for(self._answers, START_S, 'an answer of libvirtd')
        except BaseException:
            self.kill()
            raise

    def _answers(self):
        if not self.alive:
            raise guest.Broken(f'libvirtd ended with {self.returncode}: '
                               + ' | '.join(self.tail(5)))
        return self.virsh('version')[0] == 0

    def virsh(self, *words):
        """The exit status, and what virsh said."""
        done = subprocess.run(['virsh', '--quiet', '--connect', self.uri, *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False,
                              timeout=guest.COMMAND_S, preexec_fn=die_with_parent)
        return done.returncode, done.stdout

    def must(self, *words):
        """virsh() of a command that must succeed."""
        status, said = self.virsh(*words)
        assert status == 0, f'virsh {" ".join(words)}: {tap.one_line(said)}'
        return said

    def make_xml(self, name, machine, recipe):
        """Put a domain together as a user does: a machine, and what the recipe has.

        It runs under TCG, so that the test needs no KVM."""
        ElementTree.register_namespace('qemu', QEMU_SPACE)
        domain = ElementTree.fromstring(recipe)
        domain.set('type', 'qemu')
        rest = ElementTree.fromstring(f'''<domain>
            <name>{name}</name>
            <memory unit='MiB'>256</memory>
            <os>
              <type arch='x86_64' machine='{machine}'>hvm</type>
              <kernel>{self.directory}/vmlinuz</kernel>
              <initrd>{self.directory}/initramfs.cpio.gz</initrd>
              <cmdline>{KERNEL_WORDS}</cmdline>
            </os>
            <features><acpi/><apic/></features>
            <devices>
              <interface type='user'><model type='virtio'/></interface>
              <serial type='file'><source path='{self.directory}/{name}.console'/></serial>
              <serial type='unix'>
                <source mode='bind' path='{self.directory}/{name}.shell'/>
              </serial>
            </devices>
        </domain>''')
        for element in reversed(rest):
            domain.insert(0, element)
        path = os.path.join(self.directory, f'{name}.xml')
        ElementTree.ElementTree(domain).write(path)
        return path


class Domain(guest.Guest):
    """A guest that libvirt runs, from these parts of a domain. It has no QMP: that is libvirt's."""

    def __init__(self, libvirtd, name, machine, recipe):
        guest._Process.__init__(self, name, libvirtd.directory)
        self._libvirtd = libvirtd
        self.log_path = os.path.join(libvirtd.directory, f'log/libvirt/qemu/{name}.log')
        self.console_path = os.path.join(libvirtd.directory, f'{name}.console')
        self._shell = self._qmp = self._trouble = None
        self._received = b''
        self._token = 0
        libvirtd.must('define', libvirtd.make_xml(name, machine, recipe))
        try:
            libvirtd.must('start', name)
            self._shell = socket.socket(socket.AF_UNIX)
            self._shell.connect(os.path.join(libvirtd.directory, f'{name}.shell'))
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise

    @property
    def alive(self):
        return self._libvirtd.virsh('domstate', self.name)[1].strip() == 'running'

    @property
    def returncode(self):
        return self._libvirtd.virsh('domstate', '--reason', self.name)[1].strip()

    def kill(self):
        self._libvirtd.virsh('destroy', self.name)
        self._libvirtd.virsh('undefine', self.name)

    def uids(self):
        """The user ids that its QEMU runs as."""
        for path in glob.glob('/proc/[0-9]*/cmdline'):
            try:
                with open(path, 'rb') as file:
                    words = file.read()
                if f'guest={self.name},'.encode() not in words:
                    continue
                with open(os.path.join(os.path.dirname(path), 'status')) as file:
                    return {int(uid) for line in file if line.startswith('Uid:')
                            for uid in line.split()[1:]}
            except OSError:
                pass  # another process, which has ended
        raise guest.Broken(f'{self.name}: no QEMU')

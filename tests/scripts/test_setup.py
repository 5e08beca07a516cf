#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dpdk-vhost-rng-setup.sh: on a folder that looks like a host with two NUMA nodes, and as root on
this host's own hugepages, which are as before afterwards.

meson sets VRNG_SCRIPTS, the folder of the scripts, and VRNG_TESTS, that of tap.py.
"""

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.environ['VRNG_TESTS'])
import tap  # noqa: E402

SETUP = os.path.join(os.environ['VRNG_SCRIPTS'], 'dpdk-vhost-rng-setup.sh')
# Ends what hangs.
LIMIT_S = 60

suite = tap.Suite()


def run(*args, cwd=None):
    """Exit status, and all that was said."""
    done = subprocess.run([SETUP, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, cwd=cwd,
                          env={**os.environ, 'LC_ALL': 'C'})
    return done.returncode, done.stdout


def read(path):
    with open(path) as file:
        return file.read().strip()


class Host:
    """A folder that looks like a host to the script. The kernel's counters are plain files."""

    FILES = {
        'etc/group': 'root:x:0:\nkvm:x:106:\n',
        'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nvrng:x:990:990::/:/bin/false\n',
        'proc/meminfo': 'MemTotal:  1024 kB\nHugepagesize:       2048 kB\n',
        'proc/cmdline': 'quiet isolcpus=2-3 nohz_full=2,3 rcu_nocbs=2-3\n',
        'sys/devices/system/cpu/online': '0-3\n',
        'sys/devices/system/cpu/isolated': '2-3\n',
        'sys/devices/system/cpu/nohz_full': '2-3\n',
        'sys/devices/system/cpu/cpu3/topology/thread_siblings_list': '3\n',
        'sys/devices/system/cpu/cpu2/topology/thread_siblings_list': '2\n',
        'sys/devices/system/cpu/cpu2/cpufreq/scaling_governor': 'powersave\n',
        'sys/devices/system/node/online': '0-1\n',
    }

    def __init__(self):
        self._dir = tempfile.TemporaryDirectory(prefix='vrng-setup-')
        self.root = self._dir.name
        for path, text in self.FILES.items():
            self.write(path, text)
        for place in ('devices/system/node/node0/hugepages', 'devices/system/node/node1/hugepages',
                      'kernel/mm/hugepages'):
            for kb in (2048, 1048576):
                for counter in ('nr_hugepages', 'free_hugepages'):
                    self.write(f'sys/{place}/hugepages-{kb}kB/{counter}', '0\n')
        os.makedirs(self.path('run'))
        os.makedirs(self.path('sys/devices/system/cpu/cpu3/node1'))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._dir.cleanup()

    def path(self, path):
        return os.path.join(self.root, path)

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), 'w') as file:
            file.write(text)

    def pages(self, node, kb=2048):
        return f'sys/devices/system/node/node{node}/hugepages/hugepages-{kb}kB/nr_hugepages'

    def all_files(self):
        """Everything below the folder, with rights and content."""
        found = {}
        for where, directories, files in os.walk(self.root):
            for name in directories + files:
                path = os.path.join(where, name)
                status = os.lstat(path)
                what = read(path) if stat.S_ISREG(status.st_mode) else None
                # groupadd keeps backups of what it changes.
                if '/etc/' not in path:
                    found[path] = (oct(status.st_mode), status.st_uid, status.st_gid, what)
        return found

    def run(self, *args, cwd=None):
        return run('--root', self.root, *args, cwd=cwd)


def need_root():
    if os.geteuid() != 0:
        raise tap.Skip('only root may give files away')


@suite.case('hugepages are reserved by size and node, and once')
def _(_):
    with Host() as host:
        status, said = host.run('--hugepages', '16@1', '--hugepages', '2x1G@0')
        assert status == 0, said
        assert read(host.path(host.pages(1))) == '16', said
        assert read(host.path(host.pages(0))) == '0', said
        assert read(host.path(host.pages(0, 1048576))) == '2', said
        state = read(host.path('var/lib/dpdk-vhost-rng/setup.state'))
        status, said = host.run('--hugepages', '16@1')
        assert status == 0 and 'enough' in said, said
        assert read(host.path('var/lib/dpdk-vhost-rng/setup.state')) == state, 'not idempotent'


@suite.case('what others have reserved is never made less')
def _(_):
    with Host() as host:
        host.write(host.pages(0), '64\n')
        status, said = host.run('--hugepages', '16@0')
        assert status == 0 and read(host.path(host.pages(0))) == '64', said


@suite.case('hugepages that the kernel has no memory for are not taken in part')
def _(_):
    with Host() as host:
        counter = host.path(host.pages(0))
        os.unlink(counter)
        os.mkfifo(counter)
        written = []

        def kernel():
            # Each open waits for the script's: it reads, writes, reads what came of it, restores.
            for answer in ('3\n', None, '5\n', None):
                with open(counter, 'w' if answer else 'r') as file:
                    if answer:
                        file.write(answer)
                    else:
                        written.append(file.read())

        thread = threading.Thread(target=kernel, daemon=True)
        thread.start()
        status, said = host.run('--hugepages', '16@0')
        assert status == 1, said
        thread.join(LIMIT_S)
        assert 'memory for 5 of 16 hugepages' in said and 'hugepages=16' in said, said
        assert written == ['16\n', '3\n'], written
        assert read(host.path('var/lib/dpdk-vhost-rng/setup.state')) == ''


@suite.case('undo restores all, the last change first')
def _(_):
    need_root()
    with Host() as host:
        host.write(host.pages(0), '3\n')
        before = host.all_files()
        for args in (('--hugepages', '16@0'), ('--hugepages', '32@0'),
                     ('--group', 'rngusers', '--user', 'vrng'), ('--group', 'kvm')):
            status, said = host.run(*args)
            assert status == 0, said
        assert read(host.path(host.pages(0))) == '32'
        run_dir = os.stat(host.path('run/dpdk-vhost-rng'))
        assert (run_dir.st_uid, run_dir.st_gid) == (0, 106), run_dir
        assert stat.S_IMODE(run_dir.st_mode) == 0o2750, oct(run_dir.st_mode)
        assert 'rngusers' in read(host.path('etc/group'))
        status, said = host.run('--undo')
        assert status == 0, said
        os.rmdir(host.path('var/lib'))
        os.rmdir(host.path('var'))
        assert host.all_files() == before, said
        assert 'rngusers' not in read(host.path('etc/group')), said
        status, said = host.run('--undo')
        assert status == 0 and 'nothing to undo' in said, said


@suite.case('undo gives an own directory its old rights')
def _(_):
    need_root()
    with Host() as host:
        os.mkdir(host.path('run/sockets'))
        os.chmod(host.path('run/sockets'), 0o755)
        status, said = host.run('--run-dir', '/run/sockets', '--group', 'kvm')
        assert status == 0, said
        assert stat.S_IMODE(os.stat(host.path('run/sockets')).st_mode) == 0o2750
        status, said = host.run('--undo')
        assert status == 0, said
        now = os.stat(host.path('run/sockets'))
        assert (stat.S_IMODE(now.st_mode), now.st_gid) == (0o755, 0), oct(now.st_mode)


@suite.case('undo leaves alone what others have changed since')
def _(_):
    with Host() as host:
        host.run('--hugepages', '16@0')
        host.write(host.pages(0), '128\n')
        status, said = host.run('--undo')
        assert status == 0 and 'left alone' in said, said
        assert read(host.path(host.pages(0))) == '128', said


@suite.case('what cannot be undone yet stays remembered')
def _(_):
    need_root()
    with Host() as host:
        host.run('--run-dir', '/run/sockets')
        host.write('run/sockets/rng.sock0', '')
        status, said = host.run('--undo')
        assert status == 1 and 'not empty' in said, said
        os.unlink(host.path('run/sockets/rng.sock0'))
        status, said = host.run('--undo')
        assert status == 0 and not os.path.exists(host.path('run/sockets')), said


@suite.case('directories with others\' files are left alone')
def _(_):
    with Host() as host:
        host.write('run/others/file', 'x')
        status, said = host.run('--run-dir', '/run/others')
        assert status == 1 and 'has other files' in said, said
        os.symlink('/tmp', host.path('run/link'))
        status, said = host.run('--run-dir', '/run/link')
        assert status == 1 and 'symbolic link' in said, said


@suite.case('--dry-run changes nothing and says what it would')
def _(_):
    with Host() as host:
        before = host.all_files()
        status, said = host.run('--dry-run', '--hugepages', '16@1', '--group', 'rngusers',
                                '--run-dir', '/run/sockets')
        assert status == 0 and host.all_files() == before, said
        for part in ('would reserve 16 hugepages of 2M on node 1', "'groupadd'", "'mkdir'"):
            assert part in said, f'{part!r} is not in: {said}'
        host.run('--hugepages', '16@1')
        before = host.all_files()
        status, said = host.run('--dry-run', '--undo')
        assert status == 0 and host.all_files() == before and 'would run' in said, said


@suite.case('CPUs: what is not as it is best is named, with what to do')
def _(_):
    with Host() as host:
        status, said = host.run('--cpus', '3')
        assert status == 0 and 'CPU 3: node 1, fit to poll' in said, said
        status, said = host.run('--cpus', '1-3')
        assert status == 3, said
        for part in ('isolcpus=1', 'nohz_full=1', 'rcu_nocbs=1', 'governor powersave'):
            assert part in said, f'{part!r} is not in: {said}'
        status, said = host.run('--cpus', '4')
        assert status == 3 and 'CPU 4: is not there' in said, said


@suite.case('CPUs that a cpuset isolates count')
def _(_):
    with Host() as host:
        host.write('sys/devices/system/cpu/isolated', '\n')
        status, said = host.run('--cpus', '3')
        assert status == 3 and 'not isolated' in said, said
        host.write('sys/fs/cgroup/cpuset.cpus.isolated', '3\n')
        status, said = host.run('--cpus', '3')
        assert status == 0, said


@suite.case('without options it shows what there is')
def _(_):
    with Host() as host:
        before = host.all_files()
        status, said = host.run()
        assert status == 0 and host.all_files() == before, said
        for part in ('node 1      2M: 0, 0 free', 'isolated   2-3', 'not there'):
            assert part in said, f'{part!r} is not in: {said}'


@suite.case('another state file is made and removed, its directory is not')
def _(_):
    with Host() as host, tempfile.TemporaryDirectory(prefix='vrng-setup-') as cwd:
        for state in ('state', os.path.join(cwd, 'state')):
            status, said = host.run('--state', state, '--hugepages', '16@1', cwd=cwd)
            assert status == 0 and read(os.path.join(cwd, 'state')), said
            status, said = host.run('--state', state, '--undo', cwd=cwd)
            assert status == 0 and os.listdir(cwd) == [], said
            assert read(host.path(host.pages(1))) == '0', said
        status, said = host.run('--state', cwd, '--hugepages', '16@1')
        assert status == 1 and 'choose another --state' in said, said


@suite.case('a run directory, and a link, with a slash behind it')
def _(_):
    need_root()
    with Host() as host:
        status, said = host.run('--run-dir', '/rng/')
        assert status == 0 and 'run directory /rng:' in said, said
        status, said = host.run('--undo')
        assert status == 0 and not os.path.exists(host.path('rng')), said
        os.symlink(host.path('run'), host.path('link'))
        status, said = host.run('--run-dir', '/link/')
        assert status == 1 and 'is a symbolic link' in said, said


@suite.case('bad options are refused before anything is done')
def _(_):
    with Host() as host:
        before = host.all_files()
        for args in (('--hugepages', 'many'), ('--hugepages', '4', '--hugepages', '4x'),
                     ('--cpus', '1-'), ('--cpus', '1,3-2'), ('--group', 'a b'),
                     ('--run-dir', 'run'), ('--run-dir', '//'), ('--bad',), ('--group',),
                     ('--undo', '--group', 'kvm')):
            status, said = host.run(*args)
            assert status == 2 and 'see --help' in said, f'{args}: {status}: {said}'
        for args, part in ((('--hugepages', '4@7'), 'nodes are 0-1'),
                           (('--hugepages', '4x4M'), 'sizes are 1G 2M'),
                           (('--user', 'nobodyhere'), 'no user nobodyhere')):
            status, said = host.run(*args)
            assert status == 1 and part in said, f'{args}: {status}: {said}'
        assert host.all_files() == before


@suite.case('this host: hugepages come, and go with --undo')
def _(_):
    counter = '/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages'
    if os.geteuid() != 0 or not os.access(counter, os.W_OK):
        raise tap.Skip('only root on a host with hugepages of 2M can reserve them')
    before = int(read(counter))
    with tempfile.TemporaryDirectory(prefix='vrng-setup-') as directory:
        state = ('--state', os.path.join(directory, 'state'))
        status, said = run(*state, '--dry-run', '--hugepages', f'{before + 1}x2M@0')
        assert status == 0 and int(read(counter)) == before, said
        status, said = run(*state, '--hugepages', f'{before + 1}x2M@0')
        try:
            if status != 0 and 'the kernel has memory for' in said:
                raise tap.Skip('this kernel has no 2 MiB in one piece')
            assert status == 0 and int(read(counter)) == before + 1, said
        finally:
            status, said = run(*state, '--undo')
        assert status == 0 and int(read(counter)) == before, said


suite.main(contextlib.nullcontext)

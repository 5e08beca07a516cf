#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What "meson install" puts where, and what systemd's own tools say of it.

meson sets VRNG_BUILD, the build directory. Nothing is touched outside of a temporary one.
"""

import contextlib
import glob
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'python'))
import tap  # noqa: E402  one TAP producer for all tests in Python
import units  # noqa: E402

BUILD = os.environ['VRNG_BUILD']
DAEMONS = ['dpdk-vhost-rng.service', 'dpdk-vhost-rng@.service']
EXPORTER = 'dpdk-vhost-rng-exporter.service'
UNITS = [*DAEMONS, EXPORTER]
# Of systemd-analyze security, in tenths: what it calls safe.
EXPOSURE_MAX = 10
# It has a network, and waits for Prometheus there.
EXPORTER_EXPOSURE_MAX = 15

suite = tap.Suite()


class Installed:
    """An installation below a root of its own."""

    def __init__(self, root):
        self.root = root
        out = subprocess.run(['meson', 'introspect', '--buildoptions', BUILD], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        options = {o['name']: o['value'] for o in json.loads(out)}
        self.prefix = options['prefix']
        self.bindir = os.path.join(self.prefix, options['bindir'])
        subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet'], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, 'DESTDIR': root})

    def path(self, *names):
        return self.root + os.path.join(self.prefix, *names)

    def read(self, *names):
        with open(self.path(*names), encoding='utf-8') as file:
            return file.read()

    def unit(self, name):
        return self.read('lib/systemd/system', name)


@contextlib.contextmanager
def environment():
    with tempfile.TemporaryDirectory(prefix='vrng-install-') as root:
        yield Installed(root)


def need(tool):
    if shutil.which(tool) is None:
        raise tap.Skip(f'there is no {tool} here')


def runnable_units(env, folder):
    """Copies of the units that name a program that exists."""
    paths = []
    for name in UNITS:
        paths.append(os.path.join(folder, name))
        with open(paths[-1], 'w', encoding='utf-8') as file:
            file.write(env.unit(name).replace(env.bindir, env.root + env.bindir))
    return paths


@suite.case('programs and units are below the prefix')
def _(env):
    assert os.access(env.root + env.bindir + '/dpdk-vhost-rng', os.X_OK)
    for name in DAEMONS:
        assert f'ExecStart={env.bindir}/dpdk-vhost-rng ' in env.unit(name), name
    assert f'ExecStart={env.bindir}/dpdk-vhost-rng-exporter.py ' in env.unit(EXPORTER)
    assert os.path.exists(env.path('lib/sysusers.d/dpdk-vhost-rng.conf'))
    assert os.path.exists(env.path('lib/tmpfiles.d/dpdk-vhost-rng.conf'))
    outside = [name for name in os.listdir(env.root) if name != env.prefix.split('/')[1]]
    assert not outside, f'installed outside of the prefix: {outside}'


@suite.case('the scripts run where they were installed, also in a root that is not /')
def _(env):
    for script in ('dpdk-vhost-rng-setup.sh', 'dpdk-vhost-rng-ctl.py',
                   'dpdk-vhost-rng-exporter.py'):
        done = subprocess.run([env.root + env.bindir + '/' + script, '--help'],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False, env={'PATH': os.environ['PATH']})
        assert done.returncode == 0 and f'usage: {script}' in done.stdout, done.stdout
    private = env.path('share/dpdk-vhost-rng/ctl')
    there = set(os.listdir(private))
    ours = {name for name in os.listdir(os.path.join(HERE, '../../scripts/ctl'))
            if name.endswith('.py')}
    assert there == ours, f'{private} has {there}, scripts/ctl has {ours}'
    assert os.path.exists(env.path('share/bash-completion/completions/dpdk-vhost-rng-ctl.py'))


@suite.case('what installed documents link to is installed')
def _(env):
    paths = glob.glob(env.path('share/doc/dpdk-vhost-rng/**/*.md'), recursive=True)
    assert paths
    for path in paths:
        with open(path, encoding='utf-8') as file:
            links = re.findall(r'\]\(([^):#]+)\)', file.read())
        dead = [link for link in links
                if not os.path.exists(os.path.join(os.path.dirname(path), link))]
        assert not dead, f'{path}: {dead}'


@suite.case('no variable is left in a unit')
def _(env):
    for name in UNITS:
        left = re.findall(r'@\w+@', env.unit(name))
        assert not left, f'{name}: {left}'


@suite.case('the options of the units are accepted')
def _(env):
    for name in DAEMONS:
        options = re.search(r'^Environment="VRNG_OPTIONS=(.*)"$', env.unit(name), re.M).group(1)
        options = options.replace('%i', 'a').replace('/run/', env.root + '/run/').split()
        os.makedirs(env.root + '/run/dpdk-vhost-rng/a', exist_ok=True)
        # A CPU that no machine has: the options are read, and nothing is started.
        done = subprocess.run([env.root + env.bindir + '/dpdk-vhost-rng', *options,
                               '--lcores=65535'], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode == 2 and 'CPU 65535' in done.stdout, \
            f'{name}: {done.returncode}, {done.stdout}'


@suite.case('the options of the unit of the exporter are accepted')
def _(env):
    options = re.search(r'^Environment="VRNG_EXPORTER_OPTIONS=(.*)"$', env.unit(EXPORTER),
                        re.M).group(1).split()
    # What is refused is refused before --help is answered to.
    done = subprocess.run([env.root + env.bindir + '/dpdk-vhost-rng-exporter.py', *options,
                           '--help'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    # The unit of the daemon makes that socket: the EAL has it below RUNTIME_DIRECTORY.
    assert '--telemetry ' in env.unit('dpdk-vhost-rng.service')
    assert 'RuntimeDirectory=dpdk-vhost-rng\n' in env.unit('dpdk-vhost-rng.service')
    assert options == ['--telemetry-socket=/run/dpdk-vhost-rng/dpdk/rte/dpdk_telemetry.v2']


@suite.case('a start that fails is repeated without limit, unless the options were refused')
def _(env):
    installed = {os.path.basename(path) for path in glob.glob(env.path('lib/systemd/system/*'))}
    assert installed == set(UNITS), f'units without a test: {installed ^ set(UNITS)}'
    for name in UNITS:
        units.assert_restarts(name, env.unit(name))


@suite.case('no unit runs as root')
def _(env):
    for name in UNITS:
        units.assert_unprivileged(name, env.unit(name))


@suite.case('systemd finds nothing wrong with the units')
def _(env):
    need('systemd-analyze')
    with tempfile.TemporaryDirectory(prefix='vrng-units-') as folder:
        paths = runnable_units(env, folder)
        done = subprocess.run(['systemd-analyze', 'verify', *paths], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    ours = [line for line in done.stdout.splitlines() if 'dpdk-vhost-rng' in line]
    assert not ours, '\n'.join(ours)


@suite.case('systemd calls the units safe')
def _(env):
    need('systemd-analyze')
    with tempfile.TemporaryDirectory(prefix='vrng-units-') as folder:
        for path in runnable_units(env, folder):
            most = EXPORTER_EXPOSURE_MAX if path.endswith(EXPORTER) else EXPOSURE_MAX
            done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--no-pager',
                                   f'--threshold={most}', path], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
            if 'unrecognized option' in done.stdout:
                raise tap.Skip('this systemd-analyze looks at running units only')
            assert 'Overall exposure level' in done.stdout, done.stdout
            assert done.returncode == 0, done.stdout.splitlines()[-1]


@suite.case('user, group and run directory are made')
def _(env):
    need('systemd-sysusers')
    need('systemd-tmpfiles')
    if os.geteuid() != 0:
        raise tap.Skip('only root can give files to another user')
    with tempfile.TemporaryDirectory(prefix='vrng-root-') as root:
        os.mkdir(root + '/etc')
        os.mkdir(root + '/run')
        subprocess.run(['systemd-sysusers', f'--root={root}',
                        env.path('lib/sysusers.d/dpdk-vhost-rng.conf')], check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        subprocess.run(['systemd-tmpfiles', '--create', f'--root={root}',
                        env.path('lib/tmpfiles.d/dpdk-vhost-rng.conf')], check=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        with open(root + '/etc/passwd', encoding='utf-8') as file:
            user = [line.split(':') for line in file if line.startswith('vrng:')]
        with open(root + '/etc/group', encoding='utf-8') as file:
            kvm = [line.strip() for line in file if line.startswith('kvm:')]
        run = os.stat(root + '/run/dpdk-vhost-rng')
    assert len(user) == 1
    assert kvm and kvm[0].endswith(':vrng'), kvm
    assert stat.S_IMODE(run.st_mode) == 0o755
    assert run.st_uid == int(user[0][2])


if __name__ == '__main__':
    suite.main(environment)

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Debian package: it is built, and what is in it. scripts/package.sh --test installs it.

usage: test_package.py DIR

DIR is where it is built. meson sets VRNG_SCRIPTS, the folder of the scripts, and VRNG_TESTS, that
of tap.py.
"""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.environ['VRNG_TESTS'])
import binaries  # noqa: E402
import tap  # noqa: E402
import units  # noqa: E402

SCRIPTS = os.environ['VRNG_SCRIPTS']
LIMIT_S = 900

suite = tap.Suite()


def run(*args, **more):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, **more)
    assert done.returncode == 0, f'{args[0]} ended with status {done.returncode}: {done.stdout}'
    return done.stdout


class Package:
    """The package, built once for all cases, and unpacked."""

    def __init__(self):
        self.dir = sys.argv[1]

    def __enter__(self):
        for tool in ('dpkg-buildpackage', 'dh'):
            if shutil.which(tool) is None:
                raise tap.Skip(f'there is no {tool}: scripts/install-deps.sh package installs it')
        run(os.path.join(SCRIPTS, 'package.sh'), '--output', self.dir)
        self.deb, = glob.glob(os.path.join(self.dir, 'dpdk-vhost-rng_*.deb'))
        self._tree = tempfile.TemporaryDirectory(prefix='vrng-package-')
        self.tree = self._tree.name
        run('dpkg-deb', '-x', self.deb, self.tree)
        run('dpkg-deb', '-e', self.deb, os.path.join(self.tree, 'DEBIAN'))
        return self

    def __exit__(self, *exception):
        self._tree.cleanup()

    def files(self):
        for where, _, files in os.walk(self.tree):
            for name in files:
                path = os.path.join(where, name)
                yield path, '/' + os.path.relpath(path, self.tree)


@suite.case('programs, man pages, documents and examples are in it')
def _(package):
    there = {name for _, name in package.files()}
    for name in ('/usr/bin/dpdk-vhost-rng', '/usr/bin/dpdk-vhost-rng-bench',
                 '/usr/bin/dpdk-vhost-rng-setup.sh', '/usr/bin/dpdk-vhost-rng-ctl.py',
                 '/usr/bin/dpdk-vhost-rng-exporter.py', '/usr/share/dpdk-vhost-rng/ctl/main.py',
                 '/usr/share/man/man8/dpdk-vhost-rng-exporter.8.gz',
                 '/usr/share/bash-completion/completions/dpdk-vhost-rng-ctl.py',
                 '/usr/share/man/man8/dpdk-vhost-rng-ctl.8.gz',
                 '/usr/share/man/man8/dpdk-vhost-rng.8.gz',
                 '/usr/share/man/man1/dpdk-vhost-rng-bench.1.gz',
                 '/usr/share/doc/dpdk-vhost-rng/README.md',
                 '/usr/share/doc/dpdk-vhost-rng/docs/operations.md',
                 '/usr/share/doc/dpdk-vhost-rng/copyright',
                 '/usr/share/doc/dpdk-vhost-rng/examples/qemu.args'):
        assert name in there, f'{name} is not among {sorted(there)}'


@suite.case('nothing that belongs to the build or to another place is in it')
def _(package):
    for _, name in package.files():
        assert re.match(r'/(DEBIAN|usr/(bin|share|lib)|lib/systemd|etc)/', name), name
        assert not re.search(r'/local/|test|\.pyc|\.a$|behave|\.h$', name), name


@suite.case('neither paths nor the name of the build machine are in it')
def _(package):
    source = os.path.dirname(os.path.abspath(SCRIPTS))
    words = [source, os.path.realpath(package.dir), package.tree]
    if len(socket.gethostname()) > 5:
        words.append(socket.gethostname())
    for path, name in package.files():
        with open(path, 'rb') as file:
            content = file.read()
        for word in words:
            assert word.encode() not in content, f'{word} is in {name}'


@suite.case('all belongs to root, and only root may write')
def _(package):
    for line in run('dpkg-deb', '-c', package.deb).splitlines():
        rights, owner = line.split()[:2]
        assert owner == 'root/root', line
        assert rights[0] == 'l' or (rights[5] != 'w' and rights[8] != 'w'), line
        assert 's' not in rights.lower(), line


@suite.case('it depends on what the programs are linked with, and not on DPDK')
def _(package):
    depends = run('dpkg-deb', '-f', package.deb, 'Depends')
    for name in ('libc6', 'libssl3', 'libinih1', 'libjansson4', 'libnuma1', 'libseccomp2',
                 'passwd'):
        assert re.search(rf'\b{name}', depends), f'{name} is not in: {depends}'
    assert not re.search(r'librte|dpdk|cmocka|-dev', depends), depends
    built = run('dpkg-deb', '-f', package.deb, 'Built-Using')
    assert re.match(r'dpdk \(= [\d.]+', built), built


@suite.case('programs are hardened and stripped, with -O3')
def _(package):
    for name in ('dpdk-vhost-rng', 'dpdk-vhost-rng-bench'):
        path = os.path.join(package.tree, 'usr/bin', name)
        binaries.assert_linked(path)
        symbols = binaries.undefined(path, '--dyn-syms')
        assert binaries.has_stack_protector(symbols) and binaries.fortified(symbols), name
        headers = binaries.readelf(path, '-S')
        assert '.symtab' not in headers and '.debug_info' not in headers, name
    with open(os.path.join(package.dir, 'build.log')) as file:
        compiled = [line for line in file if ' -c ' in line and '/lib/drbg.c' in line]
    assert compiled and all('-O3' in line for line in compiled), compiled


@suite.case('units are there, are not enabled by the package, and are stopped at its removal')
def _(package):
    there = {name.replace('/usr/lib/', '/lib/') for _, name in package.files()}
    for name in ('/lib/systemd/system/dpdk-vhost-rng.service',
                 '/lib/systemd/system/dpdk-vhost-rng@.service',
                 '/lib/systemd/system/dpdk-vhost-rng-exporter.service',
                 '/lib/sysusers.d/dpdk-vhost-rng.conf', '/lib/tmpfiles.d/dpdk-vhost-rng.conf'):
        assert name in there, f'{name} is not among {sorted(there)}'
    scripts = {}
    for name in ('postinst', 'prerm'):
        with open(os.path.join(package.tree, 'DEBIAN', name)) as file:
            scripts[name] = file.read()
    assert 'systemd-sysusers' in scripts['postinst'], scripts['postinst']
    assert 'systemd-tmpfiles' in scripts['postinst'], scripts['postinst']
    # It makes links again that somebody made, and no others.
    assert 'debian-installed' in scripts['postinst'], scripts['postinst']
    for name in ('dpdk-vhost-rng.service', 'dpdk-vhost-rng@*.service',
                 'dpdk-vhost-rng-exporter.service'):
        assert re.search(rf"invoke stop .*{re.escape(name)}", scripts['prerm']), scripts['prerm']


@suite.case('an upgrade starts, stops and restarts no daemon; it restarts the exporter')
def _(package):
    for name in ('preinst', 'postinst', 'prerm', 'postrm'):
        path = os.path.join(package.tree, 'DEBIAN', name)
        if not os.path.exists(path):
            continue
        with open(path) as file:
            script = file.read()
        for line in re.findall(r'^.*(?:invoke|systemctl (?:start|stop|\S*restart)) .*$', script,
                               re.M):
            # prerm stops daemons at removal; scripts/package.sh --boot tries that.
            if name == 'prerm' and 'invoke stop' in line:
                continue
            units = set(re.findall(r'dpdk-vhost-rng\S*?\.service', line))
            assert units <= {'dpdk-vhost-rng-exporter.service'}, f'{name}: {line}'
        if name == 'postinst':
            assert re.search(r"invoke \$_dh_action '?dpdk-vhost-rng-exporter", script), script


@suite.case('needrestart leaves daemons alone')
def _(package):
    if shutil.which('perl') is None:
        raise tap.Skip('there is no perl')
    config = os.path.join(package.tree, 'etc/needrestart/conf.d/dpdk-vhost-rng.conf')
    # As needrestart does: evaluate the file, then look for the first expression that matches.
    said = run('perl', '-we', """
our %nrconf = (override_rc => {qr(^dbus) => 0});
open(my $file, '<', shift) or die; local $/; eval(<$file>); die $@ if $@;
for my $unit (@ARGV) {
    my ($re) = grep { $unit =~ /$_/ } keys %{$nrconf{override_rc}};
    print "$unit: ", defined($re) ? $nrconf{override_rc}->{$re} : 'restarted', "\\n";
}""", config, 'dpdk-vhost-rng.service', 'dpdk-vhost-rng@vm-1.service',
               'dpdk-vhost-rng-exporter.service')
    assert said == ('dpdk-vhost-rng.service: 0\ndpdk-vhost-rng@vm-1.service: 0\n'
                    'dpdk-vhost-rng-exporter.service: restarted\n'), said


@suite.case('a start that fails is repeated without limit, unless the options were refused')
def _(package):
    found = [path for path, name in package.files() if name.endswith('.service')]
    assert len(found) == 3, found
    for path in found:
        with open(path, encoding='utf-8') as file:
            units.assert_restarts(os.path.basename(path), file.read())


@suite.case('no unit runs as root')
def _(package):
    for path, name in package.files():
        if name.endswith('.service'):
            with open(path, encoding='utf-8') as file:
                units.assert_unprivileged(os.path.basename(path), file.read())


@suite.case('lintian has no complaint')
def _(package):
    if shutil.which('lintian') is None:
        raise tap.Skip('there is no lintian')
    said = run('lintian', '--allow-root', '--fail-on', 'error,warning', package.deb)
    assert said == '', said


suite.main(Package)

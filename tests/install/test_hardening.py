#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Whether the programs that are installed are hardened, as meson.build says.

usage: test_hardening.py PROGRAM...

A program also contains objects of DPDK's archives and of the C library, with flags of their own. So
compiler flags are looked for in the project's own objects.

meson sets VRNG_BUILD, the build directory; VRNG_FORTIFY, whether the build has FORTIFY;
VRNG_PROPERTY, the property that -fcf-protection or -mbranch-protection gives to an object, or "";
and VRNG_TESTS, the folder of tap.py.
"""

import contextlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.environ['VRNG_TESTS'])
import binaries  # noqa: E402
import tap  # noqa: E402

BUILD = os.environ['VRNG_BUILD']
FOLDERS = ['lib', 'app/common', 'app/frontend', 'app/bench', 'app/daemon']

suite = tap.Suite()


@contextlib.contextmanager
def objects():
    """The project's own objects: folder -> paths."""
    if shutil.which('readelf') is None:
        raise tap.Skip('there is no readelf here')
    # Folders may still have objects of sources that were removed: no glob.
    with open(os.path.join(BUILD, 'compile_commands.json'), encoding='utf-8') as file:
        outputs = [command['output'] for command in json.load(file)]
    found = {name: [os.path.join(BUILD, output) for output in outputs
                    if os.path.dirname(os.path.dirname(output)) == name] for name in FOLDERS}
    found = {name: [path for path in paths if os.path.exists(path)]
             for name, paths in found.items()}
    assert all(found.values()), f'no objects below {BUILD}: {found}'
    yield found


def need_code(paths):
    """With -flto objects have the compiler's intermediate code."""
    if '.gnu.lto_' in binaries.readelf(paths[0], '-S'):
        raise tap.Skip('these objects have no machine code: -flto')


def symbols(paths):
    need_code(paths)
    return set().union(*(binaries.undefined(path) for path in paths))


@suite.case('programs are position-independent, with full RELRO and BIND_NOW')
def _(found):
    for path in sys.argv[1:]:
        binaries.assert_linked(path)


@suite.case('functions with buffers on the stack are protected')
def _(found):
    for path in sys.argv[1:]:
        assert binaries.has_stack_protector(binaries.undefined(path, '--dyn-syms')), path
    for folder, paths in found.items():
        if folder != 'app/common':  # no function there has a buffer on its stack
            assert binaries.has_stack_protector(symbols(paths)), folder


@suite.case('functions of the C library check the size of buffers')
def _(found):
    if os.environ['VRNG_FORTIFY'] != 'yes':
        raise tap.Skip('no FORTIFY: no optimization, a sanitizer, or another C library')
    for folder in ('lib', 'app/bench', 'app/daemon'):
        assert binaries.fortified(symbols(found[folder])), folder


@suite.case('targets of jumps and calls are marked')
def _(found):
    wanted = os.environ['VRNG_PROPERTY']
    if not wanted:
        raise tap.Skip('this compiler has no protection of branches')
    for folder, paths in found.items():
        need_code(paths)
        for path in paths:
            assert wanted in binaries.readelf(path, '-n'), f'{path}: not {wanted}'


suite.main(objects)

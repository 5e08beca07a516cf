#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The man pages: mandoc finds nothing wrong, and each tells of exactly the options that --help of
its program tells of.

usage: test_man.py PAGE PROGRAM [PAGE PROGRAM]...

meson sets VRNG_TESTS, the folder of tap.py.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.environ['VRNG_TESTS'])
import tap  # noqa: E402

# An option: the start of a word, a letter after one dash or a name after two.
OPTION = r'(?<![\w-])(--[a-z][a-z-]*|-[a-zA-Z](?![\w-]))'

suite = tap.Suite()


def run(*args):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def options_of_help(program):
    """Those that begin a line; each with what else it is called there. An explanation begins in
    a column further to the right than any option."""
    status, said = run(program, '--help')
    assert status == 0, f'{program} --help ended with status {status}: {said}'
    options = set()
    for line in said.splitlines():
        if re.match(r' {2,8}-', line):
            # The explanation is two blanks away, or one where the option is long.
            head = re.match(rf'\s*{OPTION}(,? +{OPTION})*', line)[0]
            options.update(re.findall(OPTION, head))
    assert options, f'{program} --help shows no options: {said}'
    return options


def options_of_page(page):
    """Those of list items: .It Fl s , -socket-path Ar PATH"""
    options = set()
    with open(page) as file:
        for line in file:
            if not line.startswith('.It Fl '):
                continue
            names = line[len('.It Fl '):].split(' Ar ')[0].split(' Cm ')[0]
            options.update('-' + name.strip() for name in names.split(','))
    return options


def add_cases(page, program):
    name = os.path.basename(page)

    @suite.case(f'{name}: mandoc has no complaint')
    def _(_):
        if shutil.which('mandoc') is None:
            raise tap.Skip('there is no mandoc: scripts/install-deps.sh test installs it')
        status, said = run('mandoc', '-Tlint', '-W', 'warning', page)
        assert status == 0 and said == '', said

    @suite.case(f'{name}: has the options of --help, all and no others')
    def _(_):
        if not os.path.exists(program):
            raise tap.Skip(f'{program} is not built here')
        helped, told = options_of_help(program), options_of_page(page)
        missing, extra = sorted(helped - told), sorted(told - helped)
        assert not missing, f'--help has options that {page} does not tell of: {missing}'
        assert not extra, f'{page} tells of options that --help does not have: {extra}'


for i in range(1, len(sys.argv), 2):
    add_cases(sys.argv[i], sys.argv[i + 1])
suite.main(contextlib.nullcontext)

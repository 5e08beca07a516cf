#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the documents tell readers to type: each command line of this tree's programs is one that
the program takes, and each file that is named is there.

usage: test_commands.py SOURCE_ROOT DAEMON BENCH

Programs are not really started: the daemon checks its options (--check-config), the bench and the
scripts read theirs up to a --help at the end, and make only says what it would do. meson sets
VRNG_TESTS, the folder of tap.py.
"""

import contextlib
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

sys.path.insert(0, os.environ['VRNG_TESTS'])
import tap  # noqa: E402

top, daemon, bench = map(os.path.abspath, sys.argv[1:])
suite = tap.Suite()

# A path in this tree, as text names it.
PATH = re.compile(r'(?<![\w/.{}~<-])(?:app|config|docs|lib|scripts|tests)/[\w./@*-]*')
LINK = re.compile(r'\]\(([^)#:\s]+)\)')


def commands_of_markdown(text):
    """Pairs of a line number and a command line: lines of code blocks, and text between backticks
    that has arguments."""
    block = re.compile(r'^```\w*\n(.*?)^```', re.M | re.S)
    for found in block.finditer(text):
        at = text.count('\n', 0, found.start(1)) + 1
        for line in found[1].replace('\\\n', ' \v').split('\n'):
            yield at, line.replace('\v', '')
            at += 1 + line.count('\v')
    prose = block.sub(lambda found: '\n' * found[0].count('\n'), text)
    for found in re.finditer(r'`([^`\n]+\n?[^`\n]+)`', prose):
        yield prose.count('\n', 0, found.start()) + 1, found[1].replace('\n', ' ')


def commands_of_page(text):
    """The .Dl lines of a man page."""
    lines = text.split('\n')
    command = ''
    for number, line in enumerate(lines, 1):
        if not line.startswith('.Dl '):
            continue
        command += line[len('.Dl '):].strip('"')
        if command.endswith(r'\e'):
            command = command[:-2]
            continue
        yield number, command
        command = ''


def simple_commands(line):
    """The words of each command in a line of shell; nothing of what is no such line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return
    command = []
    for word in words + [';']:
        if re.fullmatch(r'[;&|()]+', word):
            if command:
                yield command
            command = []
        elif command or not (word == 'sudo' or re.match(r'\w+=', word)):
            command.append(word)


def dry_run(words):
    """That command in a form that does nothing, or None when it is not one of this tree."""
    name, arguments = os.path.basename(words[0]), words[1:]
    if '...' in arguments or any(word.startswith('[') for word in arguments):
        return None
    if words[0] == 'make':
        return ['make', '-n', *arguments]
    if name == 'dpdk-vhost-rng' and arguments:
        # Help and the like are asked for first: then nothing else is looked at.
        stops = {'-h', '--help', '--version', '--check-config'} & set(arguments)
        return [daemon, *arguments, *([] if stops else ['--check-config'])]
    if name == 'dpdk-vhost-rng-bench':
        return [bench, *arguments, '--help']
    if words[0].startswith('scripts/') and not words[0].endswith('/'):
        return [os.path.join(top, words[0]), *arguments, '--help']
    if re.fullmatch(r'dpdk-vhost-rng-\w+\.\w+', words[0]) and arguments:
        return [os.path.join(top, 'scripts', name), *arguments, '--help']
    return None


# What --check-config says of this host, not of the document: its directories, CPUs, groups, files.
OF_THE_HOST = re.compile(r'dpdk-vhost-rng: (directory .* of socket|CPU \d+ of --lcores|'
                         r"--socket-group '.*' is no group|--user '.*': only root|"
                         r"--user '.*' is no user|--sandbox-dir .*: No such|"
                         r'cannot read --filename .*: (No such|Permission)|'
                         r'cannot give a socket to group \d+: Operation not permitted)')


def run(command):
    env = {key: value for key, value in os.environ.items()
           if key not in ('MAKEFLAGS', 'MAKELEVEL')}
    done = subprocess.run(command, cwd=top, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return done.returncode, done.stdout


def add_command(where, words, command):
    @suite.case(f'{where}: {" ".join(words)}'.replace('#', ''))
    def _(_):
        program = command[0]
        if program in (daemon, bench) and not os.path.exists(program):
            raise tap.Skip(f'{program} is not built here')
        assert program == 'make' or os.path.exists(program), f'there is no {program}'
        # Prose may name an option without its value: then that --help has it must do.
        named = words[-1] if words[-1].startswith('--') and len(words) == 2 else None
        status, said = run([program, '--help'] if named and program != 'make' else command)
        if program == daemon and status == 2 and OF_THE_HOST.search(said):
            return
        assert status == 0, f'{" ".join(command)} ended with status {status}: {said}'
        assert named is None or re.search(rf'{named}(?![\w-])', said), f'no {named} in: {said}'


def add_files(name, folder, text):
    """Paths from the top, and links from where the document is."""
    paths = {path.rstrip('.-') for path in PATH.findall(text)}
    links = {os.path.normpath(os.path.join(folder, link)) for link in LINK.findall(text)}

    @suite.case(f'{name}: files that it names')
    def _(_):
        missing = sorted(p for p in paths | links if not glob.glob(os.path.join(top, p)))
        assert not missing, f'{name} names what is not there: {missing}'


@suite.case('the example of a configuration file is one that the daemon takes')
def _(_):
    if not os.path.exists(daemon):
        raise tap.Skip(f'{daemon} is not built here')
    with open(f'{top}/config/dpdk-vhost-rng.conf', encoding='utf-8') as file:
        text = file.read()
    with tempfile.TemporaryDirectory(prefix='vrng-') as folder:
        path = os.path.join(folder, 'conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace('/run/dpdk-vhost-rng', folder))
        status, said = run([daemon, '--check-config', '--config', path])
    assert status == 0, said


n_commands = 0
for path in sorted(glob.glob(f'{top}/*.md') + glob.glob(f'{top}/docs/*.md') +
                   glob.glob(f'{top}/docs/man/*.[1-8]')):
    name = os.path.relpath(path, top)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    is_page = not name.endswith('.md')
    if not is_page:
        add_files(name, os.path.dirname(name), text)
    for number, line in (commands_of_page if is_page else commands_of_markdown)(text):
        for words in simple_commands(line):
            command = dry_run(words)
            if command is not None:
                n_commands += 1
                add_command(f'{name}:{number}', words, command)


@suite.case('the documents have commands')
def _(_):
    assert n_commands >= 20, f'only {n_commands} were found: is this test still right?'


suite.main(contextlib.nullcontext)

# SPDX-License-Identifier: BSD-3-Clause
"""Hardening of programs and objects, as readelf shows it."""

import re
import subprocess


def readelf(path, *options):
    return subprocess.run(['readelf', '-W', *options, path], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60).stdout


def undefined(path, *options):
    """The undefined symbols of a program or an object."""
    found = set()
    for line in readelf(path, '-s', *options).splitlines():
        words = line.split()
        if len(words) > 7 and words[6] == 'UND':
            found.add(words[7].partition('@')[0])
    return found


def has_stack_protector(symbols):
    return '__stack_chk_fail' in symbols


def fortified(symbols):
    """Functions of the C library that check the size of a buffer, such as __memcpy_chk."""
    return {name for name in symbols if re.fullmatch(r'__\w+_chk', name)}


def assert_linked(path):
    """A PIE with full RELRO, BIND_NOW and a stack that is not executable."""
    headers = readelf(path, '-h', '-l')
    dynamic = readelf(path, '-d')
    assert re.search(r'Type:\s+DYN', headers), f'{path} is not position-independent'
    assert re.search(r'\(FLAGS_1\).*\bPIE\b', dynamic), f'{path} is not a PIE'
    assert 'GNU_RELRO' in headers, f'{path}: no RELRO'
    assert re.search(r'\(FLAGS\).*\bBIND_NOW\b', dynamic), f'{path}: no BIND_NOW'
    assert re.search(r'\(FLAGS_1\).*\bNOW\b', dynamic), f'{path}: no NOW'
    stack = re.search(r'GNU_STACK.*', headers)
    assert stack and 'E' not in stack.group().split()[-2], f'{path}: its stack is executable'

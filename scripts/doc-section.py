#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Replaces what a document has between two markers by standard input.

usage: doc-section.py FILE MARK

The markers are the lines "<!-- MARK: begin -->" and "<!-- MARK: end -->". Both must be
there, once.
"""

import os
import sys


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    path, mark = arguments
    with open(path, encoding='utf-8') as file:
        text = file.read()
    begin, end = (f'<!-- {mark}: {word} -->\n' for word in ('begin', 'end'))
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        print(f'doc-section: {path} has no lines "{begin[:-1]}" and "{end[:-1]}", or has them '
              'twice', file=sys.stderr)
        return 1
    new = sys.stdin.read().strip('\n')
    text = text[:text.index(begin)] + f'{begin}\n{new}\n\n' + text[text.index(end):]
    with open(path + '.new', 'w', encoding='utf-8') as file:
        file.write(text)
    os.replace(path + '.new', path)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

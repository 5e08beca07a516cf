# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says of this host, below a root that tests may choose. It only reads."""

import glob
import os
import re


class Host:
    def __init__(self, root=''):
        self._root = root.rstrip('/')

    def path(self, path):
        return self._root + path

    def read(self, path, otherwise=''):
        """A file's text without blanks around it."""
        try:
            with open(self.path(path), encoding='utf-8', errors='replace') as file:
                text = file.read().strip()
        except OSError:
            return otherwise
        return otherwise if text in ('', '(null)') else text

    def list(self, pattern):
        found = sorted(glob.glob(self.path(pattern)))
        return [path[len(self._root):] for path in found]

    def stat(self, path):
        try:
            return os.stat(self.path(path))
        except OSError:
            return None

    def name_of(self, database, number):
        """Of a user ("passwd") or group: its name, or the number."""
        for line in self.read(f'/etc/{database}').splitlines():
            fields = line.split(':')
            if len(fields) > 2 and fields[2] == str(number):
                return fields[0]
        return str(number)

    # CPUs

    def cpus(self, path, otherwise=''):
        """A file with a list such as 0-3,8, as a set."""
        return cpu_set(self.read(path, otherwise))

    def online(self):
        return self.cpus('/sys/devices/system/cpu/online', '0')

    def isolated(self):
        """By the kernel's command line, or by a cpuset."""
        return (self.cpus('/sys/devices/system/cpu/isolated') |
                self.cpus('/sys/fs/cgroup/cpuset.cpus.isolated'))

    def cpu_flags(self):
        match = re.search(r'^(?:flags|Features)\s*:(.*)$', self.read('/proc/cpuinfo'), re.MULTILINE)
        return set(match[1].split()) if match else set()

    def cpu_model(self):
        match = re.search(r'^model name\s*: (.*)$', self.read('/proc/cpuinfo'), re.MULTILINE)
        return match[1].strip() if match else 'a CPU without a name'

    def node_of(self, cpu):
        """Its NUMA node."""
        nodes = self.list(f'/sys/devices/system/cpu/cpu{cpu}/node[0-9]*')
        return int(re.search(r'\d+$', nodes[0])[0]) if nodes else 0

    def nodes(self):
        return self.cpus('/sys/devices/system/node/online', '0')

    # Memory

    def hugepages(self):
        """[(node or None for all, kB, reserved, free)]"""
        found = []
        for path in (self.list('/sys/devices/system/node/node[0-9]*/hugepages/hugepages-*kB') or
                     self.list('/sys/kernel/mm/hugepages/hugepages-*kB')):
            node = re.search(r'/node(\d+)/', path)
            found.append((int(node[1]) if node else None,
                          int(re.search(r'hugepages-(\d+)kB', path)[1]),
                          int(self.read(path + '/nr_hugepages', '0')),
                          int(self.read(path + '/free_hugepages', '0'))))
        return found

    def swap_kb(self):
        match = re.search(r'^SwapTotal:\s*(\d+)', self.read('/proc/meminfo'), re.MULTILINE)
        return int(match[1]) if match else 0

    # A process

    def limits(self, pid):
        """{"open files": (soft, hard), ...}; None is no limit."""
        found = {}
        for line in self.read(f'/proc/{pid}/limits').splitlines():
            match = re.match(r'Max (.*?)\s{2,}(\S+)\s+(\S+)', line)
            if match:
                found[match[1]] = tuple(None if word == 'unlimited' else int(word)
                                        for word in match.groups()[1:] if re.fullmatch(
                                            r'\d+|unlimited', word))
        return found

    def process(self, pid):
        """/proc/PID/status as a dictionary."""
        return dict(line.split(':\t', 1) for line in
                    self.read(f'/proc/{pid}/status').splitlines() if ':\t' in line)

    def kernel(self):
        """(major, minor)"""
        match = re.match(r'(\d+)\.(\d+)', self.read('/proc/sys/kernel/osrelease'))
        return (int(match[1]), int(match[2])) if match else (0, 0)


def cpu_set(text):
    found = set()
    for part in text.split(','):
        match = re.fullmatch(r'(\d+)(?:-(\d+))?', part.strip())
        if match:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def cpu_list(cpus):
    """A set as 0-3,8."""
    runs = []
    for cpu in sorted(cpus):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ','.join(f'{first}-{last}' if last > first else f'{first}' for first, last in runs)


def size_name(kb):
    for name, unit in (('G', 1 << 20), ('M', 1 << 10)):
        if kb % unit == 0:
            return f'{kb // unit}{name}'
    return f'{kb}K'

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures, and writes the document. scripts/compare.sh starts it."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time

import backends
import behaviours
import budget
import document
import linerate
import measure
import process
import resting

LOOK_S = 2


def parse():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ('--daemon', '--bench-dir', '--original', '--original-version', '--out', '--docs'):
        parser.add_argument(name, required=True)
    for name in ('--quick', '--no-guest', '--only-report'):
        parser.add_argument(name, action='store_true')
    args = parser.parse_args()
    if args.quick:
        args.out = os.path.join(args.out, 'quick')
        args.docs = args.out
    return args


def say(text):
    print(f'compare: {time.strftime("%H:%M:%S")} {text}', flush=True)


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=20)
    except OSError:
        return ''
    return done.stdout.split('\n', 1)[0].strip()


def cpu_model():
    with open('/proc/cpuinfo') as file:
        match = re.search(r'^model name\s*: (.*)$', file.read(), re.MULTILINE)
    return match[1] if match else platform.machine()


def machine(args):
    with open('/etc/os-release') as file:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', file.read(), re.MULTILINE)
    return {
        'cpu': cpu_model(), 'cpus': len(os.sched_getaffinity(0)),
        'virtual': first_line('systemd-detect-virt') or 'unknown',
        'system': system[1] if system else '', 'kernel': platform.release(),
        'daemon': first_line(args.daemon, '--version'),
        'original': f'vhost-device-rng {args.original_version}',
        'qemu': first_line('qemu-system-x86_64', '--version'),
        'date': time.strftime('%Y-%m-%d'), 'load': busy_cpus(),
    }


def cpu_ticks():
    """Since the start: busy, and in all but for what the hypervisor took."""
    with open('/proc/stat', encoding='ascii') as file:
        user, nice, system, idle, iowait, irq, softirq = map(int, file.readline().split()[1:8])
    busy = user + nice + system + irq + softirq
    return busy, busy + idle + iowait


def busy_cpus():
    """How many others keep busy now. The load average would have the build that just ended."""
    before = cpu_ticks()
    time.sleep(LOOK_S)
    busy, all_of_them = (after - then for after, then in zip(cpu_ticks(), before))
    return os.cpu_count() * busy / max(all_of_them, 1)


def run(args):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise backends.Failed('two CPUs are needed: one for the guests, one for the back-end')
    cpus = (cpus[0], cpus[-1])
    kinds = backends.kinds(args)
    results = {'machine': machine(args), 'quick': args.quick, 'cpus': cpus,
               'kinds': [{'key': kind.key, 'name': kind.name} for kind in kinds]}
    if results['machine']['load'] > document.LOAD_MAX:
        say(f'warning: others keep {results["machine"]["load"]:.1f} CPUs busy: '
            'figures will be disturbed')
    bench = measure.Measure(args, kinds, cpus, say)
    results['repeats'], results['seconds'] = bench.repeats, bench.seconds
    results['own_cost'] = bench.own_cost()
    results['limits'] = bench.limits_of_machine()
    results['figures'] = bench.all()
    results['limit'] = bench.limit()
    results['linerate'] = linerate.measure(bench)
    results['layouts'] = linerate.layouts(bench)
    results['budget'] = budget.Budget(bench).all()
    results['resting'] = resting.Resting(bench).all()
    results['process'] = process.Process(bench).all()
    results['behaviours'] = behaviours.Behaviours(args, kinds, cpus[1], say).all()
    if not args.no_guest:
        import inguest
        guests = inguest.InGuest(args, kinds, cpus, say)
        results['guest'] = guests.rates()
        if not args.quick:
            results['behaviours'].append(
                {'case': 'A Linux guest under QEMU reboots', 'seen': guests.reboots()})
    return results


def main():
    args = parse()
    os.makedirs(args.out, exist_ok=True)
    os.makedirs(args.docs, exist_ok=True)
    path = os.path.join(args.out, 'results.json')
    start = time.monotonic()
    try:
        if not args.only_report:
            results = run(args)
            results['took_s'] = time.monotonic() - start
            with open(path, 'w') as file:
                json.dump(results, file, indent=1)
        with open(path) as file:
            results = json.load(file)
        document.write(results, args.docs)
    except (backends.Failed, OSError, subprocess.SubprocessError) as error:
        sys.exit(f'compare: {error}')
    say(f'{os.path.join(args.docs, "benchmarks.md")} is written')


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A restart of the daemon under a running guest, with the command lines and the QMP commands that
README.md and dpdk-vhost-rng-ctl.py print: the guest's /dev/hwrng works again afterwards."""

import json
import os
import re
import shlex
import subprocess
import sys
import time

import guest
import tap
from environment import make_env
from machine import PLUG_S, ClientDaemon, qemu_version, sources
from reading import assert_content, assert_reads

README = os.path.join(os.path.dirname(guest.SCRIPTS), 'README.md')
CTL = os.path.join(guest.SCRIPTS, 'dpdk-vhost-rng-ctl.py')
README_SOCKET = '/run/rng.sock0'

suite = tap.Suite()


def device_words(command):
    """The words of a QEMU command line that make the device."""
    words = shlex.split(command.replace('\\\n', ' '))
    words = words[words.index('-chardev'):]
    assert [word for word in words if word.startswith('-')] == ['-chardev', '-device', '-device']
    return words


def readme(path):
    """The device's words, and the QMP commands before and after a restart, for a socket."""
    with open(README) as file:
        text = file.read()
    assert README_SOCKET in text
    text = text.replace(README_SOCKET, path)
    words = device_words(re.search(r'^qemu-system-x86_64 (.*?[^\\])\n', text, re.M | re.S)[1])
    restart = re.search(r'^### Restart\n(.*?)^###? ', text, re.M | re.S)[1]
    blocks = re.findall(r'^```json\n(.*?)^```', restart, re.M | re.S)
    assert len(blocks) == 2, f'README has {len(blocks)} blocks of QMP commands'
    return [words, *([json.loads(line) for line in block.splitlines()] for block in blocks)]


def ctl(control, *args):
    return subprocess.run([sys.executable, CTL, '--control-socket', control, *args], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=guest.COMMAND_S).stdout


def execute(vm, commands):
    """As an operator: repeats what QEMU refuses because the guest still has the device."""
    for command in commands:
        deadline = time.monotonic() + PLUG_S
        while True:
            try:
                vm.command(command['execute'], **command['arguments'])
                break
            except AssertionError as error:
                if 'busy' not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def unplug(vm, commands):
    execute(vm, commands)
    assert sources(vm) == [], f'the guest still has {sources(vm)}'


def plug(vm, commands):
    execute(vm, commands)
    guest.wait_for(lambda: sources(vm), PLUG_S, 'the device that was plugged in again')
    assert_reads(vm, 4096)


@suite.case('README: after kill -9, during a read that hangs, the device is plugged in again')
def _(env):
    tap.comment('QEMU ' + qemu_version())
    daemon = guest.Daemon(env.directory, name='killed')
    try:
        words, before, after = readme(daemon.sockets[0])
        with guest.Guest(env.directory, accel=env.accel, name='readme', qemu_args=words) as vm:
            for _ in range(2):
                assert_reads(vm, 4096)
                daemon.kill()
                reader = vm.background('dd if=/dev/hwrng of=/dev/null bs=4096 count=1')
                daemon = guest.Daemon(env.directory, name='killed')
                vm.run('sleep 0.5')
                assert vm.running(reader), 'the read did not hang: README tells otherwise'
                unplug(vm, before)
                plug(vm, after)
                guest.wait_for(lambda pid=reader: not vm.running(pid), PLUG_S, 'the read that hung')
            vm.reset()
            assert_reads(vm, 4096)
            assert_content(daemon)
    finally:
        daemon.kill()


@suite.case('README: the device is unplugged before a restart and plugged in after it')
def _(env):
    daemon = guest.Daemon(env.directory, name='planned')
    try:
        words, before, after = readme(daemon.sockets[0])
        with guest.Guest(env.directory, accel=env.accel, name='around', qemu_args=words) as vm:
            assert_reads(vm, 4096)
            unplug(vm, before)
            daemon.stop()
            status, said = vm.run('dd if=/dev/hwrng of=/dev/null bs=64 count=1')
            assert status != 0 and 'No such device' in said, said
            daemon = guest.Daemon(env.directory, name='planned')
            plug(vm, after)
            vm.reset()
            assert_reads(vm, 4096)
            assert_content(daemon)
    finally:
        daemon.kill()


def by_ctl(env, kind, name):
    """Two restarts with what dpdk-vhost-rng-ctl.py prints: SIGTERM, and kill -9."""
    control = os.path.join(env.directory, name + '.control')
    args = ['--control-socket', control]
    daemon = kind(env.directory, args, name=name)
    try:
        guest.wait_for(lambda: os.path.exists(control), guest.COMMAND_S, 'the control socket')
        words = device_words(ctl(control, 'qemu-args', '0'))
        commands = [json.loads(line) for line in ctl(control, 'qemu-replug', '0').splitlines()]
        assert [command['execute'] for command in commands] == [
            'device_del', 'chardev-remove', 'chardev-add', 'device_add'], commands
        with guest.Guest(env.directory, accel=env.accel, name=name + 'guest',
                         qemu_args=words) as vm:
            assert_reads(vm, 4096)
            for end in 'stop', 'kill':
                unplug(vm, commands[:2])
                getattr(daemon, end)()
                daemon = kind(env.directory, args, name=name)
                plug(vm, commands[2:])
            assert_content(daemon)
    finally:
        daemon.kill()


@suite.case('qemu-args and qemu-replug of dpdk-vhost-rng-ctl.py')
def _(env):
    by_ctl(env, guest.Daemon, 'ctl')


@suite.case('the same in client mode, where QEMU makes the socket')
def _(env):
    by_ctl(env, ClientDaemon, 'ctlclient')


if __name__ == '__main__':
    suite.main(make_env)

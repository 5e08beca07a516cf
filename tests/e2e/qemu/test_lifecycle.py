#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a device in its life, and to its guest, its QEMU and the daemon, while
the guest reads. (Resets, reboots, stop and cont, and the driver's coming and going are in
test_guest.py.) scripts/campaign.sh runs the long form of it and makes a table."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import guest
import tap
from machine import (LONG, PLUG, PLUG_S, ClientDaemon, add_chardev, blame_qemu, choose, features,
                     make_machine, plug, sources, unplug, wait_plugged)
from reading import (READ_S, assert_content, assert_fresh, assert_reads, rebind, start_reading,
                     stop_reading)

VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX = 28, 29
VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED = 33, 34

BOOT_KERNEL = os.environ.get('VRNG_BOOT_KERNEL') or os.path.join(
    guest.BUILD, 'tests/e2e/qemu/boot_kernel')

suite = tap.Suite()


def case(name, long_only=False):
    if long_only and not LONG:
        return lambda function: function
    return suite.case(name)


def times(short, long):
    return long if LONG else short


# Devices


@case('two devices: rng_current is switched between them, also during reads')
def _(env):
    vm = env.guest()
    tap.comment('guest Linux ' + vm.check('uname -r').strip())
    names = sources(vm)
    assert len(names) == 2, f'there are {names}'
    for name in names:
        choose(vm, name)
        assert_reads(vm, 4096)
    reader = start_reading(vm)
    for i in range(times(10, 50)):
        choose(vm, names[i % 2])
    stop_reading(vm, reader)
    assert_reads(vm)


@case(f'a device is plugged in and out {times(5, 50)} times')
def _(env):
    vm = env.guest()
    for _ in range(times(5, 50)):
        choose(vm, plug(vm, env.daemon.sockets[PLUG]))
        assert_reads(vm, 1024)
        unplug(vm)
    assert_reads(vm, 1024)


@case(f'a device is unplugged {times(3, 10)} times while it is read')
def _(env):
    vm = env.guest()
    reader = start_reading(vm)
    for _ in range(times(3, 10)):
        choose(vm, plug(vm, env.daemon.sockets[PLUG]))
        vm.run('sleep 0.1')
        unplug(vm)
    stop_reading(vm, reader)
    assert_reads(vm)


def check_option(env, options, bit, present):
    vm = env.guest()
    name = plug(vm, env.daemon.sockets[PLUG], **options)
    agreed = features(vm)[-1]
    assert (bit in agreed) == present, f'bit {bit} of {sorted(agreed)} is not as wanted'
    choose(vm, name)
    assert_reads(vm)
    unplug(vm)


@case('event_idx=off')
def _(env):
    check_option(env, {'event_idx': False}, VIRTIO_RING_F_EVENT_IDX, False)


@case('indirect_desc=off')
def _(env):
    check_option(env, {'indirect_desc': False}, VIRTIO_RING_F_INDIRECT_DESC, False)


@case('iommu_platform=on')
def _(env):
    check_option(env, {'iommu_platform': True}, VIRTIO_F_ACCESS_PLATFORM, True)


@case('packed=on')
def _(env):
    check_option(env, {'packed': True}, VIRTIO_F_RING_PACKED, True)


# The guest


@case('the driver module goes out and in ten times')
def _(env):
    vm = env.guest()
    for _ in range(10):
        vm.check('rmmod virtio_rng && insmod /modules/virtio_rng.ko')
        assert_reads(vm, 1024)


def memory_kib(vm):
    return int(vm.check("awk '/^MemTotal/ { print $2 }' /proc/meminfo"))


@case('memory is plugged in during a read')
def _(env):
    vm = env.guest()
    size = 512 * 1024
    before = memory_kib(vm)
    vm.check('rm -f /tmp/data')
    reader = vm.background(f'dd if=/dev/hwrng of=/tmp/data bs=4096 count={size // 4096}')
    for i in range(2):
        vm.command('object-add', **{'qom-type': 'memory-backend-memfd', 'id': f'more{i}',
                                    'size': 128 << 20, 'share': True})
        vm.command('device_add', driver='pc-dimm', id=f'dimm{i}', memdev=f'more{i}')
    guest.wait_for(lambda: not vm.running(reader), READ_S, 'the read')
    assert_fresh(vm, '/tmp/data', size)
    guest.wait_for(lambda: memory_kib(vm) > before + 200000, READ_S, 'the memory')
    assert_reads(vm)


@case('the guest is suspended to memory and woken during a read, its driver with it')
def _(env):
    # Once: a guest of QEMU 7.2 wakes up at once when it is suspended a second time.
    vm = env.guest()
    reader = start_reading(vm)
    ticket = vm.start('sleep 0.3; echo mem > /sys/power/state')
    vm.event('SUSPEND')
    assert vm.command('query-status')['status'] == 'suspended'
    vm.command('system_wakeup')
    vm.event('WAKEUP')
    status, output = vm.finish(ticket)
    assert status == 0, f'suspend: {output}'
    stop_reading(vm, reader)
    assert_reads(vm)


def initrd_with_kernel(env):
    """The guest's own initramfs, with the kernel, an initramfs and a program to boot them."""
    root = os.path.join(env.directory, 'kexec')
    os.makedirs(os.path.join(root, 'boot'))
    for name in ('vmlinuz', 'initramfs.cpio.gz'):
        shutil.copy(os.path.join(guest.GUEST_DIR, name), os.path.join(root, 'boot', name))
    shutil.copy(BOOT_KERNEL, os.path.join(root, 'boot/boot_kernel'))
    whole = os.path.join(env.directory, 'with-kernel.cpio')
    with open(whole, 'wb') as file:
        with open(os.path.join(guest.GUEST_DIR, 'initramfs.cpio.gz'), 'rb') as first:
            data = first.read()
        file.write(data + bytes(-len(data) % 4))
        file.flush()
        subprocess.run(['cpio', '--quiet', '--create', '--format=newc'], cwd=root, check=True,
                       input=b'boot\nboot/vmlinuz\nboot/initramfs.cpio.gz\nboot/boot_kernel\n',
                       stdout=file)
    return whole


@case('the guest boots another kernel by kexec during a read, which leaves its buffer behind',
      long_only=True)
def _(env):
    with env.other_guest(memory_mib=512, qemu_args=['-initrd', initrd_with_kernel(env)]) as vm:
        boot_id = vm.check('cat /proc/sys/kernel/random/boot_id')
        start_reading(vm)
        vm.reboot('/boot/boot_kernel /boot/vmlinuz /boot/initramfs.cpio.gz')
        assert vm.check('cat /proc/sys/kernel/random/boot_id') != boot_id
        assert_reads(vm)


# Machines and memory


# The reset costs one more boot; test_guest.py has it in the short form.
def check_machine(env, resets=LONG, **more):
    with env.other_guest(**more) as vm:
        assert_reads(vm)
        rebind(vm)
        assert_reads(vm, 4096)
        reader = start_reading(vm)
        vm.command('stop')
        vm.command('cont')
        stop_reading(vm, reader)
        if resets:
            vm.reset()
        assert_reads(vm, 4096)


@case('machine pc, memory from a file in /dev/shm')
def _(env):
    file = '/dev/shm/vrng-guest-memory-%d' % os.getpid()
    try:
        check_machine(env, qemu_args=[
            '-object', f'memory-backend-file,id=shm,mem-path={file},size=256M,share=on',
            '-machine', 'pc,memory-backend=shm'])
    finally:
        if os.path.exists(file):
            os.unlink(file)


@case('machine microvm, the device on virtio-mmio')
def _(env):
    # It has one serial port, and no reset button that Linux would come back from. Nor has it a
    # clock to measure another one by: on a busy host Linux would measure the TSC for ever.
    words = 'tsc_early_khz=2000000 lpj=4000000' if env.accel == 'tcg' else ''
    check_machine(env, resets=False, one_port=True, device='vhost-user-rng', kernel_words=words,
                  qemu_args=['-machine', 'microvm,acpi=on,memory-backend=mem'])


@case('memory from hugepages')
def _(env):
    reserved = reserve_hugepages(130)
    try:
        check_machine(env, qemu_args=[
            '-object', 'memory-backend-memfd,id=huge,size=256M,share=on,hugetlb=on,'
            'hugetlbsize=2M', '-machine', 'q35,memory-backend=huge'])
    finally:
        restore_hugepages(reserved)


HUGEPAGES = '/sys/kernel/mm/hugepages/hugepages-2048kB/'


def read_number(name):
    with open(HUGEPAGES + name) as file:
        return int(file.read())


def reserve_hugepages(n):
    """Sees that n are free; returns how many there were, for restore_hugepages()."""
    try:
        before, free = read_number('nr_hugepages'), read_number('free_hugepages')
        if free < n:
            with open(HUGEPAGES + 'nr_hugepages', 'w') as file:
                file.write(str(before + n - free))
        if read_number('free_hugepages') >= n:
            return before
        restore_hugepages(before)
    except OSError as error:
        raise tap.Skip(f'no hugepages can be reserved: {error}') from None
    raise tap.Skip(f'{n} hugepages of 2 MiB are not free here, and cannot be reserved')


def restore_hugepages(n):
    if read_number('nr_hugepages') != n:
        with open(HUGEPAGES + 'nr_hugepages', 'w') as file:
            file.write(str(n))


# The daemon and the front-end


def restart_during_read(env, name, n, **more):
    """A daemon in client mode is killed and started again n times while its guest reads.
    Returns its log."""
    size = times(256, 512) * 1024
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(ClientDaemon(env.directory, name=name))
        vm = stack.enter_context(guest.Guest(env.directory, daemon.sockets, accel=env.accel,
                                             name=name + 'guest', listen=True, **more))
        assert_reads(vm, 4096)
        killed_in_read = 0
        for i in range(n):
            vm.check('rm -f /tmp/data')
            reader = vm.background(f'dd if=/dev/hwrng of=/tmp/data bs=4096 count={size // 4096}')
            vm.run('sleep 0.05')
            killed_in_read += vm.running(reader)
            assert_content(daemon)
            if i % 3 == 2:
                daemon.stop()
            else:
                daemon.kill()
            daemon = stack.enter_context(ClientDaemon(env.directory, name=name))
            guest.wait_for(lambda pid=reader: not vm.running(pid), READ_S,
                           f'the read after restart number {i + 1}')
            assert_fresh(vm, '/tmp/data', size)
        assert_content(daemon)
        assert killed_in_read, 'no read was under way at any restart'
        tap.comment(f'{killed_in_read} of {n} restarts came during a read')
        return daemon.log()


@case(f'client mode: the daemon is killed or ended {times(4, 20)} times during a read')
def _(env):
    env.end_guest()
    restart_during_read(env, 'restart', times(4, 20))


@case(f'client mode, packed=on: the daemon is killed or ended {times(2, 10)} times during a read')
def _(env):
    env.end_guest()
    log = restart_during_read(env, 'packed', times(2, 10), device_options=',packed=on')
    if 'goes on where the ring itself says' in log:
        blame_qemu('gives a back-end that comes back the base that the packed ring had at first; '
                   'the daemon finds the right one in the ring')


@case('client mode: QEMU is killed during a read, and a new one is found')
def _(env):
    env.end_guest()
    with ClientDaemon(env.directory, name='finder') as daemon:
        for i in range(2):
            with guest.Guest(env.directory, daemon.sockets, accel=env.accel, listen=True,
                             name=f'found{i}') as vm:
                assert_reads(vm, 4096)
                start_reading(vm)
                vm.run('sleep 0.1')
                vm.kill()
        assert daemon.alive, 'the daemon ended'
        assert_content(daemon)


@case('server mode, reconnect=1: the daemon is killed during a read')
def _(env):
    vm = env.guest()
    before = sources(vm)
    daemon = guest.Daemon(env.directory, name='again')
    try:
        # With the device on QEMU's command line QEMU 7.2 aborts.
        add_chardev(vm, 'plug1', daemon.sockets[0], reconnect=1)
        guest.wait_for(lambda: any(c['label'] == 'plug1' and 'disconnected' not in c['filename']
                                   for c in vm.command('query-chardev')), PLUG_S, 'to connect')
        vm.command('device_add', driver='vhost-user-rng-pci', id='plugged1', bus='slot1',
                   chardev='plug1')
        choose(vm, wait_plugged(vm, before))
        for _ in range(times(2, 5)):
            assert_reads(vm, 4096)
            reader = start_reading(vm)
            vm.run('sleep 0.1')
            assert_content(daemon)
            daemon.kill()
            daemon = guest.Daemon(env.directory, name='again')
            assert_reads(vm, 4096)
            stop_reading(vm, reader)
        assert_content(daemon)
        unplug(vm, 1)
    finally:
        daemon.kill()


@case("server mode, reconnect=1 on QEMU's command line", long_only=True)
def _(env):
    env.end_guest()
    with guest.Daemon(env.directory, name='behind') as daemon:
        try:
            with guest.Guest(env.directory, [], accel=env.accel, name='early', qemu_args=[
                    '-chardev', f'socket,id=rng0,path={daemon.sockets[0]},reconnect=1',
                    '-device', 'vhost-user-rng-pci,chardev=rng0']) as vm:
                assert_reads(vm)
        except guest.Broken as error:
            if 'Assertion' not in str(error):
                raise
            raise tap.Skip(blame_qemu('aborts at its start')) from None


@case('a second QEMU on a socket that is served is refused at once')
def _(env):
    vm = env.guest()
    start = time.monotonic()
    with guest.Guest(env.directory, [], accel=env.accel, name='second', wait=False,
                     qemu_args=['-device', 'pcie-root-port,id=slot0']) as second:
        add_chardev(second, 'taken', env.daemon.sockets[0])
        try:
            second.command('device_add', driver='vhost-user-rng-pci', id='second', bus='slot0',
                           chardev='taken')
        except guest.Broken:
            # 7.2 does not take it well: error_setv: Assertion `*errp == NULL' failed.
            assert second.wait(10) == -signal.SIGABRT, second.tail()
            blame_qemu('aborts, instead of refusing the device')
        except AssertionError as refusal:
            tap.comment(refusal)
        else:
            raise AssertionError('it was taken')
    took_s = time.monotonic() - start
    assert took_s < guest.COMMAND_S / 2, f'it took {took_s:.0f} s'
    assert_reads(vm)
    assert 'a second front-end' in env.daemon.log()
    env.daemon.complaints()


if __name__ == '__main__':
    suite.main(make_machine)

# SPDX-License-Identifier: BSD-3-Clause
"""What cases do with a guest that has the device: read, and judge what was read."""

HWRNG = '/sys/class/misc/hw_random'
DRIVER = '/sys/bus/virtio/drivers/virtio_rng'

# What a guest reads at its slowest, under TCG on a busy machine, is some
# 50 kB/s; a read that takes longer than this hangs.
READ_S = 30


def assert_content(daemon):
    """It finds nothing wrong with its guests."""
    lines = daemon.complaints()
    assert not lines, f'{daemon.name} says: {lines}'


def assert_reads(vm, size=65536):
    """A fresh read gives `size` bytes, and no 32 of them twice."""
    vm.check(f'rm -f /tmp/data; dd if=/dev/hwrng of=/tmp/data bs={size} count=1 iflag=fullblock',
             READ_S)
    assert_fresh(vm, '/tmp/data', size)


def assert_fresh(vm, path, size):
    got = int(vm.check(f'stat -c %s {path}'))
    assert got == size, f'{got} bytes arrived, {size} were asked for'
    repeats = int(vm.check(f"hexdump -v -e '32/1 \"%02x\" \"\\n\"' {path} | "
                           'sort | uniq -d | wc -l'))
    assert repeats == 0, f'{repeats} of {size // 32} blocks of 32 bytes are equal to another'


def start_reading(vm):
    """A process in the guest that reads without an end, also across errors."""
    return vm.background("sh -c 'while :; do dd if=/dev/hwrng of=/dev/null bs=4096 count=16;"
                         " sleep 0.02; done'")


def stop_reading(vm, pid):
    vm.check(f'kill {pid}; while test -d /proc/{pid}; do sleep 0.1; done', READ_S)


def rebind(vm):
    """The driver lets go of the device and takes it again."""
    device = vm.check(f'cd {DRIVER}; echo virtio*').strip()
    vm.check(f'echo {device} > {DRIVER}/unbind; echo {device} > {DRIVER}/bind')

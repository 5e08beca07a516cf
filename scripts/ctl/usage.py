# SPDX-License-Identifier: BSD-3-Clause
"""What --help says. tests/docs/test_man.py compares it with the man page, tests/scripts/test_ctl.py
with what is accepted."""

HELP = """\
usage: dpdk-vhost-rng-ctl.py [options] COMMAND ...
       dpdk-vhost-rng-ctl.py --status

Shows and changes what a running dpdk-vhost-rng does, over its --control-socket.

options:
  -s, --status              the same as the command "status"
  -j, --json                print JSON instead of text
      --control-socket PATH where the daemon listens ($VRNG_CONTROL_SOCKET, or
                            /run/dpdk-vhost-rng/control.sock)
  -h, --help                this text; after a command: of that command

what there is:
  status [GUEST]            the daemon, its sources, lcores and guests; or one guest
  names                     the guests' names, one on a line
  version                   of the daemon, of DPDK and of the protocol
  top                       a live view: rates, throttled and broken guests, lcores,
                            sources; keys: q ends it, r n t sort, j k scroll
      --interval SECONDS    between two samples, 0.1 to 3600 (1)
      --sort KEY            rate, name, or total (rate)
      --once                print one frame without a terminal, and end
      --batch N             print N frames
  doctor                    what of this host could be better for the daemon, and the
                            command that does it; changes nothing
      --root DIR            look at files below DIR instead: for tests

what changes:
  add GUEST SOCKET          make a socket, and serve the guest that comes there
      --weight N            its part of the budget, 1 to 1000 (1)
      --cap BYTES           most bytes in a period, or none (none)
      --burst BYTES         what it may keep of its share (as --burst of the daemon)
      --burst-once BYTES    what it may have beyond its share, one time (the same)
      --lcore N             which serves it, or any (any)
  remove GUEST...           close connection and socket, and forget it
  set GUEST                 --weight, --cap and --burst of a guest, as with add
  set                       without GUEST: what all guests together may have
      --max-bytes BYTES     in a period, or none
      --max-requests N      in a period, or none
  move GUEST LCORE          let this lcore serve it; any: whichever has least to do
  reseed                    reseed all DRBGs
  reload                    read the daemon's --config again
  log-level LEVEL           error, warning, notice, info or debug
  drain GUEST...            serve it until its front-end leaves, then remove it
      --all                 drain all guests; the daemon ends with the last one
      --cancel              no, stay

what to paste:
  qemu-args GUEST           options of QEMU, for a shell
      --memory SIZE         of the virtual machine (1G)
  qemu-replug GUEST         QMP commands for a restart of the daemon: two that unplug
                            the device of qemu-args, two that plug it in again
  libvirt-xml GUEST         parts of a libvirt domain; user libvirt-qemu must be able to
                            search the socket's directory, and to write to the socket:
                            option socket-group=kvm of the daemon (Debian)

BYTES takes the suffixes k, M, G, T (powers of 1000) and Ki, Mi, Gi, Ti (of 1024).

The exit status is 0 when all is well, 1 when the daemon refused, 2 for bad usage, 3
when doctor found something to improve, 4 when no daemon answers, 5 when what answers
does not speak this version of its protocol.

examples:
  dpdk-vhost-rng-ctl.py --status
  dpdk-vhost-rng-ctl.py add vm7 /run/dpdk-vhost-rng/vm7.sock --weight 2 --cap 1Mi
  dpdk-vhost-rng-ctl.py set --max-bytes 512k
  dpdk-vhost-rng-ctl.py drain vm7
  eval qemu-system-x86_64 "$(dpdk-vhost-rng-ctl.py qemu-args vm7)" ...
  dpdk-vhost-rng-ctl.py --json status vm7 | jq .counters.bytes
"""

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs in the machine of package.sh --boot, as root, under systemd: installs the package, and sees
# whether its units do what they say. Prints TAP.

set -uo pipefail

deb=$1
unit=dpdk-vhost-rng.service
instance=dpdk-vhost-rng@tenant.service
exporter=dpdk-vhost-rng-exporter.service
run_dir=/run/dpdk-vhost-rng
etc=/etc/dpdk-vhost-rng
# For what takes a moment, on a machine that may be a slow one.
PATIENCE_S=120

cases=0

# Runs a case: WHAT FUNCTION [ARGUMENT...]. It is a process of its own, which die() ends.
# shellcheck disable=SC2001 # each line
try()
{
    local what=$1 said

    shift
    ((cases++))
    if said=$("$@" 2>&1); then
        printf 'ok %d - %s\n' "$cases" "$what"
        [[ -z $said ]] || sed 's/^/# /' <<<"$said"
        return
    fi
    printf 'not ok %d - %s\n' "$cases" "$what"
    sed 's/^/# /' <<<"$said"
    journalctl -b -q --no-pager -n 25 -o short-monotonic | sed 's/^/#   /'
}

die()
{
    printf '%s\n' "$*"
    exit 1
}

# Waits until a command says yes: WHAT COMMAND...
wait_for()
{
    local what=$1 i

    shift
    for ((i = 0; i < PATIENCE_S * 5; i++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    die "not within $PATIENCE_S s: $what"
}

# A property of a unit, or of the one that most is about: NAME [UNIT].
show()
{
    systemctl show --value -p "$1" "${2-$unit}"
}

is()
{
    [[ $(show "$1" "${3-$unit}") == "$2" ]]
}

wants()
{
    is "$@" || die "$1 of ${3-$unit} is \"$(show "$1" "${3-$unit}")\", not \"$2\""
}

runs()
{
    wants ActiveState active "${1-$unit}"
    wants SubState running "${1-$unit}"
}

# What a file or socket is: PATH "USER:GROUP MODE".
has_rights()
{
    [[ -e $1 ]] || die "$1 is not there"
    [[ $(stat -c '%U:%G %a' "$1") == "$2" ]] || die "$1 is $(stat -c '%U:%G %a' "$1"), not $2"
}

# Starts it anew with other options: WORDS.
start_with()
{
    mkdir -p "$etc"
    printf 'VRNG_OPTIONS=%s\n' "$1" >"$etc/default.env"
    systemctl reset-failed "$unit" 2>/dev/null
    systemctl restart "$unit" || die "it does not start with $1"
}

# Reads as a guest would, and as a user who is in the sockets' group only: SOCKET [USER GROUP].
serves()
{
    setpriv --reuid "${2-root}" --regid "${3-root}" --clear-groups \
        dpdk-vhost-rng-bench -s "$1" --count 1000 --size 64 --verify --timeout "$PATIENCE_S" >/tmp/bench 2>&1 ||
        die "no answer from $1: $(cat /tmp/bench)"
}

# A word of what the daemon says of itself: PYTHON, of the status "s".
status()
{
    dpdk-vhost-rng-ctl.py --json status |
        python3 -c "import json, sys; s = json.load(sys.stdin)['status']; print($1)"
}

# What it says is of interest when it fails: ACTION WHAT.
dpkg_says()
{
    dpkg "$@" >/tmp/dpkg 2>&1 || die "dpkg $*: $(cat /tmp/dpkg)"
}

installs()
{
    dpkg_says -i "$deb"
    [[ $(id -nG vrng) == 'vrng kvm' ]] || die "vrng is in $(id -nG vrng)"
    has_rights "$run_dir" 'vrng:vrng 755'
    [[ $(systemctl is-enabled "$unit" "$exporter") == disabled$'\n'disabled ]] || die 'it enables units'
    wants ActiveState inactive
}

starts()
{
    systemctl start "$unit" || die 'systemctl start failed'
    runs
    wants Type notify
    wants StatusText '0 of 1 guests served'
    wants NRestarts 0
}

default_sockets()
{
    has_rights "$run_dir/rng.sock0" 'vrng:vrng 600'
    has_rights "$run_dir/control.sock" 'vrng:vrng 600'
    has_rights "$run_dir/dpdk/rte/dpdk_telemetry.v2" 'vrng:vrng 700'
    serves "$run_dir/rng.sock0"
}

# What QEMU's group is for.
group_sockets()
{
    start_with "-s $run_dir/rng.sock -c 2 --socket-group=kvm --control-socket=$run_dir/control.sock --telemetry --idle=adaptive"
    has_rights "$run_dir/rng.sock1" 'vrng:kvm 660'
    serves "$run_dir/rng.sock1" nobody kvm
}

tells_guests()
{
    local bench

    dpdk-vhost-rng-bench -s "$run_dir/rng.sock0" --duration "$PATIENCE_S" --wait block >/dev/null 2>&1 &
    bench=$!
    wait_for 'the status has a guest' is StatusText '1 of 2 guests served'
    kill "$bench"
    wait_for 'the guest is gone' is StatusText '0 of 2 guests served'
}

# Both systemd's and the daemon's own.
is_sandboxed()
{
    local pid word

    pid=$(show MainPID)
    for word in "Uid: $(id -u vrng)" 'CapEff: 0000000000000000' 'CapBnd: 0000000000000000' 'NoNewPrivs: 1' 'Seccomp: 2'; do
        tr -s '\t' ' ' <"/proc/$pid/status" | grep -q "^$word" || die "$(grep "^${word%% *}" "/proc/$pid/status"), not $word"
    done
    [[ $(readlink "/proc/$pid/ns/net") != $(readlink /proc/self/ns/net) ]] || die 'it has the network'
    [[ ! -e /proc/$pid/root/root/.bashrc && ! -w /proc/$pid/root/usr ]] || die 'it sees /root'
    status "' '.join(p['part'] + '=' + p['state'] for p in s['sandbox'])"
    [[ $(status "[p for p in s['sandbox'] if p['state'] == 'missing']") == '[]' ]] ||
        die "missing: $(status "[p for p in s['sandbox'] if p['state'] == 'missing']")"
    [[ $(status "s['refused-calls']") == 0 ]] || die "$(status "s['refused-calls']") system calls were refused"
}

# It may have something to say of the machine, not of the units.
satisfies_doctor()
{
    dpdk-vhost-rng-ctl.py doctor >/tmp/doctor || (($? == 3)) || die "$(cat /tmp/doctor)"
    ! grep -E '^(daemon|source|open files|locked memory|control|sockets|sandbox) +(better|wrong)' -A 1 /tmp/doctor ||
        die 'so the doctor'
}

exposure()
{
    systemd-analyze security --no-pager --threshold="$2" "$1" >/tmp/security || die "$(tail -n 1 /tmp/security)"
    tail -n 1 /tmp/security
}

exports()
{
    systemctl start "$exporter" || die 'it does not start'
    wait_for 'the exporter answers' scrape
    runs "$exporter"
    grep -q '^vhost_rng_up 1' /tmp/scrape || die "$(grep '^vhost_rng_up' /tmp/scrape)"
    grep -q '^vhost_rng_guest_requests_total{guest="1"} 1000' /tmp/scrape || die "$(grep requests_total /tmp/scrape)"
    systemctl stop "$exporter"
    wants Result success "$exporter"
}

scrape()
{
    python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:9878/metrics", timeout=20).read().decode())' >/tmp/scrape
}

# Without a file there is nothing to read again, and no reason to end.
reload_without_file()
{
    local pid

    pid=$(show MainPID)
    systemctl reload "$unit" || die 'systemctl reload failed'
    sleep 2
    runs
    [[ $(show MainPID) == "$pid" ]] || die 'it is another process'
}

configure()
{
    printf '[daemon]\ncontrol-socket = %s/control.sock\nidle = adaptive\n' "$run_dir"
    printf '[guest %s]\nsocket = '"$run_dir"'/%s.sock\n' "$@"
}

reload_file()
{
    local pid

    mkdir -p "$etc"
    configure a a >"$etc/daemon.conf"
    start_with "--config $etc/daemon.conf"
    pid=$(show MainPID)
    configure a a b b >"$etc/daemon.conf"
    systemctl reload "$unit" || die 'systemctl reload failed'
    wait_for 'the new guest has its socket' test -S "$run_dir/b.sock"
    [[ $(show MainPID) == "$pid" ]] || die 'it is another process'
    serves "$run_dir/b.sock"
}

reload_wrong_file()
{
    local pid

    pid=$(show MainPID)
    printf 'weight = many\n' >>"$etc/daemon.conf"
    ! systemctl reload "$unit" 2>/dev/null || die 'systemctl reload did not say that the file is wrong'
    runs
    kill -HUP "$pid"
    wait_for 'the log says what is wrong' sh -c "journalctl -b -u $unit | grep -q 'SIGHUP: nothing has changed: .*daemon.conf'"
    runs
    [[ $(show MainPID) == "$pid" ]] || die 'it is another process'
    serves "$run_dir/b.sock"
    configure a a >"$etc/daemon.conf"
    systemctl reload "$unit" || die 'a good file was not read again'
    # The reload ends when that is done.
    [[ ! -e $run_dir/b.sock ]] || die 'the removed guest has its socket'
}

# A check of the file finds nothing: only the daemon that runs knows of that guest.
reload_refused_by_daemon()
{
    local pid

    pid=$(show MainPID)
    dpdk-vhost-rng-ctl.py add c "$run_dir/c.sock" >/dev/null || die 'the guest is not added'
    configure a a c c >"$etc/daemon.conf"
    dpdk-vhost-rng --config "$etc/daemon.conf" --check-config >/dev/null || die 'the file is wrong'
    ! systemctl reload "$unit" 2>/dev/null || die 'systemctl reload did not say that it was refused'
    journalctl -b -u "$unit" | grep -q 'reload: guest c, .*added over the control socket' || die 'nor does the journal'
    runs
    [[ $(show MainPID) == "$pid" ]] || die 'it is another process'
    dpdk-vhost-rng-ctl.py remove c >/dev/null
    systemctl reload "$unit" || die 'it is refused still'
    [[ -S $run_dir/c.sock ]] || die 'the new guest has no socket'
}

# It has no way to answer: what a check of the file finds is refused, and else it is told.
reload_without_control_socket()
{
    printf '[guest a]\nsocket = %s/a.sock\n' "$run_dir" >"$etc/daemon.conf"
    start_with "--config $etc/daemon.conf"
    printf '[guest b]\nsocket = %s/b.sock\n' "$run_dir" >>"$etc/daemon.conf"
    systemctl reload "$unit" || die 'systemctl reload failed'
    wait_for 'the new guest has its socket' test -S "$run_dir/b.sock"
    printf 'socket-group = no-such-group\n' >>"$etc/daemon.conf"
    ! systemctl reload "$unit" 2>/dev/null || die 'systemctl reload did not say that the file is wrong'
    runs
}

instance_beside()
{
    start_with "-s $run_dir/rng.sock --control-socket=$run_dir/control.sock --telemetry --idle=adaptive"
    systemctl start "$instance" || die 'it does not start'
    runs "$instance"
    wants StatusText '0 of 1 guests served' "$instance"
    serves "$run_dir/tenant/rng.sock0"
    dpdk-vhost-rng-ctl.py --control-socket "$run_dir/tenant/control.sock" status >/dev/null || die 'no control socket'
    systemctl stop "$unit"
    serves "$run_dir/tenant/rng.sock0"
    systemctl start "$unit"
    serves "$run_dir/rng.sock0"
    systemctl stop "$instance"
    wants Result success "$instance"
    [[ ! -e $run_dir/tenant/rng.sock0 ]] || die 'its socket is left'
    serves "$run_dir/rng.sock0"
}

restarted()
{
    wants NRestarts "$1"
    runs
    wait_for 'it serves again' is StatusText '0 of 1 guests served'
    serves "$run_dir/rng.sock0"
}

# A restart leaves to guests what they have in that directory.
killed()
{
    local pid

    systemctl restart "$unit"
    pid=$(show MainPID)
    touch "$run_dir/of-a-guest"
    kill -KILL "$pid"
    wait_for 'systemd starts it again' eval "is NRestarts 1 && is SubState running"
    restarted 1
    [[ $(show MainPID) != "$pid" ]] || die 'it is the same process'
    [[ -e $run_dir/of-a-guest ]] || die "the restart has emptied $run_dir"
    rm "$run_dir/of-a-guest"
}

# Stops the thread that polls, as a debugger does, and lets go of it when it has ended.
stop_lcore()
{
    local task

    for task in /proc/"$1"/task/*; do
        [[ $(<"$task/comm") == vrng-lcore-* ]] || continue
        python3 - "${task##*/}" <<'PYTHON'
import ctypes, os, sys
SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
tid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
for request in SEIZE, INTERRUPT:
    if libc.ptrace(request, tid, 0, 0) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
while os.WIFSTOPPED(os.waitpid(tid, WALL)[1]):
    pass
PYTHON
        return
    done
    die 'it has no lcore'
}

stuck()
{
    systemctl restart "$unit"
    stop_lcore "$(show MainPID)" || die 'its lcore cannot be stopped'
    wait_for 'systemd starts it again' eval "is NRestarts 1 && is SubState running"
    journalctl -b -u "$unit" | grep -q 'has made no progress' || die 'it was for another reason'
    restarted 1
}

# The whole process.
frozen()
{
    systemctl restart "$unit"
    kill -STOP "$(show MainPID)"
    wait_for 'systemd starts it again' eval "is NRestarts 1 && is SubState running"
    restarted 1
}

# A start that is refused ends the unit for good: ENVIRONMENT_FILE UNIT OPTIONS.
is_refused()
{
    printf 'VRNG_OPTIONS=%s\n' "$3" >"$etc/$1.env"
    ! systemctl restart "$2" 2>/dev/null || die "$2 starts with $3"
    # Longer than RestartSec=.
    sleep 2
    wants ActiveState failed "$2"
    wants Result exit-code "$2"
    wants ExecMainStatus 2 "$2"
    wants NRestarts 0 "$2"
    rm "$etc/$1.env"
    systemctl reset-failed "$2"
}

refused_options()
{
    local options=(
        '--socket-count=many'
        "-s $run_dir/rng.sock --socket-group=no-such-group"
        '-s /run/no-such-directory/rng.sock'
        "-s $run_dir/rng.sock -f /etc/no-such-source"
        "-s $run_dir/rng.sock --lcores=1000"
    ) words

    for words in "${options[@]}"; do
        is_refused default "$unit" "$words"
    done
    is_refused tenant "$instance" "-s $run_dir/tenant/rng.sock --socket-group=no-such-group"
}

is_repeated()
{
    (($(show NRestarts) >= 2))
}

# A socket that is in use may be free at the next start.
failed_start()
{
    local other

    setpriv --reuid vrng --regid vrng --clear-groups dpdk-vhost-rng -s "$run_dir/taken" >/dev/null 2>&1 &
    other=$!
    wait_for 'another daemon has the socket' test -S "$run_dir/taken0"
    printf 'VRNG_OPTIONS=-s %s/taken\n' "$run_dir" >"$etc/default.env"
    ! systemctl restart "$unit" 2>/dev/null || die 'it starts'
    wait_for 'systemd repeats the start' is_repeated
    kill "$other"
    wait_for 'it serves when the socket is free' is StatusText '0 of 1 guests served'
    rm "$etc/default.env"
    systemctl stop "$unit"
}

# Within TimeoutStopSec, or else systemd's result is another one.
stops()
{
    local begin took

    systemctl restart "$unit"
    serves "$run_dir/rng.sock0"
    begin=${EPOCHREALTIME/./}
    systemctl stop "$unit" || die 'systemctl stop failed'
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    wants ActiveState inactive
    wants Result success
    wants ExecMainStatus 0
    [[ ! -e $run_dir/rng.sock0 && ! -e $run_dir/control.sock ]] || die "sockets are left: $(ls "$run_dir")"
    printf '%d ms\n' "$took"
}

# A restart would cut guests off. Installing the same package again runs the same scripts.
upgrades()
{
    local bench pid instances_pid exporters_pid

    systemctl start "$unit" "$instance" "$exporter"
    pid=$(show MainPID)
    instances_pid=$(show MainPID "$instance")
    exporters_pid=$(show MainPID "$exporter")
    dpdk-vhost-rng-bench -s "$run_dir/rng.sock0" --rate 100 --duration 36000 --wait block --verify \
        >/tmp/bench 2>&1 &
    bench=$!
    wait_for 'the guest is served' is StatusText '1 of 1 guests served'
    dpkg_says -i "$deb"
    [[ $(show MainPID) == "$pid" ]] || die "the upgrade has restarted $unit"
    [[ $(show MainPID "$instance") == "$instances_pid" ]] || die "the upgrade has restarted $instance"
    [[ $(show MainPID "$exporter") != "$exporters_pid" ]] || die "the upgrade has not restarted $exporter"
    runs
    runs "$instance"
    runs "$exporter"
    wants StatusText '1 of 1 guests served'
    kill -0 "$bench" || die "the guest lost the daemon: $(cat /tmp/bench)"
    kill "$bench"
    wait_for 'the guest is gone' is StatusText '0 of 1 guests served'
    serves "$run_dir/tenant/rng.sock0"
    grep -q "^$unit: not restarted (1 of 1 guests served)" /tmp/dpkg || die "dpkg does not name $unit: $(cat /tmp/dpkg)"
    grep -q "systemctl restart $instance\$" /tmp/dpkg || die "dpkg does not name $instance: $(cat /tmp/dpkg)"
    systemctl stop "$exporter"
    systemctl restart "$unit" || die 'the new program does not start'
    serves "$run_dir/rng.sock0"
}

# Neither by systemd's filter nor by ours; but for clone3() (435), which ours says is not there, so
# that libc makes threads by clone().
# Each line has the priority that the daemon gave it, not the journal's default (6).
has_priorities()
{
    journalctl -b -q -u "$unit" -p 5..5 -o cat | grep -q '^vhost-rng: dpdk-vhost-rng [0-9.]*, DPDK [0-9.]*$' ||
        die 'the versions are not at priority 5 (notice)'
    journalctl -b -q -u "$unit" -p 3..3 -o cat | grep -q '^vhost-rng: SIGHUP: nothing has changed' ||
        die 'a refused reload is not at priority 3 (err)'
    ! journalctl -b -q -u "$unit" -o cat | grep '^<[0-7]>' || die 'a prefix was not understood'
}

nothing_refused()
{
    ! journalctl -b -q --no-pager | grep -E 'type=1326|sandbox: (refused|without)' |
        grep -Ev 'syscall=435 .* code=0x50000$' || die 'so the journal'
}

is_removed()
{
    dpkg_says --purge dpdk-vhost-rng
    wants LoadState not-found
    ! grep -lsx dpdk-vhost-rng /proc/[0-9]*/comm || die 'it still runs'
    [[ -z $(systemctl list-units --failed --no-legend 'dpdk-vhost-rng*') ]] || die 'a unit has failed'
}

printf '# %s, Linux %s\n' "$(systemctl --version | head -n 1)" "$(uname -r)"
try 'the package makes its user and directory, and starts nothing' installs
try 'the service is active when it serves' starts
try "sockets are the unit's user's, and a guest is served" default_sockets
try 'who is in the group of the sockets is served' group_sockets
try 'the status says how many guests are served' tells_guests
try "systemd's sandbox and the daemon's own are in force" is_sandboxed
try 'the doctor has nothing to say against the unit' satisfies_doctor
try 'systemd calls the daemon safe' exposure "$unit" 10
try 'systemd calls the exporter safe' exposure "$exporter" 15
try 'the exporter answers' exports
try 'reload without a file ends nothing' reload_without_file
try 'reload reads the file again' reload_file
try 'reload of a wrong file is refused, and it serves on' reload_wrong_file
try 'reload that only the daemon refuses fails' reload_refused_by_daemon
try 'reload without a control socket checks the file' reload_without_control_socket
try 'an instance serves beside it, and without it' instance_beside
try 'after kill -9 it serves again' killed
try 'when an lcore stands still, the watchdog has it started again' stuck
try 'when all of it stands still, too' frozen
try 'a start that is refused is not repeated' refused_options
try 'a start that fails is repeated until it succeeds' failed_start
try 'it stops at once, and removes its sockets' stops
try 'an upgrade restarts no daemon, and names those that run' upgrades
try 'the journal has priorities' has_priorities
try 'no system call was refused' nothing_refused
try 'it is removed while it runs, and an instance' is_removed
printf '1..%d\n' "$cases"

#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Prepares a host for dpdk-vhost-rng, shows and checks what there is, and undoes what it did.
#
# Each change is written to a state file before it is made, with what was there before, so that
# also a run that was cut off can be undone. What somebody else has changed since is left alone.

set -euo pipefail

RUN_DIR=/run/dpdk-vhost-rng
STATE=/var/lib/dpdk-vhost-rng/setup.state

usage()
{
    cat <<USAGE
usage: ${0##*/} [options]

Prepares this host for dpdk-vhost-rng. Without options that change something it only
shows what there is. What is as asked for already is left alone, so it may be run
again; --undo restores what was changed.

  --hugepages N[xSIZE][@NODE]
                    have at least N hugepages reserved: of SIZE (such as 2M or 1G;
                    the system's default size), on NUMA node NODE (on all, as the
                    kernel spreads them); may be given several times. For guests'
                    memory, and for the daemon with EAL options such as --in-memory;
                    without such options the daemon uses none
  --group GROUP     have this group, and give the run directory to it: its members
                    reach the sockets
  --user USER       give the run directory to this user (root)
  --run-dir DIR     have this directory for sockets; --group and --user alone mean
                    $RUN_DIR
  --cpus LIST       check that these CPUs, such as 2,4-6, are fit to poll: online,
                    isolated, without a timer tick, no governor that slows them
  --undo            restore what was changed by all runs before
  -n, --dry-run     only say what would be changed
  --state FILE      where changes are remembered ($STATE)
  --root DIR        look at and change what is below DIR instead: for tests
  -h, --help        this text

The exit status is 0 when all is well, 1 when something could not be done, 2 for a bad
option, 3 when all was done and a check found something to improve.

examples:
  ${0##*/}                                        # show
  ${0##*/} --hugepages 16x2M@0 --group kvm --cpus 2,3
  ${0##*/} --undo
USAGE
}

say()
{
    printf 'setup: %s\n' "$*"
}

die()
{
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

usage_error()
{
    printf 'setup: %s; see --help\n' "$*" >&2
    exit 2
}

hugepages=()
cpus=
group=
user=
run_dir=
undo=no
dry_run=no
state=
root=
status=0

while (($#)); do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    -n | --dry-run) dry_run=yes ;;
    --undo) undo=yes ;;
    --hugepages | --group | --user | --run-dir | --cpus | --state | --root)
        [[ -n ${2-} ]] || usage_error "$1 needs a value"
        case $1 in
        --hugepages) hugepages+=("$2") ;;
        --group) group=$2 ;;
        --user) user=$2 ;;
        --run-dir) run_dir=$2 ;;
        --cpus) cpus=$2 ;;
        --state) state=$2 ;;
        --root) root=${2%/} ;;
        esac
        shift
        ;;
    *) usage_error "\"$1\" is not an option" ;;
    esac
    shift
done

name_form='^[a-z_][a-z0-9_-]{0,30}$'
[[ -z $group || $group =~ $name_form ]] || usage_error "--group \"$group\" is not a group's name, such as kvm"
[[ -z $user || $user =~ $name_form ]] || usage_error "--user \"$user\" is not a user's name, such as vrng"
[[ -z $run_dir || $run_dir == /*[!/]* ]] || usage_error "--run-dir \"$run_dir\" is not an absolute path, such as $RUN_DIR"
[[ -z $cpus || $cpus =~ ^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$ ]] ||
    usage_error "--cpus \"$cpus\" is not a list of CPUs, such as 2,4-6"
while IFS=- read -r first last; do
    ((10#$first <= 10#${last:-$first})) || usage_error "--cpus \"$cpus\" has a range that ends before it begins"
done < <(tr , '\n' <<<"${cpus:-0}")
[[ -n $run_dir || -z $group$user ]] || run_dir=$RUN_DIR
# With a slash behind it, a link would not look like one.
run_dir=${run_dir%"${run_dir##*[!/]}"}
pages_form='^([0-9]{1,7})(x([0-9]{1,7})([KMG]))?(@([0-9]{1,4}))?$'
for pages in "${hugepages[@]}"; do
    [[ $pages =~ $pages_form ]] ||
        usage_error "--hugepages \"$pages\" is not N, NxSIZE or NxSIZE@NODE, such as 16, 16x2M or 1x1G@0"
done
[[ $undo == no || -z ${hugepages[*]-}$group$user$run_dir$cpus ]] ||
    usage_error '--undo goes with --dry-run, --state and --root alone'
state=${state:-$root$STATE}
[[ $state == */* ]] || state=./$state

# Makes a change, or says that it would: COMMAND...
change()
{
    if [[ $dry_run == yes ]]; then
        printf 'setup: would run: %s\n' "${*@Q}"
    else
        "$@"
    fi
}

# Remembers a change that is about to be made: WORD... (no blanks but in the last)
remember()
{
    [[ $dry_run == no ]] || return 0
    { mkdir -p "${state%/*}/" && printf '%s\n' "$*" >>"$state"; } ||
        die "cannot write $state, where changes are remembered: choose another --state"
}

# Forgets what was remembered last.
forget()
{
    sed -i '$d' "$state"
}

need_root()
{
    ((EUID == 0)) || [[ $dry_run == yes || -n $root ]] ||
        die "$1 needs root's rights: run it as root (sudo), or see what would be done with --dry-run"
}

set_value()
{
    printf '%s\n' "$1" >"$2"
}

# The words of a list of CPUs: LIST.
expand()
{
    local part parts

    IFS=, read -r -a parts <<<"$1"
    for part in "${parts[@]}"; do
        seq "${part%-*}" "${part#*-}"
    done
}

# Is a CPU in a list such as 0-3,8: CPU LIST.
in_list()
{
    local part parts

    IFS=, read -r -a parts <<<"$2"
    for part in "${parts[@]}"; do
        [[ $part =~ ^[0-9]+(-[0-9]+)?$ ]] || continue
        ((10#$1 < 10#${part%-*} || 10#$1 > 10#${part#*-})) || return 0
    done
    return 1
}

# A file's first line, without blanks, or what is said instead: FILE [OTHERWISE].
value_of()
{
    local value=

    [[ ! -r $1 ]] || read -r value <"$1" 2>/dev/null || true
    [[ $value != '(null)' ]] || value=
    printf '%s\n' "${value:-${2-}}"
}

nr()
{
    printf '%s %s\n' "$1" "$2$([[ $1 == 1 ]] || printf s)"
}

# Hugepages

# Kilobytes as the kernel's directories have them, for a person: KB.
size_name()
{
    if (($1 % 1048576 == 0)); then
        printf '%uG\n' $(($1 / 1048576))
    elif (($1 % 1024 == 0)); then
        printf '%uM\n' $(($1 / 1024))
    else
        printf '%uK\n' "$1"
    fi
}

# Where the kernel has the counters: NODE or "all", KB.
pages_dir()
{
    if [[ $1 == all ]]; then
        printf '%s/sys/kernel/mm/hugepages/hugepages-%skB\n' "$root" "$2"
    else
        printf '%s/sys/devices/system/node/node%s/hugepages/hugepages-%skB\n' "$root" "$1" "$2"
    fi
}

# What sizes there are, for a message: NODE or "all".
sizes_of()
{
    local dir kb names=()

    for dir in "$(dirname "$(pages_dir "$1" 0)")"/hugepages-*kB; do
        kb=${dir##*-}
        [[ ! -d $dir ]] || names+=("$(size_name "${kb%kB}")")
    done
    printf '%s\n' "${names[*]-none}"
}

# Sets a reservation, or leaves it as it was when the kernel gives less; what it would have given
# is in "got": FILE NUMBER BEFORE.
reserve()
{
    set_value "$2" "$1" 2>/dev/null || die "cannot write ${1#"$root"}: is this a container? Reserve hugepages on its host"
    got=$(value_of "$1")
    if ((got < $2)) && [[ -w $root/proc/sys/vm/compact_memory ]]; then
        # Free memory may be there, in pieces.
        set_value 1 "$root/proc/sys/vm/compact_memory"
        set_value "$2" "$1"
        got=$(value_of "$1")
    fi
    ((got < $2)) || return 0
    set_value "$3" "$1"
    return 1
}

# N[xSIZE][@NODE]: have them.
setup_hugepages()
{
    local number kb node dir file now where

    [[ $1 =~ $pages_form ]]
    number=$((10#${BASH_REMATCH[1]}))
    node=${BASH_REMATCH[6]:-all}
    case ${BASH_REMATCH[4]} in
    K) kb=$((10#${BASH_REMATCH[3]})) ;;
    M) kb=$((10#${BASH_REMATCH[3]} * 1024)) ;;
    G) kb=$((10#${BASH_REMATCH[3]} * 1048576)) ;;
    *) kb=$(sed -n 's/^Hugepagesize: *\([0-9]*\) kB/\1/p' "$root/proc/meminfo") ;;
    esac
    [[ -n $kb ]] || die 'this kernel has no hugepages; dpdk-vhost-rng does without them: leave --hugepages out'
    where=
    [[ $node == all ]] || where=" on node $node"
    if [[ $node != all && ! -d $root/sys/devices/system/node/node$node ]]; then
        die "--hugepages $1: there is no NUMA node $node; nodes are $(value_of "$root/sys/devices/system/node/online" 'not known here')"
    fi
    dir=$(pages_dir "$node" "$kb")
    file=$dir/nr_hugepages
    [[ -d $dir ]] || die "--hugepages $1: there are no hugepages of $(size_name "$kb")$where; sizes are $(sizes_of "$node")"

    now=$(value_of "$file")
    if ((now >= number)); then
        say "$(nr "$now" hugepage) of $(size_name "$kb")$where: enough"
        return
    fi
    if [[ $dry_run == yes ]]; then
        say "would reserve $(nr "$number" hugepage) of $(size_name "$kb")$where, now $now: echo $number > ${file#"$root"}"
        return
    fi
    need_root --hugepages
    remember hugepages "$now" "$number" "${file#"$root"}"
    if ! reserve "$file" "$number" "$now"; then
        forget
        die "the kernel has memory for $got of $(nr "$number" hugepage) of $(size_name "$kb")$where: nothing was changed there. Free" \
            "memory, or reserve them when the host starts, on the kernel's command line: hugepagesz=$(size_name "$kb") hugepages=$number"
    fi
    say "reserved $(nr "$number" hugepage) of $(size_name "$kb")$where, before $now"
}

show_hugepages()
{
    local node dir kb any=no

    printf 'hugepages\n'
    for node in "$root"/sys/devices/system/node/node[0-9]*; do
        for dir in "$node"/hugepages/hugepages-*kB; do
            [[ -d $dir ]] || continue
            any=yes
            kb=${dir##*-}
            printf '  node %-3s %5s: %s, %s free\n' "${node##*node}" "$(size_name "${kb%kB}")" \
                "$(value_of "$dir/nr_hugepages")" "$(value_of "$dir/free_hugepages")"
        done
    done
    if [[ $any == no ]]; then
        for dir in "$root"/sys/kernel/mm/hugepages/hugepages-*kB; do
            [[ -d $dir ]] || continue
            any=yes
            kb=${dir##*-}
            printf '  all      %5s: %s, %s free\n' "$(size_name "${kb%kB}")" \
                "$(value_of "$dir/nr_hugepages")" "$(value_of "$dir/free_hugepages")"
        done
    fi
    [[ $any == yes ]] || printf '  none in this kernel; dpdk-vhost-rng does without them\n'
}

# CPUs

# One value of the kernel's command line: NAME.
boot_value()
{
    local word words

    read -r -a words <"$root/proc/cmdline" || true
    for word in "${words[@]}"; do
        [[ $word != "$1="* ]] || printf '%s\n' "${word#*=}"
    done
}

# All CPUs that the scheduler leaves alone, by the command line or by a cpuset.
isolated_cpus()
{
    local boot cpuset

    boot=$(value_of "$root/sys/devices/system/cpu/isolated")
    cpuset=$(value_of "$root/sys/fs/cgroup/cpuset.cpus.isolated")
    printf '%s\n' "$boot${boot:+${cpuset:+,}}$cpuset"
}

show_cpus()
{
    local none=none

    printf 'CPUs\n'
    printf '  online     %s\n' "$(value_of "$root/sys/devices/system/cpu/online" 0)"
    [[ -z $(isolated_cpus) ]] || none=$(isolated_cpus)
    printf '  isolated   %s\n' "$none"
    printf '  tickless   %s\n' "$(value_of "$root/sys/devices/system/cpu/nohz_full" none)"
}

# Says what of one CPU is not as it is best: CPU.
check_cpu()
{
    local cpu=$1 dir=$root/sys/devices/system/cpu/cpu$1 node nodes siblings governor faults=()

    if ! in_list "$cpu" "$(value_of "$root/sys/devices/system/cpu/online" 0)"; then
        say "CPU $cpu: is not there, or not online; CPUs are $(value_of "$root/sys/devices/system/cpu/online" 0)"
        status=3
        return
    fi
    in_list "$cpu" "$(isolated_cpus)" || faults+=("not isolated (isolcpus=$cpu on the kernel's command line)")
    in_list "$cpu" "$(value_of "$root/sys/devices/system/cpu/nohz_full")" || faults+=("has a timer tick (nohz_full=$cpu)")
    in_list "$cpu" "$(boot_value rcu_nocbs)" || in_list "$cpu" "$(value_of "$root/sys/devices/system/cpu/nohz_full")" ||
        faults+=("runs RCU callbacks (rcu_nocbs=$cpu)")
    governor=$(value_of "$dir/cpufreq/scaling_governor" performance)
    [[ $governor == performance ]] || faults+=("governor $governor (cpupower -c $cpu frequency-set -g performance)")
    siblings=$(value_of "$dir/topology/thread_siblings_list" "$cpu")
    [[ $siblings == "$cpu" ]] || faults+=("shares its core: CPUs $siblings; keep the other ones idle")
    nodes=("$dir"/node[0-9]*)
    node=${nodes[0]##*/node}
    [[ $node =~ ^[0-9]+$ ]] || node=0
    if ((${#faults[@]} == 0)); then
        say "CPU $cpu: node $node, fit to poll"
        return
    fi
    say "CPU $cpu: node $node, works, and would be better otherwise:"
    printf 'setup:   %s\n' "${faults[@]}"
    status=3
}

# The run directory and its group

# The line of a name in passwd or group: DATABASE NAME.
entry()
{
    if [[ -n $root ]]; then
        grep "^$2:" "$root/etc/$1" 2>/dev/null
    else
        getent "$1" "$2"
    fi
}

id_of()
{
    entry "$1" "$2" | cut -d: -f3
}

setup_group()
{
    if entry group "$group" >/dev/null; then
        say "group $group: there"
        return
    fi
    need_root --group
    remember group "$group"
    change groupadd ${root:+--prefix "$root"} --system "$group" ||
        die "cannot make group $group: see the line before this one"
    [[ $dry_run == yes ]] || say "group $group: made"
}

# "uid:gid mode" of a directory.
rights_of()
{
    stat -c '%u:%g %a' "$1"
}

# Gives a directory to its owner: DIR "uid:gid mode".
set_rights()
{
    change chown "${2% *}" "$1" || return 1
    # Only a mode of more than four digits takes the set-group-id bit away.
    change chmod "00${2#* }" "$1"
}

setup_run_dir()
{
    local dir=$root$run_dir uid=0 gid=0 rights before

    if [[ -n $user ]]; then
        uid=$(id_of passwd "$user") || die "there is no user $user: make it first (useradd --system $user)"
    fi
    if [[ -n $group ]]; then
        # In a dry run it may not be there yet.
        gid=$(id_of group "$group") || gid=GROUP
    fi
    # Sockets that are made in it get its group.
    rights="$uid:$gid 2750"
    [[ ! -L $dir ]] || die "$run_dir is a symbolic link: choose another --run-dir"
    if [[ -d $dir ]]; then
        before=$(rights_of "$dir")
        if [[ $before == "$rights" ]]; then
            say "run directory $run_dir: there"
            return
        fi
        need_root --run-dir
        # Others' directories are not to be changed, least of all /run or /tmp.
        [[ $before == *' 2750' || $run_dir == "$RUN_DIR" || -z $(ls -A "$dir") ]] ||
            die "$run_dir is there, has other files and other rights ($before): choose a new --run-dir, or one that is empty"
        remember rights "$before" "$rights" "$run_dir"
        set_rights "$dir" "$rights"
    else
        [[ ! -e $dir ]] || die "$run_dir is there and is not a directory: choose another --run-dir"
        [[ -d ${dir%/*}/ ]] || die "the directory of $run_dir is not there: make it, or choose another --run-dir"
        need_root --run-dir
        remember directory "$run_dir"
        change mkdir -m 0700 "$dir"
        set_rights "$dir" "$rights"
    fi
    [[ $dry_run == yes ]] ||
        say "run directory $run_dir: for user ${user:-root} and group ${group:-root} (serve with --socket-path $run_dir/rng.sock --socket-mode 0660)"
}

show_run_dir()
{
    printf 'run directory\n'
    if [[ -d $root$RUN_DIR ]]; then
        printf '  %s: %s\n' "$RUN_DIR" "$(stat -c 'user %U, group %G, mode %a' "$root$RUN_DIR")"
    else
        printf '  %s: not there\n' "$RUN_DIR"
    fi
    [[ ! -s $state ]] || printf 'what --undo would restore: see %s --undo --dry-run\n' "${0##*/}"
}

# Undo

undo_hugepages()
{
    local before=$1 after=$2 file=$3 now

    now=$(value_of "$root$file")
    if [[ $now != "$after" ]]; then
        say "$file is $now and was left at $after: left alone"
        return
    fi
    change set_value "$before" "$root$file" || return 1
    [[ $dry_run == yes ]] || say "$file: $before again"
}

undo_rights()
{
    local before=$1 after=$2 dir=$3

    if [[ ! -d $root$dir || $(rights_of "$root$dir") != "$after" ]]; then
        say "$dir has not the rights that it was left with: left alone"
        return
    fi
    set_rights "$root$dir" "$before" || return 1
    [[ $dry_run == yes ]] || say "$dir: rights $before again"
}

undo_directory()
{
    if [[ ! -d $root$1 ]]; then
        say "$1 is gone already"
    elif [[ -n $(ls -A "$root$1") ]]; then
        say "$1 is not empty: stop what uses it, then --undo again"
        return 1
    else
        change rmdir "$root$1" || return 1
        [[ $dry_run == yes ]] || say "$1: removed"
    fi
}

undo_group()
{
    local line

    if ! line=$(entry group "$1"); then
        say "group $1 is gone already"
    elif [[ -n ${line##*:} ]]; then
        say "group $1 has members by now (${line##*:}): left alone"
    else
        change groupdel ${root:+--prefix "$root"} "$1" || return 1
        [[ $dry_run == yes ]] || say "group $1: removed"
    fi
}

# Undoes the last change first. What cannot be undone stays remembered.
undo_all()
{
    local lines i kind rest a b c d e left=()

    if [[ ! -s $state ]]; then
        say "nothing to undo: $state has nothing"
        return
    fi
    need_root --undo
    mapfile -t lines <"$state"
    for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
        read -r kind rest <<<"${lines[i]}"
        case $kind in
        hugepages)
            read -r a b c <<<"$rest"
            undo_hugepages "$a" "$b" "$c"
            ;;
        rights)
            read -r a b c d e <<<"$rest"
            undo_rights "$a $b" "$c $d" "$e"
            ;;
        directory) undo_directory "$rest" ;;
        group) undo_group "$rest" ;;
        *) say "$state has a line that is not known: ${lines[i]}" && false ;;
        esac || left=("${lines[i]}" "${left[@]}")
    done
    [[ $dry_run == no ]] || return 0
    if ((${#left[@]})); then
        printf '%s\n' "${left[@]}" >"$state"
        die "not all was undone; what is left is in $state"
    fi
    rm -f "$state"
    # Another --state is in a directory that is not ours.
    [[ $state != "$root$STATE" ]] || rmdir --ignore-fail-on-non-empty "${state%/*}"
}

if [[ $undo == yes ]]; then
    undo_all
    exit
fi
for pages in "${hugepages[@]}"; do
    setup_hugepages "$pages"
done
[[ -z $group ]] || setup_group
[[ -z $run_dir ]] || setup_run_dir
if [[ -n $cpus ]]; then
    for cpu in $(expand "$cpus"); do
        check_cpu "$cpu"
    done
fi
if [[ -z ${hugepages[*]-}$group$user$run_dir$cpus ]]; then
    show_hugepages
    show_cpus
    show_run_dir
fi
exit "$status"

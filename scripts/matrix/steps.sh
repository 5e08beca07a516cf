# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by matrix.sh: what is done with the roots, and the notes of the results. A note is a
# file in $results with a line "key=value" for each fact; table.py reads them.
# shellcheck disable=SC2154 # matrix.sh has the variables

# The last line of a log that says what went wrong, on one line: LOG.
reason_in()
{
    local line

    line=$(grep -m 1 -E 'error:|ERROR|Error:|FAILED:' "$1" || tail -n 1 "$1")
    printf '%s\n' "${line:0:160}" | tr '|=\n' '/: '
}

# What QEMU's --version says, to the number alone.
qemu_version()
{
    sed -n 's/.*version \([0-9.]*\).*/\1/p'
}

# Compiles the tree with warnings as errors and runs the unit tests: SUITE ARCH.
build_suite()
{
    local suite=$1 arch=$2 root dir log note status=0 setup=() compiler=gcc suffix='' patience=5 count

    root=$(root_of "$suite" "$arch")
    dir=${root%/root}/build
    log=${root%/root}/build.log
    note=$results/build.$suite.$arch
    [[ -f $root/.made ]] || die "no $suite ($arch) yet: run the phase \"roots\" first"
    if [[ $arch == arm64 ]]; then
        compiler=aarch64-linux-gnu-gcc
        suffix=:arm64
        patience=20 # under qemu-user
        setup=(--cross-file "$top/config/aarch64-linux-gnu.ini")
    fi

    printf 'matrix: building with %s (%s): ' "$suite" "$arch"
    rm -rf "$dir"
    {
        printf 'suite=%s\narch=%s\n' "$suite" "$arch"
        printf 'compiler=%s\n' "$(in_suite "$root" "$compiler" -dumpfullversion)"
        printf 'dpdk=%s\n' "$(upstream_version "$root" "libdpdk-dev$suffix")"
        printf 'openssl=%s\n' "$(upstream_version "$root" "libssl-dev$suffix")"
        [[ $arch == arm64 ]] ||
            printf 'ipsec_mb=%s\nqemu=%s\n' "$(upstream_version "$root" libipsec-mb-dev)" \
                "$(in_suite "$root" qemu-system-x86_64 --version | qemu_version)"
    } >"$note"

    if ! in_suite "$root" meson setup "$dir" "$top" -Dwerror=true "${setup[@]}" >"$log" 2>&1 ||
        ! in_suite "$root" ninja -k 0 -C "$dir" >>"$log" 2>&1; then
        printf 'build=fail: %s\n' "$(reason_in "$log")" >>"$note"
        printf 'does not compile; see %s\n' "$log"
        return 1
    fi
    printf 'build=pass\n' >>"$note"
    sed -n 's/^ *DPDK *: /link=/p' "$log" | sed 's/=.*, /=/' >>"$note"

    in_suite "$root" meson test -C "$dir" --no-rebuild --print-errorlogs --suite unit \
        --timeout-multiplier "$patience" >>"$log" 2>&1 || status=$?
    "$here/count-tests.py" "$dir:$status" >"$dir/tests.txt" || status=1
    count=$(tail -n 1 "$dir/tests.txt")
    if ((status == 0)); then
        printf 'unit=pass: %s\n' "$count" >>"$note"
    else
        printf 'unit=fail: %s, the first is %s\n' "$count" \
            "$(sed -n 's/^.*: failed: //p' "$dir/tests.txt" | head -n 1)" >>"$note"
    fi
    printf 'compiles, unit tests: %s\n' "$count"
    return "$status"
}

# The guest with a suite's kernel: SUITE.
make_guest()
{
    local suite=$1 root dir log note

    root=$(root_of "$suite")
    dir=${root%/root}/guest
    log=${root%/root}/guest.log
    note=$results/guest.$suite
    [[ -f $root/.made ]] || die "no $suite yet: run the phase \"roots\" first"
    mkdir -p "$dir"
    if ! in_suite "$root" "$here/guest-image.sh" "$dir" >"$log" 2>&1; then
        printf 'guest=fail: %s\n' "$(reason_in "$log")" >"$note"
        printf 'matrix: no guest with the kernel of %s; see %s\n' "$suite" "$log"
        return 1
    fi
    {
        printf 'guest=pass\nlinux=%s\n' "$(kernel_version "$dir")"
    } >"$note"
    printf 'matrix: the guest of %s has Linux %s\n' "$suite" "$(kernel_version "$dir")"
}

# The upstream version of a guest's kernel, which Debian's "#1 SMP ... Debian 6.1.176-1" has even
# where the release is called 6.1.0-50. The image points to that text: the word at 0x20e is where
# it is, less 0x200 (x86 boot protocol). DIR.
kernel_version()
{
    local at

    at=$(($(od -A n -t u2 -j $((0x20e)) -N 2 "$1/vmlinuz") + 0x200))
    tail -c +$((at + 1)) "$1/vmlinuz" | head -c 256 | tr '\0' '\n' | head -n 1 |
        sed -E 's/.* Debian ([0-9.]+).*/\1/'
}

# Prints the cells that are wanted, as DPDK/QEMU/KERNEL. An arm64 daemon under qemu-user serves
# guests of its own suite only.
cells()
{
    local dpdk qemu kernel

    if [[ -n $only ]]; then
        tr ' ' '\n' <<<"$only"
        return
    fi
    if [[ $arch == arm64 ]]; then
        for dpdk in "${suites[@]}"; do
            printf '%s/%s/%s\n' "$dpdk" "$dpdk" "$dpdk"
        done
        return
    fi
    for dpdk in "${suites[@]}"; do
        for qemu in "${suites[@]}"; do
            for kernel in "${suites[@]}"; do
                printf '%s/%s/%s\n' "$dpdk" "$qemu" "$kernel"
            done
        done
    done
}

# A program that runs one of a root: FILE ROOT COMMAND...
write_wrapper()
{
    local file=$1

    shift
    printf '#!/bin/sh\nexec chroot%s "$@"\n' "$(printf ' %q' "$@")" >"$file"
    chmod 755 "$file"
}

# Reads in a guest: the daemon of one suite, the QEMU of another, the kernel of a third.
run_cell()
{
    local dpdk qemu kernel note log bin root outcome emulator=()

    IFS=/ read -r dpdk qemu kernel <<<"$1"
    root=$(root_of "$dpdk" "$arch")
    bin=$work/bin.$arch
    note=$results/cell.$dpdk.$qemu.$kernel.$arch
    log=$work/${note##*/}.log
    printf 'matrix: DPDK of %s (%s), QEMU of %s, Linux of %s: ' "$dpdk" "$arch" "$qemu" "$kernel"
    [[ $arch != arm64 ]] || emulator=(/usr/bin/qemu-aarch64 -L /)
    mkdir -p "$bin"
    write_wrapper "$bin/dpdk-vhost-rng" "$root" "${emulator[@]}" \
        "${root%/root}/build/app/daemon/dpdk-vhost-rng"
    write_wrapper "$bin/qemu-system-x86_64" "$(root_of "$qemu")" /usr/bin/qemu-system-x86_64
    mount_suite "$root"
    mount_suite "$(root_of "$qemu")"
    outcome=$(PATH=$bin:$PATH VRNG_DAEMON=$bin/dpdk-vhost-rng \
        VRNG_GUEST_DIR=$work/$kernel-amd64/guest read_test "$log") || true
    printf 'cell=%s\n' "$outcome" >"$note"
    printf '%s\n' "$outcome"
    [[ $outcome == pass* ]]
}

# Runs the QEMU read test with what the environment names and prints what came out: LOG.
read_test()
{
    local log=$1 passed failed

    VRNG_SCRIPTS=$here PYTHONDONTWRITEBYTECODE=1 \
        python3 "$top/tests/e2e/qemu/test_read.py" >"$log" 2>&1 </dev/null || true
    passed=$(grep -c '^ok [0-9]* - [^#]*$' "$log") || true
    failed=$(grep -c '^not ok ' "$log") || true
    if ((failed > 0)); then
        printf 'fail: %s\n' "$(sed -n 's/^not ok [0-9]* - //p' "$log" | head -n 1)"
    elif ((passed == 0)) || grep -q '# SKIP' "$log"; then
        printf 'fail: not run, %s\n' "$(sed -n 's/.*# SKIP //p' "$log" | head -n 1)"
    else
        printf 'pass: %d\n' "$passed"
    fi
}

# The short form: this machine's own versions.
native_cell()
{
    local dir=$top/build outcome

    "$here/install-deps.sh" build test guest
    [[ -f $dir/build.ninja ]] || meson setup "$dir" "$top" -Dwerror=true
    meson configure "$dir" -Dwerror=true
    ninja -C "$dir"
    "$here/guest-image.sh" "$dir/guest"
    outcome=$(VRNG_DAEMON=$dir/app/daemon/dpdk-vhost-rng VRNG_GUEST_DIR=$dir/guest \
        read_test "$dir/native-cell.log") || true
    printf 'matrix: this machine only: DPDK %s, QEMU %s, Linux %s: %s\n' \
        "$(pkg-config --modversion libdpdk)" \
        "$(qemu-system-x86_64 --version | qemu_version)" \
        "$(kernel_version "$dir/guest")" "$outcome"
    printf 'matrix: for other versions run scripts/matrix.sh without --native (debootstrap, 6 GB)\n'
    if [[ $outcome != pass* ]]; then
        cat "$dir/native-cell.log"
        return 1
    fi
}

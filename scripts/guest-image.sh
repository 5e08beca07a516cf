#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes the guest that the demo and the QEMU tests boot: Debian's cloud kernel
# and an initramfs with busybox, the virtio modules and rngtest. The packages
# are unpacked, never installed, so that the host's boot loader and init stay
# as they are; root is not needed.

set -euo pipefail

# The modules that are loaded at boot, in this order, after those they need.
MODULES=(virtio_pci virtio_mmio virtio_rng)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage()
{
    cat <<USAGE
usage: ${0##*/} [DIR]

Makes DIR/vmlinuz and DIR/initramfs.cpio.gz (default: build/guest in the source
tree). When they are there and up to date it does nothing. Debian packages are
downloaded once and kept in DIR/debs.

options:
  -h, --help  this text
USAGE
}

die()
{
    printf 'guest-image: %s\n' "$*" >&2
    exit 1
}

case ${1-} in
-h | --help)
    usage
    exit 0
    ;;
-*)
    printf 'guest-image: unknown option "%s"; see --help\n' "$1" >&2
    exit 2
    ;;
esac
if (($# > 1)); then
    printf 'guest-image: one directory at most, %d were given\n' "$#" >&2
    exit 2
fi

dir=${1:-$here/../build/guest}
mkdir -p "$dir" || die "cannot make the directory $dir"
dir=$(cd "$dir" && pwd)

exec 9>"$dir/lock"
flock -w 300 9 || die "$dir is locked: another ${0##*/} has been at work there for 5 minutes"

# What the image is made from, packages aside.
recipe=$(cat "$here/guest-image.sh" "$here"/guest/{init,demo,shell} | sha256sum)
if [[ -s $dir/vmlinuz && -s $dir/initramfs.cpio.gz && -f $dir/recipe &&
      $(<"$dir/recipe") == "$recipe" ]]; then
    printf 'guest-image: %s is up to date\n' "$dir"
    exit 0
fi

[[ $(uname -m) == x86_64 ]] || die "the guest is made for x86_64, this machine is $(uname -m)"
for tool in apt-get apt-cache dpkg-deb cpio gzip xz ldd; do
    command -v "$tool" >/dev/null || die "no $tool here; run scripts/install-deps.sh guest"
done

tree=$(mktemp -d "$dir/tree.XXXXXX")
trap 'rm -rf "$tree"' EXIT

# As root apt-get would rather download as the user _apt, who may not write
# here, and would warn about it.
apt_options=(-q -o DPkg::Lock::Timeout=300)
((EUID != 0)) || apt_options+=(-o APT::Sandbox::User=root)

update_lists()
{
    local as_root=()

    if ((EUID != 0)); then
        as_root=(sudo -n)
        command -v sudo >/dev/null || return 1
    fi
    "${as_root[@]}" apt-get "${apt_options[@]}" update >"$dir/apt.log" 2>&1
}

# The names of the packages with the kernel itself, from the one that follows the
# current kernel: one up to Debian 13, later the kernel and its modules have their
# own, which it depends on.
kernel_packages()
{
    local image

    image=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
    [[ -n $image ]] || return 0
    printf '%s\n' "$image"
    apt-cache depends "$image" |
        awk '$1 == "Depends:" && $2 ~ /^linux-(base|binary|modules)-[0-9]/ { print $2 }'
}

# Prints the first of the given packages that apt knows.
first_known()
{
    local package

    for package in "$@"; do
        if [[ -n $(apt-cache madison "$package" 2>/dev/null) ]]; then
            printf '%s\n' "$package"
            return
        fi
    done
}

# Downloads the packages into DIR/debs, prints nothing unless it fails.
download()
{
    local kernel=() rngtest busybox

    readarray -t kernel < <(kernel_packages)
    rngtest=$(first_known rng-tools5 rng-tools-debian)
    busybox=$(first_known busybox-static)
    [[ -n ${kernel[*]} && -n $rngtest && -n $busybox ]] || return 1
    rm -rf "$dir/debs"
    mkdir "$dir/debs"
    (cd "$dir/debs" && apt-get "${apt_options[@]}" download "${kernel[@]}" "$rngtest" "$busybox") \
        >"$dir/apt.log" 2>&1
}

debs_complete()
{
    local part

    for part in linux-image busybox-static rng-tools; do
        compgen -G "$dir/debs/$part*.deb" >/dev/null || return 1
    done
}

if ! debs_complete; then
    printf 'guest-image: downloading the kernel, busybox and rngtest packages\n'
    # Old lists name packages that the mirrors no longer hold: once more with
    # new ones.
    if ! download && ! { update_lists && download; }; then
        [[ ! -s $dir/apt.log ]] || sed 's/^/guest-image: apt-get: /' "$dir/apt.log" >&2
        rm -rf "$dir/debs"
        die "cannot download linux-image-cloud-amd64's kernel, busybox-static and rng-tools5;" \
            "check the network and run \"apt-get update\" as root"
    fi
    debs_complete || die "apt-get said nothing is wrong, but a package is missing in $dir/debs"
fi

packages=$tree/packages
root=$tree/root
mkdir "$packages" "$root" "$root"/{bin,modules}
for deb in "$dir"/debs/*.deb; do
    dpkg-deb -x "$deb" "$packages" || {
        rm -f "$deb"
        die "$deb is damaged and was removed; run this again"
    }
done

# Debian 13 has /usr/lib/modules and compressed modules, Debian 12 neither; after
# them the kernel is with its modules.
for kernel in "$packages"/boot/vmlinuz-* "$packages"/usr/lib/modules/*/vmlinuz; do
    [[ ! -f $kernel ]] || break
done
case $kernel in
*/boot/*) version=${kernel##*/vmlinuz-} ;;
*) version=$(basename "$(dirname "$kernel")") ;;
esac
[[ -f $kernel ]] || die "the kernel package holds neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz"
for modules in "$packages/usr/lib/modules/$version" "$packages/lib/modules/$version"; do
    [[ ! -d $modules ]] || break
done
[[ -d $modules ]] || die "the kernel package holds no modules for $version"

# Adds a module and, before it, those it needs, to the initramfs and to its
# list. The same name may be written with - and with _.
declare -A added
add_module()
{
    local name=${1//-/_} file needed word

    [[ -z ${added[$name]-} ]] || return 0
    added[$name]=yes
    file=$(find "$modules/kernel" -name "${name//_/[-_]}.ko*" -print -quit)
    if [[ -z $file ]]; then
        grep -q "/${name//_/[-_]}\.ko\$" "$modules/modules.builtin" ||
            die "kernel $version has no module $name, neither as a file nor built in"
        return 0
    fi
    case $file in
    *.xz) xz -dc "$file" >"$root/modules/$name.ko" ;;
    *) cp "$file" "$root/modules/$name.ko" ;;
    esac
    needed=$(tr '\0' '\n' <"$root/modules/$name.ko" | LC_ALL=C grep -a '^depends=')
    needed=${needed#depends=}
    for word in ${needed//,/ }; do
        add_module "$word"
    done
    printf '%s.ko\n' "$name" >>"$root/modules/order"
}

: >"$root/modules/order"
for module in "${MODULES[@]}"; do
    add_module "$module"
done

# Adds a program and the libraries it is linked with, which are taken from this
# machine, under the paths at which the loader looks for them.
add_program()
{
    local program=$1 lib

    install -m 755 "$program" "$root/bin/"
    while read -r lib; do
        [[ -e $root$lib ]] || install -D -m 755 "$lib" "$root$lib"
    done < <(ldd "$program" | grep -o '/[^ ]*\.so[^ ]*')
}

find_program()
{
    local found

    found=$(find "$packages" -path "*bin/$1" -type f -print -quit)
    [[ -n $found ]] || die "none of the packages holds a program $1"
    printf '%s\n' "$found"
}

busybox=$(find_program busybox)
rngtest=$(find_program rngtest)
install -m 755 "$busybox" "$root/bin/"
ln -s busybox "$root/bin/sh"
add_program "$rngtest"
install -m 755 "$here"/guest/{init,demo,shell} "$root/"

(cd "$root" && find . -print0 | LC_ALL=C sort -z |
    cpio --quiet --null --create --format=newc --owner=0:0) | gzip -9 >"$tree/initramfs.cpio.gz"

# What is true of the old image may not be of the new one.
rm -f "$dir/recipe" "$dir/accel" "$dir/apt.log"
cp "$kernel" "$tree/vmlinuz"
chmod 644 "$tree/vmlinuz"
mv "$tree/vmlinuz" "$dir/vmlinuz"
mv "$tree/initramfs.cpio.gz" "$dir/initramfs.cpio.gz"
[[ -s $dir/vmlinuz && -s $dir/initramfs.cpio.gz ]] || die "an image file in $dir is empty"
printf '%s\n' "$recipe" >"$dir/recipe"
printf 'guest-image: made %s/vmlinuz (Linux %s) and initramfs.cpio.gz\n' "$dir" "$version"

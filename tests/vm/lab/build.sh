#!/bin/sh
# Builds a lab image out of Debian's packages, in the layout of a stock image
# for the Raspberry Pi, and prints the directory that it is in:
#   build.sh LAB ARCH [MODULES] [CACHE]
#   build.sh --mirror         (where the packages would come from)
# LAB is one of the files beside this one (raspios-trixie, ...), ARCH Debian's
# name of an architecture: amd64 or arm64. MODULES is a directory for
# /lib/modules of a kernel that is not the image's own (kernel.sh), or ''. CACHE
# is a directory for finished images, one for each LAB, ARCH, kernel and state
# of these files.
#
# Needs mmdebstrap, as root or with user namespaces, and qemu-user with
# binfmt for another architecture than the machine's; mounts nothing. Packages
# come from the mirror in the machine's own apt sources, or, on a machine
# that is not Debian, from PIFLASH_DEBIAN_MIRROR.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C.UTF-8
export PATH LC_ALL

fail() {
    echo "tests/vm/lab/build.sh: $*" >&2
    exit 1
}

# Debian's own archive, not its security or backports.
mirror() {
    if [ -n "${PIFLASH_DEBIAN_MIRROR:-}" ]; then
        echo "$PIFLASH_DEBIAN_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt's variables
    apt-get indextargets --format \
        '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null |
        sed -n 's/^Packages|Debian|Debian|//p' | head -n 1
}

find_mirror() {
    from=$(mirror)
    [ -n "$from" ] || fail "no Debian archive in the apt sources of this" \
        "machine: name one in PIFLASH_DEBIAN_MIRROR"
    echo "$from"
}

# The FAT: what the firmware reads. A file in it may be as long as it likes.
make_boot() {
    truncate -s "$((boot_sectors * 512))" "$work/boot"
    mkfs.vfat -F 32 -s "$boot_cluster" -n "$boot_label" "$work/boot" >&2
    mcopy -s -i "$work/boot" "$work/fat"/* ::/
}

# The root file system, written by mke2fs itself from the directory.
make_root() {
    size=$(du -sm --apparent-size "$1" | cut -f 1)
    truncate -s "$((size + root_spare))M" "$work/root"
    # e2fsprogs of the builder may have newer defaults than those of the OS.
    mkfs.ext4 -q -F -L "$root_label" -O "$root_features" -d "$1" \
        "$work/root" >&2
}

# Called by mmdebstrap when all packages are in place.
inside() {
    root=$1
    mkdir -p "$work/fat" "$root$boot_mount"
    cp "$root"/boot/vmlinuz-* "$work/fat/vmlinuz"
    cp "$root"/boot/initrd.img-* "$work/fat/initrd.img"
    rm -f "$root"/boot/vmlinuz-* "$root"/boot/initrd.img-* \
        "$root"/boot/System.map-* "$root"/vmlinuz* "$root"/initrd.img*
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/log/apt \
        "$root"/var/cache/apt/archives/*.deb \
        "$root/etc/apt/apt.conf.d/99mmdebstrap"
    rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/var/lib/dbus/machine-id"
    spare_time "$root"
    archive "$root"
    customise "$root" "$work/fat"
    [ ! -d "$work/modules" ] ||
        cp -r "$work/modules"/. "$root/usr/lib/modules/"
    # Without what mmdebstrap has mounted there.
    cp -ax "$root" "$work/tree"
    make_root "$work/tree"
    rm -rf "$work/tree"
    make_boot
}

# Both file systems behind a partition table.
join() {
    image=$1
    root_start=$((boot_start + boot_sectors))
    size=$(stat -c %s "$work/root")
    truncate -s "$((root_start * 512 + size))" "$image"
    sfdisk -q "$image" <<END
label: dos
label-id: 0x$disk_id
start=$boot_start, size=$boot_sectors, type=c
start=$root_start, size=$((size / 512)), type=83
END
    for part in "boot $boot_start" "root $root_start"; do
        dd if="$work/${part% *}" of="$image" bs=1M conv=notrunc,sparse \
            oflag=seek_bytes seek="$((${part#* } * 512))" status=none
    done
}

build() {
    from=$(find_mirror)
    command -v mmdebstrap >/dev/null ||
        fail "there is no mmdebstrap: is Debian's package mmdebstrap installed?"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # In a user namespace, root is somebody else.
    chmod 1777 "$work"
    [ -z "$modules" ] || cp -rL "$modules" "$work/modules"
    chmod -R a+rX "$work"
    if ! mmdebstrap --variant=minbase --format=null --architectures="$arch" \
        --include="$(echo "$packages" | xargs | tr ' ' ',')" \
        --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt=force-unsafe-io \
        --setup-hook="sh '$here/build.sh' --setup $lab $arch '$work' \"\$1\"" \
        --customize-hook="sh '$here/build.sh' --inside $lab $arch '$work' \"\$1\"" \
        "$suite" - "$from" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        fail "mmdebstrap could not build $lab"
    fi
    mkdir -p "$1"
    join "$1/image.part"
    mv "$1/image.part" "$1/image.img"
}

# Before any package: the initrd is made once, with these modules alone, and
# packed so that the guest has it unpacked at once.
setup() {
    mkdir -p "$1/etc/initramfs-tools/conf.d" \
        "$1/usr/share/initramfs-tools/modules.d"
    printf 'MODULES=list\nCOMPRESS=lz4\n' \
        >"$1/etc/initramfs-tools/conf.d/lab"
    printf '%s\n' virtio_pci virtio_blk virtio_net ext4 crc32c \
        crc32c_generic vfat nls_cp437 nls_ascii \
        >"$1/usr/share/initramfs-tools/modules.d/lab"
}

phase=build
case ${1:-} in
--mirror)
    find_mirror
    exit
    ;;
--setup | --inside)
    phase=${1#--}
    shift
    ;;
esac
lab=${1:-}
arch=${2:-}
[ -f "$here/$lab.sh" ] || fail "there is no lab image '$lab'"
# The serial console of QEMU's machine.
# shellcheck disable=SC2034 # for the lab images' own files
case $arch in
amd64) console=ttyS0 ;;
arm64) console=ttyAMA0 ;;
*) fail "there are no lab images for '$arch'" ;;
esac
# shellcheck source=tests/vm/lab/common.sh
. "$here/common.sh"
# shellcheck source=tests/vm/lab/raspios-trixie.sh
. "$here/$lab.sh"
if [ "$phase" != build ]; then
    work=$3
    "$phase" "$4"
    exit
fi

modules=${3:-}
cache=${4:-$here/../../../target/vm}
digest=$({
    cat "$here/build.sh" "$here/common.sh" "$here/$lab"* \
        ${based_on:+"$here/$based_on.sh"}
    [ -z "$modules" ] || (cd "$modules" && ls && cat ./*/modules.builtin)
} | sha256sum | cut -c 1-16)
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
target=$cache/$lab-$arch-${modules:+with-}$digest
# Two that want the same image build it once.
exec 9>"$cache/$lab-$arch.lock"
flock 9
if [ ! -e "$target/image.img" ]; then
    # Of older states of these files.
    rm -rf "$cache/$lab-$arch-${modules:+with-}"[0-9a-f]*
    build "$target" 9>&-
fi
echo "$target"

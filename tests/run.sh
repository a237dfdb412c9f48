#!/bin/sh
# Runs the checks and tests of piflash, and installs the Debian packages that
# they need where they are missing. Needs rustup's toolchain (with rustfmt and
# clippy), git and a C compiler.
#   sh tests/run.sh         all that needs no boot, one ordinary first boot and
#                           one small cluster
#   sh tests/run.sh all     with fuzzing, every lab image, clusters and faults,
#                           and a first boot of each lab image in QEMU: what CI
#                           runs
#   sh tests/run.sh long    only what takes longer than that: many power cuts,
#                           large clusters
# Cards boot in User-Mode Linux (tests/vm/lab/kernel.sh builds the kernel) or,
# where that cannot be had, in QEMU's emulator, by the same tests.
# PIFLASH_VM_MACHINE=qemu or =uml says which. Ends with how long each part took.
set -eu

extent=${1:-ordinary}
case $#,$extent in
0,* | 1,all | 1,long) ;;
*)
    echo "usage: sh tests/run.sh [all|long]" >&2
    exit 2
    ;;
esac

cd "$(dirname "$0")/.."
# /sbin is not in everybody's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
# A changed snapshot is a failure, and never written by this script.
INSTA_UPDATE=no
export INSTA_UPDATE

times=$(mktemp)
trap 'rm -f "$times"' EXIT
part=

# Ends the part before, and begins another.
say() {
    now=$(date +%s)
    [ -z "$part" ] || printf '%5d s  %s\n' "$((now - since))" "$part" >>"$times"
    part=$*
    since=$now
    printf '\n== %s\n' "$*"
}

# Program, or file, and the package that has it.
needed="mke2fs:e2fsprogs debugfs:e2fsprogs e2fsck:e2fsprogs
    mkfs.vfat:dosfstools fsck.vfat:dosfstools mcopy:mtools sfdisk:fdisk
    xz:xz-utils zstd:zstd zip:zip bmaptool:bmap-tools shellcheck:shellcheck busybox:busybox
    dash:dash python3:python3 gpg:gnupg losetup:mount mkfs.btrfs:btrfs-progs
    mkfs.xfs:xfsprogs script:bsdutils nmcli:network-manager
    netplan:netplan.io wpa_supplicant:wpasupplicant openssl:openssl jq:jq
    curl:curl strace:strace c++:g++
    kubectl:kubernetes-client ssh:openssh-client ssh-keygen:openssh-client
    sshd:openssh-server mmdebstrap:mmdebstrap qemu-img:qemu-utils
    containerd:containerd etcd:etcd-server etcdctl:etcd-client
    ip:iproute2 unshare:util-linux
    /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring"
case $(uname -m) in
aarch64) needed="$needed qemu-system-aarch64:qemu-system-arm" ;;
*)
    needed="$needed qemu-system-x86_64:qemu-system-x86
        qemu-storage-daemon:qemu-system-common
        flex:flex bison:bison bc:bc make:make depmod:kmod"
    ;;
esac
# Without root, mmdebstrap needs a range of user ids.
[ "$(id -u)" = 0 ] || needed="$needed newuidmap:uidmap"

missing() {
    for pair in $needed; do
        [ -e "${pair%:*}" ] || command -v "${pair%:*}" >/dev/null ||
            echo "${pair#*:}"
    done | sort -u | tr '\n' ' '
    python3 -c 'import ensurepip' 2>/dev/null || echo "python3-venv "
    python3 -c 'import yaml' 2>/dev/null || echo "python3-yaml "
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt-get whose packages may come from the backports of the mirror that this
# machine uses already, for this one run: the machine's own list of sources
# stays as it is.
with_backports() {
    # shellcheck disable=SC1091 # the machine's
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016 # apt's variables
    mirror=$(apt-get indextargets --format \
        '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)' |
        sed -n "s/^Packages|Debian|Debian|$suite|//p" | head -n 1)
    [ -n "$mirror" ] || return 1
    list=$(mktemp)
    # apt reads it as a user of its own.
    chmod 644 "$list"
    [ ! -e /etc/apt/sources.list ] || cat /etc/apt/sources.list >"$list"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keys] $mirror $suite-backports main" >>"$list"
    code=0
    as_root apt-get -o Dir::Etc::sourcelist="$list" update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -o Dir::Etc::sourcelist="$list" "$@" \
            -t "$suite-backports" || code=1
    rm -f "$list"
    return "$code"
}

# Takes no package away for another. Where one of the same family came from
# Debian's backports (qemu-utils for qemu-system-x86), Debian's own do not fit
# beside it.
install() {
    if apt-get -s install --no-remove "$@" >/dev/null 2>&1; then
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends --no-remove "$@"
        return
    fi
    # shellcheck disable=SC2016 # dpkg's variables
    if dpkg-query -W -f '${Version}\n' | grep -q '~bpo'; then
        say "$* from backports"
        with_backports install -y --no-install-recommends --no-remove "$@"
    else
        # Says what is in the way.
        apt-get -s install --no-remove "$@"
    fi
}

packages=$(missing)
if [ -n "$packages" ]; then
    say "installing $packages"
    if ! command -v apt-get >/dev/null; then
        echo "tests/run.sh: install these Debian packages" \
            "(or what has their programs): $packages" >&2
        exit 1
    fi
    as_root apt-get update
    # One that cannot be had must not keep the others away.
    for package in $packages; do
        install "$package" || true
    done
    packages=$(missing)
    if [ -n "$packages" ]; then
        echo "tests/run.sh: still missing after apt-get: $packages" >&2
        exit 1
    fi
fi

# orphan_file, which Raspberry Pi OS trixie has, came with 1.47.
version=$(mke2fs -V 2>&1 | sed -n '1s/^mke2fs \([0-9]*\.[0-9]*\).*/\1/p')
if [ "${version%.*}" -lt 1 ] ||
    { [ "${version%.*}" = 1 ] && [ "${version#*.}" -lt 47 ]; }; then
    echo "tests/run.sh: e2fsprogs is $version, but 1.47 or later is needed" \
        "(Debian 12 has it)" >&2
    exit 1
fi

without_boots() {
    say "cargo fmt"
    cargo fmt --check
    cargo fmt --check --manifest-path fuzz/Cargo.toml

    say "cargo clippy"
    cargo clippy --all-targets -- -D warnings

    say "shellcheck"
    # By the first line, as programs on a node have no suffix.
    git ls-files firstboot fuzz images tests .ci | while read -r file; do
        if head -n 1 "$file" |
            grep -q -e '^#!.*sh$' -e '^# shellcheck shell=' 2>/dev/null; then
            echo "$file"
        fi
    done | grep -v '^tests/cases/' | xargs -r shellcheck -x

    say "linters of the GitHub Action"
    sh tests/lint-actions.sh

    say "cargo test"
    cargo test
}

# Seconds for each target; goes on where the last run stopped. With the same
# random numbers each time, so that a change is blamed for what it has broken.
fuzzing() {
    say "fuzzing"
    PIFLASH_FUZZ_SEED=1 sh fuzz/run.sh 20
}

# Ignored tests need root, or are measurements and have that in their names.
# Tries what those tests need, so that a machine without it says so.
privileged() {
    [ "$(id -u)" = 0 ] || { echo "not root" && return 1; }
    try=$(mktemp -d)
    truncate -s 16M "$try/image"
    mkdir "$try/mount"
    why=
    if ! mke2fs -q -t ext4 "$try/image" >"$try/log" 2>&1 ||
        ! mount -o loop,ro "$try/image" "$try/mount" >"$try/log" 2>&1; then
        why=$(tr '\n' ' ' <"$try/log")
    else
        umount "$try/mount"
    fi
    rm -rf "$try"
    [ -z "$why" ] || { echo "a loop mount of ext4 fails: $why" && return 1; }
}

with_privileges() {
    say "cargo test -- --ignored --skip measure (loop devices, kernel's mounts)"
    if reason=$(privileged); then
        # Tests of other file systems have their names in theirs.
        set --
        lacking=
        for fs in vfat xfs btrfs; do
            if ! grep -qw "$fs" /proc/filesystems &&
                ! modprobe -q "$fs" 2>/dev/null; then
                set -- "$@" --skip "$fs"
                lacking="$lacking $fs"
            fi
        done
        [ -z "$lacking" ] ||
            echo "NOT RUN: privileged tests of$lacking, which the kernel lacks"
        cargo test --test main -- --ignored --skip measure "$@"
        tier="and the privileged tests${lacking:+ (but for$lacking)}"
    else
        echo "NOT RUN: the privileged tests need root, loop devices and ext4 in" \
            "the kernel ($reason)"
        tier="but NOT the privileged tests ($reason)"
    fi
}

# Which machine cards boot in, and why not in the better one: sets $machine, and
# $kernel where it is not the cards' own.
choose_machine() {
    kernel=
    machine=${PIFLASH_VM_MACHINE:-uml}
    reason="PIFLASH_VM_MACHINE says so"
    if [ "$machine" = uml ]; then
        if [ "$(uname -m)" != x86_64 ]; then
            machine=qemu reason="$(uname -m)"
        elif [ "$(id -u)" != 0 ]; then
            machine=qemu reason="not root: a network namespace is needed"
        elif ! kernel=$(sh tests/vm/lab/kernel.sh); then
            machine=qemu reason="its kernel could not be built, see above"
        fi
    fi
    PIFLASH_VM_MACHINE=$machine
    export PIFLASH_VM_MACHINE
    case $machine in
    uml) booted="booted in User-Mode Linux" ;;
    *)
        booted="booted in QEMU's emulator and NOT in User-Mode Linux ($reason)"
        echo "WARNING: cards are $booted: this takes many times as long"
        ;;
    esac
}

# Builds the lab images of these names, two at a time. A test would build what
# it needs as well, but then the time would count as the test's.
build_images() {
    say "lab images"
    arch=amd64
    [ "$(uname -m)" != aarch64 ] || arch=arm64
    arch=${PIFLASH_VM_ARCH:-$arch}
    [ "$machine" = uml ] || kernel=
    printf '%s\n' "$@" | xargs -P 2 -I LAB \
        sh tests/vm/lab/build.sh LAB "$arch" "${kernel:+$kernel/modules}"
}

# Runs tests of booted cards: NAME of the part, then cargo's arguments.
boot() {
    say "cards: $1"
    shift
    cargo test --test vm -- --ignored "$@"
}

boots() {
    say "kernel of User-Mode Linux"
    choose_machine
    # The lab images are built from Debian's packages.
    if ! reason=$(sh tests/vm/lab/build.sh --mirror 2>&1); then
        echo "NOT RUN: booted cards ($reason)"
        booted="NOT booted ($reason)"
        return
    fi
    case $extent in
    ordinary)
        build_images raspios-trixie kubernetes-trixie
        boot "an ordinary first boot, a cluster" --test-threads 1 --exact \
            ordinary::raspios_trixie \
            cluster::k3s::k3s_agents_come_before_their_server
        ;;
    all)
        build_images raspios-trixie kubernetes-trixie raspios-bullseye \
            ubuntu-24.04
        boot "first boots" --skip long:: --skip cluster:: \
            --skip emulated:: --skip real:: --test-threads 2
        boot "clusters" cluster:: --skip long:: --test-threads 1
        # Not a second time where all of them were.
        [ "$machine" = qemu ] || boot "QEMU, with the cards' own kernels" \
            emulated:: --test-threads 2
        # Programs that are in no package of Debian's: tests/real/README.md.
        if [ -n "${PIFLASH_REAL:-}" ]; then
            boot "real Kubernetes" real:: --test-threads 1
            booted="$booted, with real Kubernetes too"
        else
            echo "NOT RUN: real Kubernetes (PIFLASH_REAL is not set)"
        fi
        ;;
    long) boot "long" long:: --test-threads 1 ;;
    esac
}

tier=
if [ "$extent" != long ]; then
    without_boots
    with_privileges
fi
[ "$extent" != all ] || fuzzing
boots

say "all checks and tests ($extent) passed${tier:+, $tier}; cards were $booted"
cat "$times"

#!/bin/sh
# Builds the User-Mode Linux kernel that boots cards at the machine's own
# speed, and prints the directory that it is in:
#   kernel.sh [CACHE]
# In the directory: the program `linux`, and `modules`, what a root file
# system has in /lib/modules for it (all that is in it is built in). CACHE is
# a directory for finished kernels, one for each state of these files and of
# the source: Debian's newest package linux-source, asked for when there is
# no kernel of these files yet.
#
# x86 only. Needs the packages flex, bison and bc, a C compiler, and 2 GB while
# it builds. Installs nothing: what it downloads by apt is of lists of its own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C.UTF-8
export PATH LC_ALL

fail() {
    echo "tests/vm/lab/kernel.sh: $*" >&2
    exit 1
}

case $(uname -m) in
x86_64) ;;
*) fail "User-Mode Linux is for x86_64, and this machine is $(uname -m)" ;;
esac

cache=${1:-$here/../../../target/vm}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
files=$(cat "$here/kernel.sh" "$here/uml.config" "$here/uml-card.c" |
    sha256sum | cut -c 1-16)

# A kernel that these files made; of which source, its name says.
made() {
    for kernel in "$cache/uml-$files"-*; do
        [ ! -e "$kernel/linux" ] || {
            echo "$kernel"
            return 0
        }
    done
    return 1
}

# apt with sources and lists in a directory of its own.
own_apt() {
    program=$1
    shift
    "$program" -o Dir::Etc::SourceList="$work/sources" \
        -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work/cache" -o Acquire::Languages=none \
        -o APT::Sandbox::User= "$@"
}

# Downloads the newest source into $work, and sets $version.
download() {
    from=$(sh "$here/build.sh" --mirror)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    # Where Debian's newest kernel is.
    echo "deb [signed-by=$keys] $from sid main" >"$work/sources"
    own_apt apt-get -q update
    package=$(own_apt apt-cache show linux-source |
        sed -n 's/^Depends: \(linux-source-[^ ,]*\).*/\1/p' | head -n 1)
    [ -n "$package" ] || fail "$from has no package linux-source in sid"
    (cd "$work" && own_apt apt-get -q download "$package")
    version=$(dpkg-deb -f "$work/$package"_*.deb Version)
    dpkg-deb --fsys-tarfile "$work/$package"_*.deb |
        tar -xO --wildcards "./usr/src/$package.tar.*" >"$work/source"
    rm "$work/$package"_*.deb
    mkdir "$work/linux"
    tar -xf "$work/source" -I xz -C "$work/linux" --strip-components=1 \
        --exclude='*/drivers/gpu/drm/*/*.[ch]'
    rm "$work/source"
}

# Edits a file of the source; what is not there to be edited is an error.
edit() {
    sed -i "$2" "$1"
    grep -q "$3" "$1" ||
        fail "$1 is not as expected: is the source a newer one?"
}

# What `uml-card.c` adds, and three faults: with several processors the
# network driver takes the lock of a queue that a tap has not; the kubelet
# wants to read how fast a processor is; and qemu-storage-daemon says that it
# has no write cache where it has one, so that no flush would ever be sent.
prepare() {
    cp "$here/uml-card.c" arch/um/drivers/card.c
    edit arch/um/drivers/Makefile '0,/^obj-y :=.*/s//&\nobj-y += card.o/' \
        '^obj-y += card.o$'
    edit arch/um/drivers/vector_kern.c \
        's/^\tspin_\(un\)*lock(&\(vp->.x_queue\)->head_lock);$/\tif (\2)\n\t&/' \
        'if (vp->rx_queue)'
    edit arch/um/kernel/um_arch.c \
        's/^\tseq_printf(m, "mode\\t.*/&\n\tseq_printf(m, "cpu MHz\\t\\t: 1000.000\\n");/' \
        'cpu MHz'
    edit drivers/block/virtio_blk.c \
        '/^static int virtblk_get_cache_mode/,/^}/s/^\tif (err)$/\tif (err || !writeback)/' \
        '^	if (err || !writeback)$'
    make -s ARCH=um KCONFIG_ALLCONFIG="$here/uml.config" allnoconfig
    grep '^CONFIG_.*=' "$here/uml.config" | while read -r line; do
        grep -qxF "$line" .config ||
            fail "the kernel does not take $line of uml.config"
    done
}

build() {
    for program in flex bison bc make cc depmod; do
        command -v "$program" >/dev/null || fail "there is no program $program"
    done
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    download >&2
    target=$cache/uml-$files-$version
    cd "$work/linux"
    prepare >&2
    make -s ARCH=um -j "$(nproc)" linux modules >&2
    make -s ARCH=um INSTALL_MOD_PATH="$work/root" modules_install >&2
    mkdir -p "$target"
    rm -rf "$target/modules"
    cp -r "$work/root/lib/modules" "$target/modules"
    rm -f "$target"/modules/*/build "$target"/modules/*/source
    strip -o "$target/linux.part" linux
    mv "$target/linux.part" "$target/linux"
}

# Two that want the kernel build it once.
exec 9>"$cache/uml.lock"
flock 9
if ! made >/dev/null; then
    # Of older states of these files.
    rm -rf "$cache"/uml-*
    build 9>&-
fi
made

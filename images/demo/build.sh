#!/bin/sh
# Makes the demo image from boot/, root/ and their lists, without root:
#
#     images/demo/build.sh [DIRECTORY]
#
# writes demo.img.zst and demo.yaml (its checksum, size and the mke2fs that
# made it) to DIRECTORY, by default beside this script. The same inputs and
# tools give the same bytes: every identity and time is fixed here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}

# 2026-06-18 00:00 UTC
SOURCE_DATE_EPOCH=1781740800
export SOURCE_DATE_EPOCH
TZ=UTC LC_ALL=C
export TZ LC_ALL
# /sbin is not in everybody's path.
PATH=$PATH:/usr/sbin:/sbin
export PATH

disk_id=70693f1a
boot_start=16384 # sectors of 512 bytes: 8 MiB, as pi-gen has it
boot_sectors=81920 # 40 MiB: FAT32 needs more than 65,525 clusters
boot_serial=70693f1b
root_start=$((boot_start + boot_sectors))
root_sectors=229376 # 112 MiB
root_uuid=6f3b2c1e-8a52-4d1b-9c6e-2f7a5d90e4b1
hash_seed=0c9d8e7f-6a5b-4c3d-8e2f-1a0b9c8d7e6f

for tool in sfdisk:fdisk mkfs.vfat:dosfstools mcopy:mtools \
    mke2fs:e2fsprogs debugfs:e2fsprogs zstd:zstd; do
    command -v "${tool%:*}" >/dev/null || {
        echo "build.sh: ${tool%:*} is missing:" \
            "install Debian's package ${tool#*:}" >&2
        exit 1
    }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
image=$work/demo.img

# elf ARCHITECTURE: a program's header with nothing behind it.
elf() {
    case $1 in
    arm64) printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\267\0\1\0\0\0' ;;
    amd64) printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\76\0\1\0\0\0' ;;
    armhf) printf '\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\3\0\50\0\1\0\0\0' ;;
    *) echo "build.sh: unknown architecture $1" >&2 && return 1 ;;
    esac
    head -c 40 /dev/zero
}

# stage NAME: plain files and made ones together, as $work/NAME.
stage() {
    cp -R "$here/$1" "$work/$1"
    while read -r kind path rest; do
        case $kind in
        text | elf) mkdir -p "$(dirname "$work/$1/$path")" ;;
        esac
        case $kind in
        text) printf '%b\n' "${rest#* }" >"$work/$1/$path" ;;
        elf) elf "$rest" >"$work/$1/$path" ;;
        esac
    done <"$here/$1.list"
}

# entries: every path of the root file system, parents first, as
# `PATH TYPE MODE UID GID TARGET`.
entries() {
    (cd "$work/root" && find . -type f) | sed 's,^\./,file ,' |
        cat - "$here/root.list" |
        awk '
            function parents(path) {
                while (sub("/[^/]*$", "", path))
                    if (!(path in type)) add(path, "dir", "0755")
            }
            function add(path, kind, bits) {
                type[path] = kind; mode[path] = bits
                uid[path] = 0; gid[path] = 0; target[path] = "-"
                parents(path)
            }
            function owner() { uid[$2] = $4; gid[$2] = $5 }
            $1 == "file" { add($2, "file", "0644") }
            $1 == "dir" { add($2, "dir", $3); if (NF > 3) owner() }
            $1 == "meta" { mode[$2] = $3; if (NF > 3) owner() }
            $1 == "text" { mode[$2] = $3 }
            $1 == "elf" && !($2 in seen) { mode[$2] = "0755" }
            $1 == "link" { add($2, "link", "0777"); target[$2] = $3 }
            $1 == "meta" { seen[$2] = 1 }
            END {
                for (path in type)
                    print path, type[path], mode[path], uid[path],
                        gid[path], target[path]
            }' | sort -k1,1
}

# commands: debugfs commands that make `entries`. They need no root, unlike
# the owners that `mke2fs -d` copies from the source.
commands() {
    echo "set_current_time @$SOURCE_DATE_EPOCH"
    entries | awk -v time="@$SOURCE_DATE_EPOCH" -v from="$work/root" '
        function stamp(what) {
            print "sif", what, "atime", time
            print "sif", what, "ctime", time
            print "sif", what, "mtime", time
            print "sif", what, "crtime", time
            print "sif", what, "generation 0"
        }
        function meta(what, bits) {
            print "sif", what, "mode", bits
            print "sif", what, "uid", $4
            print "sif", what, "gid", $5
            stamp(what)
        }
        BEGIN { stamp("/"); stamp("<1>"); stamp("<7>"); stamp("<8>")
            stamp("/lost+found") }
        {
            path = "/" $1
            name = path; sub(".*/", "", name)
            parent = path; sub("/[^/]*$", "", parent)
            bits = substr($3, length($3) - 3)
        }
        $2 == "dir" { print "mkdir", path; meta(path, "04" bits) }
        $2 == "link" { print "symlink", path, $6; meta(path, "0120777") }
        $2 == "file" {
            print "cd", (parent == "" ? "/" : parent)
            print "write", from path, name
            print "cd /"
            meta(path, "010" bits)
        }
        # Directories take a new time with every entry.
        { if ($2 == "dir") dirs[++count] = path }
        END {
            stamp("/")
            for (i = 1; i <= count; i++) stamp(dirs[i])
        }'
    for field in wtime lastcheck mkfs_time; do
        echo "ssv $field @$SOURCE_DATE_EPOCH"
    done
    echo "ssv kbytes_written 0"
}

stage boot
stage root

truncate -s $(((root_start + root_sectors) * 512)) "$image"
sfdisk --quiet "$image" <<END
label: dos
label-id: 0x$disk_id
unit: sectors
start=$boot_start, size=$boot_sectors, type=c
start=$root_start, size=$root_sectors, type=83
END

mkfs.vfat --invariant -F 32 -s 1 -n bootfs -i "$boot_serial" \
    --offset "$boot_start" "$image" $((boot_sectors / 2)) >/dev/null 2>&1
boot_at=$image@@$((boot_start * 512))
(cd "$work/boot" && find . -type d ! -name .) | sort |
    while read -r path; do
        mmd -i "$boot_at" "::/${path#./}" </dev/null
    done
(cd "$work/boot" && find . -type f) | sort |
    while read -r path; do
        mcopy -i "$boot_at" "$work/boot/$path" "::/${path#./}" </dev/null
    done

# pi-gen's features: `-O ^64bit,^huge_file` and trixie's defaults.
features=none,has_journal,ext_attr,resize_inode,dir_index,orphan_file
features=$features,filetype,extent,flex_bg,sparse_super,large_file
features=$features,dir_nlink,extra_isize,metadata_csum
# The host's mke2fs.conf has no say.
MKE2FS_CONFIG=$work/mke2fs.conf
export MKE2FS_CONFIG
cat >"$MKE2FS_CONFIG" <<END
[fs_types]
	ext4 = {
		features = has_journal
	}
END
mke2fs -q -t ext4 -O "$features" -b 4096 -i 16384 -I 256 -m 5 -J size=4 \
    -L rootfs -U "$root_uuid" \
    -E "hash_seed=$hash_seed,lazy_itable_init=0,offset=$((root_start * 512))" \
    "$image" $((root_sectors / 2))k 2>"$work/mke2fs.log" ||
    { cat "$work/mke2fs.log" >&2 && exit 1; }
root_at="$image?offset=$((root_start * 512))"
orphans=$(dumpe2fs -h "$root_at" 2>/dev/null |
    sed -n 's/^Orphan file inode: *//p')
commands >"$work/commands"
if [ -n "$orphans" ]; then
    for field in atime ctime mtime crtime; do
        echo "sif <$orphans> $field @$SOURCE_DATE_EPOCH" >>"$work/commands"
    done
fi
debugfs -w -f "$work/commands" "$root_at" >"$work/debugfs.log" 2>&1
# It repeats each command; anything else is a complaint.
if grep -v -e '^debugfs' -e '^Allocated inode: ' \
    -e '^Setting current time ' -e '^$' "$work/debugfs.log" >&2; then
    echo "build.sh: debugfs complained" >&2
    exit 1
fi
e2fsck -fn "$root_at" >"$work/e2fsck.log" 2>&1 ||
    { cat "$work/e2fsck.log" >&2 && exit 1; }

zstd -q -19 -f "$image" -o "$out/demo.img.zst"
cat >"$out/demo.yaml" <<END
# Written by build.sh.
sha256: $(sha256sum "$image" | cut -d' ' -f1)
size: $(stat -c %s "$image")
mke2fs: "$(mke2fs -V 2>&1 | sed -n '1s/^mke2fs \([^ ]*\).*/\1/p')"
END

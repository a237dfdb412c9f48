#!/bin/sh
# Makes the inputs that fuzzing begins with, in fuzz/seeds: by the programs
# that make such files, and from the tests' own. Those that fuzzing has found
# (found-*) stay. Needs the Debian packages that tests/run.sh installs.
#   sh fuzz/seeds.sh
set -eu

cd "$(dirname "$0")"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1750000000
MKE2FS_CONFIG=/dev/null E2FSPROGS_FAKE_TIME=1750000000 MTOOLS_SKIP_CHECK=1
export LC_ALL TZ SOURCE_DATE_EPOCH MKE2FS_CONFIG E2FSPROGS_FAKE_TIME \
    MTOOLS_SKIP_CHECK
fixtures=../tests/fixtures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# into TARGET: empties its seeds, but for those that were found.
into() {
    seeds=seeds/$1
    mkdir -p "$seeds"
    find "$seeds" -type f ! -name 'found-*' -delete
}

# Partition tables: SECTORS NAME, and sfdisk's script.
table() {
    rm -f "$work/disk"
    truncate -s "$(($1 * 512))" "$work/disk"
    sfdisk -q --no-reread --no-tell-kernel "$work/disk"
    python3 pack.py "$work/disk" "$seeds/$2"
}

into table
table 512 mbr <<-END
	label: dos
	label-id: 0x041bba91
	start=8, size=16, type=c, bootable
	start=32, size=32, type=83
	start=64, size=400, type=5
	start=72, size=8, type=83
	start=88, size=8, type=82
	start=120, size=64, type=c
END
table 256 mbr-two <<-END
	label: dos
	label-id: 0x1
	start=8, size=16, type=c
	start=32, size=200, type=83
END
table 128 gpt <<-END
	label: gpt
	label-id: 15F4C6BE-1102-4331-9904-F78E78AFD1FD
	first-lba: 34
	table-length: 4
	start=40, size=8, type=U, name="boot fs"
	start=48, size=32, type=L, name="wurzelä", attrs=LegacyBIOSBootable
END
table 256 gpt-128 <<-END
	label: gpt
	label-id: 15F4C6BE-1102-4331-9904-F78E78AFD1FD
	first-lba: 34
	start=40, size=8, type=U
	start=64, size=128, type=L
END

# FAT volumes: BITS KIB WORD.
fat() {
    rm -f "$work/fat"
    mkfs.vfat --invariant -F "$1" -s 1 -n bootfs -C "$work/fat" "$2" \
        >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }
    printf 'console=tty1 root=PARTUUID=1-02\n' >"$work/cmdline.txt"
    yes 'dtparam=audio=on' | head -c 1500 >"$work/config.txt"
    mmd -i "$work/fat" ::/overlays '::/a longer name'
    mcopy -m -i "$work/fat" "$work/cmdline.txt" "$work/config.txt" ::/
    mcopy -m -i "$work/fat" "$work/cmdline.txt" \
        '::/a longer name/another one.txt'
    python3 pack.py "$work/fat" "$seeds/fat$1-$3" "$3"
}

into fat
for word in 0x1100 0x00ff00 0x02ee00; do
    fat 12 128 "$word"
    fat 16 2200 "$word"
done
fat 32 34000 0x00ff00

# ext4 file systems: NAME KIB WORD, and what mke2fs is told. Journals are of
# the smallest size, and nearly all zeros.
ext4() {
    name=$1 size=$2 word=$3
    shift 3
    rm -f "$work/ext4"
    truncate -s "${size}K" "$work/ext4"
    mke2fs -q -F -t ext4 -m0 -N64 -U6b1d3a3e-9a0c-4c8e-8f6b-2b9d6d0f3c11 \
        -Ehash_seed=5f0c3c52-7ad1-4e2b-9b3e-0d7c1a2b3c4d,root_owner=0:0 \
        "$@" -d "$work/tree" "$work/ext4" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2 && return 1; }
    debugfs -w -f "$work/commands" "$work/ext4" >"$work/log" 2>&1
    # Makes indexes; it says that it has changed something.
    e2fsck -fyD "$work/ext4" >"$work/log" 2>&1 || [ $? = 1 ]
    e2fsck -fn "$work/ext4" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2 && return 1; }
    dumpe2fs -h "$work/ext4" 2>/dev/null | grep features: >&2;     python3 pack.py "$work/ext4" "$seeds/$name" "$word"
}

mkdir -p "$work/tree/etc" "$work/tree/index" "$work/tree/usr/bin"
echo '127.0.0.1 localhost' >"$work/tree/etc/hosts"
echo raspberrypi >"$work/tree/etc/hostname"
ln "$work/tree/etc/hosts" "$work/tree/etc/hosts.link"
ln -s hosts "$work/tree/etc/fast"
ln -s "$(printf 'y%.0s' $(seq 70))" "$work/tree/etc/slow"
yes program | head -c 9000 >"$work/tree/usr/bin/tool"
for number in $(seq 18); do
    ln "$work/tree/etc/hostname" \
        "$work/tree/index/$(printf 'e%.0s' $(seq 100))$number"
done
truncate -s 40K "$work/tree/etc/holes"
printf end >>"$work/tree/etc/holes"
find "$work/tree" -exec touch -h -d @1700000000 {} +
cat >"$work/commands" <<-END
	ea_set /etc/hosts user.small value
	ea_set /etc/hostname user.large $(printf 'v%.0s' $(seq 300))
END

into ext4
# As in Debian's mke2fs.conf.
base=has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink
base=$base,extra_isize,sparse_super,large_file,filetype,resize_inode,dir_index
base=$base,ext_attr
no=$base,^has_journal,^resize_inode
ext4 bookworm-1k 512 0x00ff00 -b1024 -O "$no,metadata_csum,^64bit,^orphan_file"
ext4 bookworm-64bit 512 0x041fff00 -b1024 -O "$no,metadata_csum,64bit"
ext4 buster-1k 512 0x1fff00 -b1024 \
    -O "$no,^metadata_csum,^64bit,uninit_bg,^orphan_file"
ext4 plain-1k 512 0x021fff00 -b1024 -O "$no,^metadata_csum,^64bit,^uninit_bg"
ext4 plain-few 512 0x1300 -b1024 -O "$no,^metadata_csum,^64bit,^uninit_bg"
ext4 old 512 0x011fff00 -b1024 -I128 \
    -O "$no,^extent,^metadata_csum,^64bit,^filetype,^flex_bg,^dir_index"
ext4 groups-1k 1024 0x1fff00 -b1024 -g256 -O "$no,metadata_csum,^64bit"
ext4 bookworm-4k 1024 0x011fff00 -b4096 -O "$no,metadata_csum,^64bit"
ext4 journal 4096 0x1fff00 -b1024 -Jsize=1 -O "$base,^resize_inode,^metadata_csum,^64bit"
ext4 trixie 4096 0x021fff00 -b1024 -Jsize=1 \
    -O "$base,^64bit,orphan_file"

# .xz files: NAME, and what xz is told. The last byte is for the target: the
# checksums around the blocks are set right.
xz_file() {
    name=$1
    shift
    xz -c "$@" "$work/content" >"$work/file.xz"
    cp "$work/file.xz" "$seeds/$name"
    { cat "$work/file.xz" && printf '\0'; } >"$seeds/$name-sealed"
}

{
    yes 'what an image has' | head -c 3000
    head -c 9000 /dev/zero
    yes 'something else' | head -c 700
} >"$work/content"
into xz
xz_file one
for check in none crc32 crc64 sha256; do
    xz_file "blocks-$check" --check="$check" --block-size=4096 -T2
done
xz_file x86 --x86 --lzma2=dict=4KiB
xz_file delta --delta=dist=4 --lzma2=dict=4KiB --block-size=5000
{
    cat "$seeds/one" && head -c 8 /dev/zero && cat "$seeds/blocks-crc32"
} >"$seeds/streams"
: | xz -c >"$seeds/empty"

into zst
zstd -q -c "$work/content" >"$seeds/one"
zstd -q -c --no-check -19 "$work/content" >"$seeds/no-check"
printf '\120\52\115\30\3\0\0\0abc' | cat - "$seeds/one" >"$seeds/skippable"
python3 - "$seeds/one" "$seeds/seekable" <<-END
	import struct, sys
	frame = open(sys.argv[1], "rb").read()
	rows = struct.pack("<II", len(frame), 12700) * 2
	end = struct.pack("<IBI", 2, 0, 0x8F92EAB1)
	head = struct.pack("<II", 0x184D2A5E, len(rows + end))
	open(sys.argv[2], "wb").write(frame * 2 + head + rows + end)
END

into zip
cp "$work/content" "$work/content.img"
touch -d @1700000000 "$work/content.img" "$work/content"
zip -q -X -j - "$work/content.img" >"$seeds/streamed"
zip -q -X -j "$work/one.zip" "$work/content.img"
zip -q -X -j -0 "$work/stored.zip" "$work/content.img"
zip -q -X -j -fz "$work/zip64.zip" "$work/content.img"
zip -q -X -j "$work/two.zip" "$work/content.img" "$work/content"
echo comment | zip -q -X -j -z "$work/comment.zip" "$work/content.img"
cp "$work"/*.zip "$seeds/"

into inventory
for file in "$fixtures"/*.yml; do
    cp "$file" "$seeds/${file##*/}"
done
cat >"$seeds/files" <<-'END'
	all:
	  vars: {base_image: demo, timezone: Europe/Vienna, a: "{{ b }}"}
	  children:
	    k3s_cluster:
	      children:
	        server: {hosts: {node1: {ansible_host: 192.168.1.11}}}
	        agent:
	          hosts:
	            node[2:4]: {ansible_host: "192.168.1.{{ 10 + 2 }}"}
	%%% group_vars/all.yml
	network: &n {gateway: 192.168.1.1, dns: [1.1.1.1]}
	other: *n
	%%% group_vars/k3s_cluster.yml
	k3s_token: "{{ lookup('file', 'file.txt') }}"
	%%% host_vars/node1.yml
	labels: {rack: "{{ groups['server'] | length }}"}
	%%% file.txt
	secret
END

into imager_list
digest=$(printf '0123456789abcdef%.0s' 1 2 3 4)
rpi=https://downloads.raspberrypi.com
cat >"$seeds/list" <<-END
	{"imager": {"devices": []}, "os_list": [
	 {"name": "Lite", "url": "$rpi/raspios_lite_arm64/images/raspios_lite_arm64-2026-06-19/2026-06-18-raspios-trixie-arm64-lite.img.xz",
	  "extract_size": 2957000704, "extract_sha256": "$digest",
	  "image_download_size": 500000000, "image_download_sha256": "$digest",
	  "release_date": "2026-06-18", "init_format": "cloudinit-rpi",
	  "devices": ["pi5-64bit", "pi4-64bit"]},
	 {"name": "More", "subitems": [
	  {"name": "Ubuntu", "url": "https://cdimage.ubuntu.com/releases/26.04/release/ubuntu-26.04-preinstalled-server-arm64+raspi.img.xz",
	   "extract_size": 4000000000, "extract_sha256": "$digest",
	   "image_download_size": 1200000000, "release_date": "2026-04-23",
	   "devices": ["pi4-64bit"], "init_format": "cloudinit"}]},
	 {"name": "Elsewhere", "subitems_url": "$rpi/os_list_2.json"}]}
	%%%
	{"os_list": [{"subitems_url": "$rpi/os_list_3.json"}]}
END

into sha256sums
cat >"$seeds/sums" <<-END
	$digest *ubuntu-24.04.4-preinstalled-server-arm64+raspi.img.xz
	$digest *ubuntu-24.04.4-preinstalled-server-armhf+raspi.img.xz
	$digest  ubuntu-24.04.4-live-server-arm64.iso
END

# Two keys, and signatures by both. The agent ends with its directory.
GNUPGHOME=$work/gnupg
export GNUPGHOME
mkdir -m 700 "$GNUPGHOME"
gpg() {
    command gpg --batch --quiet --pinentry-mode loopback --passphrase '' \
        --faked-system-time "${at:-20260101T000000}!" "$@"
}
gpg --quick-gen-key 'One <one@example.org>' ed25519 sign 3y
gpg --quick-gen-key 'Two <two@example.org>' rsa2048 sign 0
gpg --export >keys.gpg
into signature
printf 'signed\n' >"$work/signed"
at=20260102T000000
for name in one two; do
    gpg -u "$name@example.org" --detach-sign -o "$seeds/$name" "$work/signed"
    gpg -u "$name@example.org" --armor --detach-sign -o "$seeds/$name.asc" \
        "$work/signed"
done
gpg -u one@example.org --digest-algo SHA1 --detach-sign -o "$seeds/sha1" \
    "$work/signed"
cat "$seeds/one" "$seeds/two" >"$seeds/both"
into keyring
# keyring KEYS SIGNATURE NAME
keyring() {
    python3 - "$1" "$2" "$seeds/$3" <<-END
		import struct, sys
		keys, signature = (open(path, "rb").read() for path in sys.argv[1:3])
		with open(sys.argv[3], "wb") as out:
		    out.write(struct.pack("<H", len(keys)) + keys + signature)
	END
}
keyring keys.gpg seeds/signature/one both
gpg --export --armor one@example.org >"$work/one.asc"
keyring "$work/one.asc" seeds/signature/one armored
keyring "$fixtures/apt-key.asc" seeds/signature/two foreign
gpgconf --kill all

into node
printf '0{"version":1,"node":"node3","state":"waiting","step":"50-k3s","attempt":3,"done":4,"steps":6,"percent":66,"since":"2026-11-25T18:00:00Z","error":"no route","output":"x","certificates":{"days":-2,"end":"2027-11-30T06:40:00Z","file":"/etc/x.crt"}}' >"$seeds/status"
nodes='{"kind":"NodeList","items":[{"metadata":{"name":"node1","labels":{"node-role.kubernetes.io/etcd":"true"},"annotations":{"etcd.k3s.cattle.io/node-name":"a","etcd.k3s.cattle.io/node-address":"b"},"finalizers":["wrangler.cattle.io/managed-etcd-controller"]},"status":{"conditions":[{"type":"Ready","status":"True","message":"ok"},{"type":"EtcdIsVoter","status":"False"}],"nodeInfo":{"kubeletVersion":"v1.37.1+k3s1"}}},{"metadata":{"name":"node2"}}]}'
printf '1%s' "$nodes" >"$seeds/nodes"
printf '3%s' "$nodes" >"$seeds/servers"
printf '3%s\n' 'node1 Ready,SchedulingDisabled control-plane,etcd 5m v1.37' \
    >"$seeds/table"
printf '2{"members":[{"ID":1,"name":"node1","peerURLs":["https://192.168.1.11:2380"],"clientURLs":["https://192.168.1.11:2379"]},{"ID":2,"name":"node2","isLearner":true}]}%%%%%%[{"endpoint":"https://192.168.1.11:2379","health":true}]' >"$seeds/etcd"

into kubeconfig
for kind in k3s k8s; do
    case $kind in
    k3s) authority=tls/server-ca.crt ;;
    k8s) authority=pki/ca.crt ;;
    esac
    encoded() { base64 -w0 "$fixtures/identity/$kind/$1"; }
    cat >"$seeds/$kind" <<-END
		apiVersion: v1
		kind: Config
		clusters:
		- name: c
		  cluster: {server: "https://192.168.1.11:6443", certificate-authority-data: $(encoded "$authority")}
		users:
		- name: u
		  user:
		    client-certificate-data: $(encoded admin.crt)
		    client-key-data: $(encoded admin.key)
		contexts:
		- name: x
		  context: {cluster: c, user: u}
		current-context: x
	END
done

du -sh seeds

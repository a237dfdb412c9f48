# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Ubuntu Server 24.04 for Raspberry Pi: cloud-init with its seed on the FAT,
# netplan, systemd-networkd, and growpart. Debian trixie has cloud-init and
# netplan of the same versions.

suite=trixie
packages="systemd-sysv systemd-timesyncd systemd-resolved libpam-systemd dbus
    udev kmod linux-image-cloud-$arch initramfs-tools lz4 e2fsprogs dosfstools
    fdisk openssh-server netplan.io cloud-init cloud-guest-utils sudo iproute2
    procps iptables"
disk_id=5c9cf6bb
boot_start=2048
boot_sectors=1048576
boot_cluster=8
boot_label=system-boot
boot_mount=/boot/firmware
root_label=writable
root_features="64bit,huge_file,metadata_csum,flex_bg,extra_isize"
root_features="$root_features,^metadata_csum_seed,^orphan_file"
root_spare=300

customise() {
    put "$1/usr/lib/os-release" <<END
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
END
    echo ubuntu | put "$1/etc/hostname"
    printf '127.0.0.1 localhost\n\n::1 ip6-localhost ip6-loopback\n' |
        put "$1/etc/hosts"
    put "$1/etc/fstab" <<END
LABEL=writable	/	ext4	discard,errors=remount-ro	0 1
LABEL=system-boot	/boot/firmware	vfat	defaults	0 1
END
    : >"$1/etc/machine-id"
    chroot "$1" systemctl -q enable systemd-networkd systemd-resolved ssh
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"
    # What Ubuntu's package has set where Debian's has its own.
    sed -i 's/name: debian/name: ubuntu/; s/distro: debian/distro: ubuntu/' \
        "$1/etc/cloud/cloud.cfg"
    put "$1/etc/cloud/cloud.cfg.d/99-fake-cloud.cfg" <<END
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    fs_label: system-boot
END
    put "$2/user-data" <<END
#cloud-config
chpasswd:
  expire: true
  users:
    - {name: ubuntu, password: ubuntu, type: text}
ssh_pwauth: false
END
    printf 'dsmode: local\ninstance_id: cloud-image\n' | put "$2/meta-data"
    put "$2/network-config" <<END
network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      optional: true
END
    firmware "$2"
    put "$2/cmdline.txt" <<END
multipath=off console=tty1 console=$console,115200 root=LABEL=writable rootfstype=ext4 rootwait fixrtc net.ifnames=0
END
}

# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Raspberry Pi OS trixie as of 2026: NetworkManager, and cloud-init with its
# seed on the FAT.

suite=trixie
base_packages="systemd-sysv systemd-timesyncd libpam-systemd dbus udev kmod
    linux-image-cloud-$arch initramfs-tools lz4 e2fsprogs dosfstools fdisk
    openssh-server network-manager sudo iproute2 procps iptables"
packages="$base_packages netplan.io cloud-init"
disk_id=a7c1e5d3
boot_start=16384
boot_sectors=1048576
boot_cluster=1
boot_label=bootfs
boot_mount=/boot/firmware
root_label=rootfs
root_features="^64bit,^huge_file,metadata_csum,^metadata_csum_seed,orphan_file"
root_spare=400
stock_shell=/usr/sbin/nologin

customise() {
    trixie "$1" "$2"
    seed "$1" "$2"
}

trixie() {
    raspberry_pi_os "$1" "$2"
    put "$1/etc/rpi-issue" <<END
Raspberry Pi reference 2026-10-06
Generated from packages of Debian for a test, stage2
END
    # The first boot is a first boot to systemd, which then enables every unit
    # that no preset disables: Debian's presets disable few.
    echo uninitialized | put "$1/etc/machine-id"
    clock=var/lib/systemd/timesync/clock
    chroot "$1" install -d -o systemd-timesync -g systemd-timesync -m 755 \
        "/${clock%/*}"
    chroot "$1" install -o systemd-timesync -g systemd-timesync -m 644 \
        /dev/null "/$clock"
    put "$1/usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf" <<END
[Journal]
Storage=volatile
END
    # Stands in for the service that grows the root file system: like it,
    # only on what systemd takes for the first boot.
    put "$1/usr/lib/systemd/system/rpi-resize.service" <<END
[Unit]
Description=Lab: grows the root file system
ConditionFirstBoot=yes
Before=first-boot-complete.target
Wants=first-boot-complete.target

[Service]
Type=oneshot
ExecStart=/bin/touch /var/lib/rpi-resize.ran

[Install]
WantedBy=multi-user.target
END
    ln -s /usr/lib/systemd/system/rpi-resize.service \
        "$1/etc/systemd/system/multi-user.target.wants/rpi-resize.service"
    # `rw` is not on the stock image's line: presets reach /etc on the first
    # boot only where the root file system is writable as systemd starts,
    # which depends on line, kernel and initrd. Here they do.
    put "$2/cmdline.txt" <<END
console=tty1 console=$console,115200 root=PARTUUID=$disk_id-02 rootfstype=ext4 fsck.repair=yes rootwait rw net.ifnames=0
END
}

# cloud-init, with its seed on the FAT.
seed() {
    put "$1/etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg" <<END
datasource_list: [ NoCloud, None ]
datasource:
  NoCloud:
    seedfrom: file:///boot/firmware
ssh_deletekeys: false
ssh_genkeytypes: []
END
    printf '#cloud-config\n# hostname: raspberrypi\n' | put "$2/user-data"
    printf 'dsmode: local\ninstance_id: rpios-image\n' | put "$2/meta-data"
    printf '# network:\n#   version: 2\n' | put "$2/network-config"
}

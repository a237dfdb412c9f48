# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Raspberry Pi OS bullseye as of 2023: dhcpcd, a first boot that changes the
# disk's id and makes SSH host keys of its own, FAT at /boot.

suite=bullseye
packages="systemd-sysv systemd-timesyncd libpam-systemd dbus udev kmod
    linux-image-cloud-$arch initramfs-tools lz4 e2fsprogs dosfstools fdisk
    openssh-server dhcpcd5 openresolv fake-hwclock rng-tools5 sudo iproute2
    procps iptables"
disk_id=9730496b
boot_start=8192
boot_sectors=524288
boot_cluster=4
boot_label=boot
boot_mount=/boot
root_label=rootfs
root_features="^64bit,^huge_file,metadata_csum,^metadata_csum_seed,^orphan_file"
root_spare=400
stock_shell=/bin/bash

customise() {
    raspberry_pi_os "$1" "$2"
    put "$1/etc/rpi-issue" <<END
Raspberry Pi reference 2023-05-03
Generated from packages of Debian for a test, stage2
END
    : >"$1/etc/machine-id"
    echo "2023-05-03 02:17:01" | put "$1/etc/fake-hwclock.data"
    # Waits for a lease before the network counts as up; Raspberry Pi OS's own
    # package has the order in its unit, Debian's has not.
    put "$1/etc/systemd/system/dhcpcd.service.d/wait.conf" <<END
[Unit]
Before=network.target

[Service]
ExecStart=
ExecStart=/usr/sbin/dhcpcd -w -q
END
    put "$1/usr/lib/systemd/system/regenerate_ssh_host_keys.service" <<END
[Unit]
Description=Lab: new SSH host keys
Before=ssh.service
ConditionFileIsExecutable=/usr/bin/ssh-keygen

[Service]
Type=oneshot
ExecStartPre=-/bin/sh -c 'rm -f /etc/ssh/ssh_host_*_key*'
ExecStart=/usr/bin/ssh-keygen -A
ExecStartPost=/bin/systemctl disable regenerate_ssh_host_keys

[Install]
WantedBy=multi-user.target
END
    unit=/usr/lib/systemd/system/regenerate_ssh_host_keys.service
    ln -s "$unit" "$1/etc/systemd/system/multi-user.target.wants/"
    firstboot=/usr/lib/raspberrypi-sys-mods/firstboot
    put "$1$firstboot" <"$here/raspios-bullseye-firstboot"
    chmod 755 "$1$firstboot"
    put "$2/cmdline.txt" <<END
console=tty1 console=$console,115200 root=PARTUUID=$disk_id-02 rootfstype=ext4 fsck.repair=yes rootwait net.ifnames=0 quiet init=$firstboot
END
}

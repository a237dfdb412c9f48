# shellcheck shell=sh disable=SC2154 # set by the lab image's own file
# What the lab images share. Sourced by build.sh.

# put PATH: standard input becomes a file, with its directories.
put() {
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}

# The only archive of packages is the test's own, behind a proxy: ROOT.
archive() {
    rm -rf "$1/etc/apt/sources.list.d"/*
    echo 'deb [trusted=yes] http://archive.lab.test/lab ./' |
        put "$1/etc/apt/sources.list"
    # cloud-init would look for the distribution's own, and write that.
    [ ! -e "$1/etc/cloud/cloud.cfg" ] ||
        sed -i '/^ *- *apt[_-]configure$/d' "$1/etc/cloud/cloud.cfg"
}

# What has nothing to do with piflash and takes an emulated processor long:
# databases that are made anew on the first boot, and housekeeping: ROOT.
spare_time() {
    for unit in systemd-hwdb-update systemd-journal-catalog-update \
        e2scrub_reap; do
        ln -sf /dev/null "$1/etc/systemd/system/$unit.service"
    done
    for timer in e2scrub_all fstrim man-db dpkg-db-backup; do
        ln -sf /dev/null "$1/etc/systemd/system/$timer.timer"
    done
    # There are no time servers to be heard from.
    put "$1/etc/systemd/system/piflash-firstboot.service.d/lab.conf" <<END
[Service]
Environment=PIFLASH_SYNC_WAIT=5
END
}

# Raspberry Pi OS, whatever the release: ROOT FAT.
raspberry_pi_os() {
    echo raspberrypi | put "$1/etc/hostname"
    put "$1/etc/hosts" <<END
127.0.0.1	localhost
::1		localhost ip6-localhost ip6-loopback
ff02::1		ip6-allnodes
ff02::2		ip6-allrouters

127.0.1.1		raspberrypi
END
    put "$1/etc/fstab" <<END
proc            /proc           proc    defaults          0       0
PARTUUID=$disk_id-01  $boot_mount  vfat    defaults          0       2
PARTUUID=$disk_id-02  /               ext4    defaults,noatime  0       1
END
    echo "nameserver 8.8.8.8" | put "$1/etc/resolv.conf"
    # The stock user, who cannot log in.
    chroot "$1" useradd -m -u 1000 -s "$stock_shell" pi
    for group in adm dialout cdrom sudo audio video plugdev games users; do
        chroot "$1" usermod -a -G "$group" pi
    done
    # Asks for a first user on the screen, and blocks the login prompt.
    put "$1/usr/lib/systemd/system/userconfig.service" <<END
[Unit]
Description=Lab: asks for the first user
Before=getty@tty1.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'touch /var/lib/userconfig.asked; exec sleep infinity'
TimeoutSec=infinity

[Install]
WantedBy=multi-user.target
END
    put "$1/etc/ssh/sshd_config.d/rename_user.conf" <<END
Banner /usr/share/userconf-pi/sshd_banner
END
    ln -s /usr/lib/systemd/system/userconfig.service \
        "$1/etc/systemd/system/multi-user.target.wants/userconfig.service"
    # sshd is there, but off.
    rm -f "$1/etc/systemd/system/multi-user.target.wants/ssh.service" \
        "$1/etc/systemd/system/sshd.service"
    firmware "$2"
}

# What the firmware is told: which kernel and initrd it starts.
firmware() {
    put "$1/config.txt" <<END
# For more options see the documentation of config.txt.
dtparam=audio=on

[all]
kernel=vmlinuz
initramfs initrd.img followkernel
END
}

# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Raspberry Pi OS trixie of 2025, before it had cloud-init, with Debian's own
# kubectl and containerd, on which the stand-ins for k3s and kubeadm
# (tests/standins) count. Like the image of 2025-10-01, it has a directory
# where systemd-timesyncd keeps the time.

# shellcheck source=tests/vm/lab/raspios-trixie.sh
. "$here/raspios-trixie.sh"
based_on=raspios-trixie
packages="$base_packages kubernetes-client containerd conntrack ethtool socat"

customise() {
    trixie "$1" "$2"
    rm "$1/$clock"
    chown root:root "$1/${clock%/*}"
    chroot "$1" install -d -o systemd-timesync -g systemd-timesync -m 755 \
        "/$clock"
    chroot "$1" install -o systemd-timesync -g systemd-timesync -m 644 \
        /dev/null "/$clock/null"
    # For when the package has been replaced.
    ln "$1/usr/bin/kubectl" "$1/usr/local/lib/kubectl"
}

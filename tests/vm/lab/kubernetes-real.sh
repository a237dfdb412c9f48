# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Raspberry Pi OS trixie before it had cloud-init, for real Kubernetes
# (tests/real), whose own packages bring all but the container runtime. There
# is room for its images, as on a card whose root file system has grown.

# shellcheck source=tests/vm/lab/raspios-trixie.sh
. "$here/raspios-trixie.sh"
based_on=raspios-trixie
packages="$base_packages containerd conntrack ethtool socat"
root_spare=5000

customise() {
    trixie "$1" "$2"
}

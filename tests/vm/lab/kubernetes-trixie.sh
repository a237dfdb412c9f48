# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# Raspberry Pi OS trixie with Debian's own kubectl and containerd, on
# which the stand-ins for k3s and kubeadm (tests/standins) count.

# shellcheck source=tests/vm/lab/raspios-trixie.sh
. "$here/raspios-trixie.sh"
based_on=raspios-trixie
packages="$packages kubernetes-client containerd conntrack ethtool socat"

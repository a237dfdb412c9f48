# shellcheck shell=sh disable=SC2034,SC2154 # shared with build.sh
# As large as Raspberry Pi OS Lite is (2.7 GB, of which 2 are files): for
# measurements, not for tests.

# shellcheck source=tests/vm/lab/raspios-trixie.sh
. "$here/raspios-trixie.sh"
# One kernel, and that with all modules.
packages="$(echo "$packages" | sed "s/linux-image-cloud-/linux-image-/")
    build-essential git gdb vim perl python3-numpy python3-scipy python3-pip
    ffmpeg samba nodejs golang-go firmware-linux-free ghostscript imagemagick"
root_spare=300

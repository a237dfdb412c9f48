#!/bin/sh
# Fills a directory with the real programs that the tests in this directory
# run, from where their makers publish them:
#   fetch.sh DIR [ARCH]
# ARCH is Debian's name of an architecture, amd64 (the default) or arm64. DIR
# gets one folder for each host, with the paths that the files have there:
# README.md beside this script lists them. What is there already is fetched
# again only where its digest is wrong.
#
# Which versions: k3s, Flannel and Kubernetes' minor release as piflash has
# them in images/artefacts.yaml; Kubernetes' packages, the newest of it; the
# container images, those that this kubeadm and this Flannel name.
#
# What is compared: packages with the list of packages, and that with the
# signature of the repository's key; k3s with the release's checksums; each
# part of a container image with the digest by which it was asked for. Not
# signed by anybody are Release.key, kube-flannel.yml and the tags of images.
#
# UNTRIED AGAINST THE MAKERS' SERVERS: it was tested against a local server
# that has their paths (tests/real_fetch.rs). PIFLASH_REAL_ORIGIN=URL makes it
# ask URL/HOST/PATH instead of https://HOST/PATH.
#
# Needs curl, jq, gpg, dpkg-deb, and an ARCH whose programs run here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
catalogue=$here/../../images/artefacts.yaml
# Debian's containerd 1.7 starts pods with this one, whatever kubeadm names.
# https://github.com/containerd/containerd/blob/release/1.7/pkg/cri/config/config_unix.go
runtime_images=registry.k8s.io/pause:3.8

fail() {
    echo "tests/real/fetch.sh: $*" >&2
    exit 1
}

[ $# -ge 1 ] || fail "which directory?"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
arch=${2:-amd64}
case $arch in
amd64) k3s=k3s ;;
arm64) k3s="k3s-arm64" ;;
*) fail "there are no programs for '$arch'" ;;
esac
for program in curl jq gpg dpkg-deb sha256sum; do
    command -v "$program" >/dev/null || fail "there is no $program"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# pinned NAME: the release of it that piflash takes.
pinned() {
    version=$(awk -v name="$1:" '
        $1 == name { inside = 1; next }
        /^[^ #]/ { inside = 0 }
        inside && $1 == "version:" { print $2; exit }' "$catalogue")
    [ -n "$version" ] || fail "no version of $1 in $catalogue"
    echo "$version"
}

url() {
    if [ -n "${PIFLASH_REAL_ORIGIN:-}" ]; then
        echo "$PIFLASH_REAL_ORIGIN/$1"
    else
        echo "https://$1"
    fi
}

# get HOST/PATH FILE [CURL'S WORDS...]: whole, or not at all.
get() {
    source=$(url "$1")
    target=$2
    shift 2
    mkdir -p "$(dirname "$target")"
    curl --fail --silent --show-error --location --retry 3 "$@" \
        --output "$target.part" "$source" || fail "cannot fetch $source"
    mv "$target.part" "$target"
}

digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# checked HOST/PATH SHA256 [CURL'S WORDS...]: into DIR, below the same path
# with the characters that a URL has as %2B.
checked() {
    what=$1
    there=$dir/$(echo "$what" | sed 's/%2B/+/g')
    wanted=$2
    shift 2
    if [ -e "$there" ] && [ "$(digest "$there")" = "$wanted" ]; then
        return
    fi
    get "$what" "$work/file" "$@"
    found=$(digest "$work/file")
    [ "$found" = "$wanted" ] ||
        fail "$what has the sha256 $found, and should have $wanted"
    mkdir -p "$(dirname "$there")"
    mv "$work/file" "$there"
    echo "$what"
}

# stanza PACKAGE FIELD: of its newest version in the list of packages.
stanza() {
    awk -v package="$1" -v arch="$arch" -v field="$2:" '
        BEGIN { RS = ""; FS = "\n" }
        {
            split("", of)
            for (i = 1; i <= NF; i++) {
                key = $i
                sub(/:.*/, "", key)
                of[key] = $i
                sub(/^[^:]*: */, "", of[key])
            }
            name = field
            sub(/:/, "", name)
            if (of["Package"] == package && of["Architecture"] == arch)
                print of["Version"], of[name]
        }' "$repository/Packages" | sort -V | tail -n 1 | cut -d ' ' -f 2-
}

packages() {
    minor=$(pinned kubernetes)
    path="pkgs.k8s.io/core:/stable:/$minor/deb"
    repository=$dir/$path
    for name in Release.key InRelease Packages; do
        get "$path/$name" "$repository/$name"
    done
    mkdir -m 700 "$work/gpg"
    gpg --homedir "$work/gpg" --quiet --batch --import \
        "$repository/Release.key"
    gpg --homedir "$work/gpg" --quiet --batch --output "$work/Release" \
        --decrypt "$repository/InRelease" 2>"$work/said" ||
        fail "$path/InRelease is not signed by Release.key:" \
            "$(cat "$work/said")"
    list=$(digest "$repository/Packages")
    sed -n '/^SHA256:/,/^[A-Z]/p' "$work/Release" |
        grep -q "^ $list  *[0-9]*  *\(\./\)*Packages$" ||
        fail "$path/Packages has the sha256 $list, which InRelease does not"
    for name in kubeadm kubelet kubectl kubernetes-cni cri-tools; do
        file=$(stanza "$name" Filename)
        [ -n "$file" ] || fail "$path/Packages has no $name for $arch"
        checked "$path/${file#./}" "$(stanza "$name" SHA256)"
    done
    file=$(stanza kubeadm Filename)
    dpkg-deb -x "$repository/${file#./}" "$work/kubeadm"
    version=$(stanza kubeadm Version)
    "$work/kubeadm/usr/bin/kubeadm" config images list \
        --kubernetes-version "v${version%%-*}" >>"$work/images" ||
        fail "kubeadm $version does not name its images"
}

flannel() {
    version=$(pinned flannel)
    path=github.com/flannel-io/flannel/releases/download/$version
    get "$path/kube-flannel.yml" "$dir/$path/kube-flannel.yml"
    sed -n 's/^[ -]*image: *"\{0,1\}\([^" ]*\)"\{0,1\}$/\1/p' \
        "$dir/$path/kube-flannel.yml" >"$work/flannel"
    [ -s "$work/flannel" ] || fail "$path/kube-flannel.yml names no images"
    cat "$work/flannel" >>"$work/images"
}

k3s() {
    # The + of its version, as GitHub wants it.
    version=$(pinned k3s | sed 's/+/%2B/g')
    path=github.com/k3s-io/k3s/releases/download/$version
    get "$path/sha256sum-$arch.txt" "$work/sums"
    for name in "$k3s" "k3s-airgap-images-$arch.tar.zst"; do
        sum=$(awk -v name="$name" '$2 == name { print $1 }' "$work/sums")
        [ -n "$sum" ] || fail "$path/sha256sum-$arch.txt has no $name"
        checked "$path/$name" "$sum"
    done
    folder=$dir/$(echo "$path" | sed 's/%2B/+/g')
    mv "$work/sums" "$folder/sha256sum-$arch.txt"
}

manifests="application/vnd.oci.image.index.v1+json,\
application/vnd.docker.distribution.manifest.list.v2+json,\
application/vnd.oci.image.manifest.v1+json,\
application/vnd.docker.distribution.manifest.v2+json"

# image HOST/NAME:TAG: the manifest of this architecture, under its tag and
# under its digest, and what it lists.
image() {
    host=${1%%/*}
    name=${1#*/}
    tag=${name##*:}
    name=${name%:*}
    from=$host/v2/$name
    set -- --header "Accept: $manifests"
    # Only registry.k8s.io lets everybody in without a token.
    if [ "$host" = ghcr.io ]; then
        get "$host/token?scope=repository:$name:pull" "$work/token"
        set -- "$@" --header \
            "Authorization: Bearer $(jq -r .token "$work/token")"
    fi
    get "$from/manifests/$tag" "$work/manifest" "$@"
    one=$(jq -r --arg arch "$arch" '[.manifests[]? | select(
        .platform.os == "linux" and .platform.architecture == $arch)
        | .digest][0] // empty' "$work/manifest")
    if [ -n "$one" ]; then
        checked "$from/manifests/$one" "${one#sha256:}" "$@"
    else
        jq -e .config.digest "$work/manifest" >/dev/null ||
            fail "$host/$name:$tag has no image for $arch"
        one=sha256:$(digest "$work/manifest")
        mkdir -p "$dir/$from/manifests"
        mv "$work/manifest" "$dir/$from/manifests/$one"
    fi
    cp "$dir/$from/manifests/$one" "$dir/$from/manifests/$tag"
    jq -r '.config.digest, .layers[].digest' "$dir/$from/manifests/$tag" \
        >"$work/parts"
    while read -r part; do
        checked "$from/blobs/$part" "${part#sha256:}" "$@"
    done <"$work/parts"
}

echo "$runtime_images" | tr ' ' '\n' >"$work/images"
packages
flannel
k3s
sort -u "$work/images" -o "$work/images"
while read -r name; do
    image "$name"
done <"$work/images"
echo "$dir has all programs for $arch"

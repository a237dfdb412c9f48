# shellcheck shell=sh
# What taking a cluster off a node is made of, for the scripts in `down`,
# which read this file with `.`. All of it may be run again at any time, and
# does nothing where there is nothing to do.

# shellcheck source=firstboot/report.sh
. "${PIFLASH_ROOT:-}/usr/local/lib/piflash/report.sh"
proc=$root/proc
# What the card brought along waits here for `piflash-node retry`.
kept=$state/kept
# Chains and rules of Kubernetes and of what connects its pods.
ours='KUBE-|CNI-|[Ff][Ll][Aa][Nn][Nn][Ee][Ll]'

# like FROM TO DIR
# Makes DIR below TO with the mode that it has below FROM, and those above.
like() {
    [ ! -d "$2/$3" ] || return 0
    case $3 in
    */*) like "$1" "$2" "${3%/*}" || return 1 ;;
    esac
    mkdir -m "$(stat -c %a "$1/$3")" "$2/$3"
}

# move FROM TO PATH
# Moves PATH, a file or a directory, to its place below TO. Directories that
# are there stay as they are; each file is replaced at once, so that after a
# power cut the same goes on.
move() {
    if [ ! -L "$1/$3" ] && [ -d "$1/$3" ]; then
        (cd "$1/" && find "$3" -type d) | while IFS= read -r dir; do
            like "$1" "$2" "$dir" || exit 1
        done || return 1
        (cd "$1/" && find "$3" ! -type d) | while IFS= read -r file; do
            mv -f "$1/$file" "$2/$file" || exit 1
        done || return 1
        find "$1/$3" -depth -type d -exec rmdir {} \;
    elif [ -L "$1/$3" ] || [ -e "$1/$3" ]; then
        like "$1" "$2" "${3%/*}" && mv -f "$1/$3" "$2/$3"
    fi
}

# keep PATH...
# Puts what the card brought along out of the way. PATH without a leading /.
keep() {
    mkdir -p "$state" || return 1
    [ -d "$kept" ] || mkdir -m 700 "$kept" || return 1
    for path in "$@"; do
        move "$root" "$kept" "$path" || return 1
    done
}

# files_below DIR...
# The user's own files below directories: `files` of the inventory, whose
# paths are in a list on the card. Without a leading /.
files_below() {
    [ -e "$config/files" ] || return 0
    while IFS= read -r file; do
        for dir in "$@"; do
            case $file in
            "$dir"/*) printf '%s\n' "${file#/}" ;;
            esac
        done
    done <"$config/files"
}

# keep_files DIR...
# Puts the user's own files below directories that go out of the way too.
keep_files() {
    files_below "$@" | while IFS= read -r file; do
        keep "$file" || exit 1
    done
}

# return_files DIR...
# Puts them back below directories that are not the cluster's alone.
return_files() {
    files_below "$@" | while IFS= read -r file; do
        move "$kept" "$root" "$file" || exit 1
    done
}

# Puts all of it back into its place.
put_back() {
    [ -d "$kept" ] || return 0
    for top in "$kept"/*; do
        [ ! -e "$top" ] || move "$kept" "$root" "${top##*/}" || return 1
    done
    sync
    rmdir "$kept"
}

# end UNIT...
# Stops units and keeps them from starting at the next boot.
end() {
    for unit in "$@"; do
        [ -n "$(systemctl show -p FragmentPath --value "$unit" 2>/dev/null)" ] ||
            continue
        systemctl stop "$unit" || return 1
        systemctl disable "$unit" || return 1
        systemctl reset-failed "$unit" 2>/dev/null
    done
    return 0
}

# commands PATTERN
# The processes whose command line is like PATTERN.
commands() {
    for dir in "$proc"/[0-9]*; do
        [ -r "$dir/cmdline" ] || continue
        command=$(tr '\0' ' ' 2>/dev/null <"$dir/cmdline") || continue
        # shellcheck disable=SC2254 # it is a pattern
        case $command in
        $1) echo "${dir##*/}" ;;
        esac
    done
}

# The processes in pods, whoever started them.
pods() {
    find "$root/sys/fs/cgroup" -path '*kubepods*' -name cgroup.procs \
        -exec cat {} \; 2>/dev/null
}

# Of process numbers on standard input, with all that they started. In a
# cgroup's list, 0 is a process that cannot be named.
families() {
    roots=$(tr '\n' ' ')
    cat "$proc"/[0-9]*/stat 2>/dev/null | awk -v roots="$roots" '
        { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2 }
        END {
            n = split(roots, list, " ")
            for (i = 1; i <= n; i++) if (list[i] > 1) found[list[i]] = 1
            do {
                more = 0
                for (pid in parent)
                    if (!(pid in found) && (parent[pid] in found)) {
                        found[pid] = 1
                        more = 1
                    }
            } while (more)
            for (pid in found) if (pid + 0 > 1) print pid
        }'
}

# kill_all PATTERN
# Ends containers, and what watches over them and is like PATTERN.
kill_all() {
    tries=0
    while pids=$({ commands "$1" && pods; } | families | tr '\n' ' ') &&
        [ -n "$pids" ]; do
        if [ "$tries" -ge 20 ]; then
            echo "processes that cannot be ended: $pids" >&2
            return 1
        fi
        # shellcheck disable=SC2086 # one word each; some are gone by now
        kill -9 $pids 2>/dev/null
        sleep "${PIFLASH_TICK:-1}"
        tries=$((tries + 1))
    done
}

# Containers that a kubelet started with Docker.
remove_docker_containers() {
    command -v docker >/dev/null || return 0
    ids=$(docker ps --all --quiet --filter name=k8s_ 2>/dev/null) || return 0
    # shellcheck disable=SC2086 # one word each
    [ -z "$ids" ] || docker rm --force $ids >/dev/null
}

# below DIR
# What is mounted below a directory, the deepest first.
below() {
    awk -v dir="$root$1/" 'index($2, dir) == 1 { print $2 }' \
        "$proc/mounts" | sort -r
}

# unmount DIR...
# Unmounts what is below directories. A server that does not answer any more
# is not waited for.
unmount() {
    for dir in "$@"; do
        below "$dir" | while IFS= read -r point; do
            # With blanks as octal numbers: proc(5).
            point=$(printf '%b' "$point")
            umount "$point" 2>/dev/null || umount -l "$point" || exit 1
        done || return 1
    done
}

# erase DIR...
# Removes directories; a disk that is mounted at one is only emptied. What is
# mounted below it may be somebody's data.
erase() {
    for dir in "$@"; do
        point=$(below "$dir" | head -n 1)
        if [ -n "$point" ]; then
            echo "$dir is not removed: $point is still mounted" >&2
            return 1
        fi
        [ -e "$root$dir" ] || continue
        if awk -v dir="$root$dir" '$2 == dir { found = 1 }
            END { exit !found }' "$proc/mounts"; then
            find "$root$dir" -mindepth 1 -maxdepth 1 -exec rm -rf {} \; ||
                return 1
        else
            rm -rf "$root$dir" || return 1
        fi
    done
}

# Removes the name spaces of pods' networks, and what connects them. Only
# names that are never those of a network card.
remove_links() {
    for name in $(ip netns list 2>/dev/null | awk '/^cni-/ { print $1 }'); do
        ip netns delete "$name" || return 1
    done
    net=$root/sys/class/net
    for path in "$net"/*; do
        case $(readlink "$path/master" 2>/dev/null) in
        */cni0) remove_link "${path##*/}" || return 1 ;;
        esac
    done
    for link in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 \
        kube-ipvs0 nodelocaldns; do
        remove_link "$link" || return 1
    done
}

remove_link() {
    [ -e "$root/sys/class/net/$1" ] || return 0
    # It may have gone with another.
    ip link delete "$1" || [ ! -e "$root/sys/class/net/$1" ]
}

# Removes Kubernetes' own rules; all others stay, above all those that let
# ssh in.
remove_rules() {
    for kind in iptables ip6tables iptables-legacy ip6tables-legacy \
        iptables-nft ip6tables-nft; do
        command -v "$kind-save" >/dev/null || continue
        rules=$("$kind-save" 2>/dev/null) || continue
        printf '%s\n' "$rules" | grep -Eq "$ours" || continue
        printf '%s\n' "$rules" | grep -Ev "$ours" | "$kind-restore" ||
            return 1
    done
    if command -v nft >/dev/null; then
        for family in ip ip6; do
            ! nft list table "$family" kube-proxy >/dev/null 2>&1 ||
                nft delete table "$family" kube-proxy || return 1
        done
    fi
    if command -v ipset >/dev/null; then
        for set in $(ipset list -n 2>/dev/null | grep '^KUBE-'); do
            ipset destroy "$set" || return 1
        done
    fi
}

# The images and volumes of the container runtime, where the inventory says
# that they are to go as well.
remove_docker_directory() {
    [ -e "$config/remove_docker_directory" ] || return 0
    systemctl stop docker.socket docker.service containerd.service \
        2>/dev/null
    unmount /var/lib/docker /var/lib/containerd || return 1
    keep_files /var/lib/docker /var/lib/containerd || return 1
    erase /var/lib/docker /var/lib/containerd
}

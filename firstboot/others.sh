# shellcheck shell=sh
# Whether a cluster is there already: the node that is to begin it asks the
# others first, as it may be the only one whose card is new. After a power cut
# they take minutes until they answer. Steps read this file with `.`.

# shellcheck source=firstboot/report.sh
. "${PIFLASH_ROOT:-}/usr/local/lib/piflash/report.sh"

# Seconds: how long they are asked before the cluster is begun, and before a
# node that only joins says what it waits for.
begin_wait=${PIFLASH_BEGIN_WAIT:-600}
join_wait=${PIFLASH_JOIN_WAIT:-300}
# There where this card joins only; it says why, and what the way out is.
join_only=$config/join-only
# Written by `piflash-node begin`; gone after a reboot.
begin_now=$run/begin

# ask_others FILE COMMAND: asks each server of FILE, one a line, by COMMAND;
# the first one that answers is in `found`.
ask_others() {
    found=
    while read -r server; do
        if "$2" "$server" </dev/null; then
            # shellcheck disable=SC2034 # for those who read this file
            found=$server
            return
        fi
    done <"$1"
    return 1
}

# find_cluster FILE COMMAND: asks until one answers, for as long as it must
# be. Fails where none did: then the cluster may be begun, unless this card
# joins only.
find_cluster() {
    names=$(tr '\n' ' ' <"$1")
    limit=$begin_wait
    then="then it is begun; \`sudo piflash-node begin\` does not wait"
    if [ -e "$join_only" ]; then
        limit=$join_wait
        then=$(head -n 1 "$join_only")
    fi
    deadline=$(($(uptime_seconds) + limit))
    told=
    until ask_others "$1" "$2"; do
        if [ -e "$begin_now" ] && [ ! -e "$join_only" ]; then
            echo "not waiting for others, as asked"
            return 1
        fi
        minutes=$(((deadline - $(uptime_seconds) + 59) / 60))
        [ "$minutes" -gt 0 ] || return 1
        if [ "$minutes" != "$told" ]; then
            echo "asking ${names}whether the cluster is there, $minutes min" \
                "more: $then"
            told=$minutes
        fi
        # Who asks is a large program: asked each second, it would keep a
        # core busy.
        sleep "$((${PIFLASH_TICK:-1} * 5))"
    done
}

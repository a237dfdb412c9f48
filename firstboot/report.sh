# shellcheck shell=sh
# How the first boot reports, for `provision` and `piflash-node`, which read
# this file with `.`. PIFLASH_ROOT is for tests.

# Messages in one language, bytes as they are.
LC_ALL=C
export LC_ALL

root=${PIFLASH_ROOT:-}
config=$root/etc/piflash
# shellcheck disable=SC2034 # for those who read this file
lib=$root/usr/local/lib/piflash
state=$root/var/lib/piflash
# One mark for each step whose units may start.
allowed=$state/allowed
log=$root/var/log/piflash.log
# Gone after every boot: what is here cannot be left behind by a power cut.
run=$root/run/piflash
log_limit=${PIFLASH_LOG_LIMIT:-1048576}

now() {
    date -u +%Y-%m-%dT%H:%M:%SZ
}

# Seconds since the machine was started, whatever its clock does meanwhile.
uptime_seconds() {
    cut -d . -f 1 "$root/proc/uptime"
}

# Puts files on the disk: their data, or all there is where sync takes no
# names.
flush() {
    sync "$@" 2>/dev/null || sync
}

# Writes standard input to a file that is whole or not there.
put() {
    cat >"$1.tmp" && flush "$1.tmp" && mv -f "$1.tmp" "$1" &&
        flush "${1%/*}"
}

# allow STEP
# From now on the units that a step starts may start, at every boot as well:
# the mark is what their ConditionPathExists= waits for. It comes before the
# unit is started, as the step's stamp comes too late.
allow() {
    mkdir -p "$allowed" && flush "$state" && now | put "$allowed/$1"
}

# Removes files for good, if they are there.
forget() {
    rm -f "$@" && flush "${1%/*}"
}

esc=$(printf '\033')
# Hides what must not be read: the name and password of every URL, bootstrap
# tokens of Kubernetes and tokens of k3s. Colours and what else is for
# terminals goes.
mask() {
    tr '\r' '\n' | tr -d '\000-\010\013-\032\034-\037\177' | sed -E \
        -e "s|$esc\[[0-9;?]*[ -/]*[@-~]||g; s|$esc||g" \
        -e 's|://[^/[:space:]]*@|://***@|g' \
        -e 's/(K10[0-9a-f]{64}::)[^[:space:]"'\'']+/\1***/g' \
        -e 's/(^|[^a-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}($|[^a-z0-9])/\1***\2/g' \
        -e 's/(^|[^a-z0-9])[a-z0-9]{6}\.[a-z0-9]{16}($|[^a-z0-9])/\1***\2/g'
}

# Adds standard input to the log, which is bounded: one old one is kept, and
# of very much at once the end.
record() {
    if [ -e "$log" ] && [ "$(wc -c <"$log")" -ge "$log_limit" ]; then
        mv -f "$log" "$log.1"
    fi
    if [ ! -e "$log" ]; then
        (umask 027 && : >"$log")
        chgrp adm "$log" 2>/dev/null
    fi
    mask | tail -c "$log_limit" >>"$log"
}

# The console and the journal see it too.
say() {
    said=$(plain "$*")
    printf 'piflash: %s\n' "$said"
    printf '%s %s\n' "$(now)" "$said" | record
}

# As text of one line that JSON takes: ASCII without control characters.
plain() {
    printf '%s' "$1" | mask | tr '\n\t' '  ' |
        tr -c '\040-\176' '?' | cut -c 1-300
}

# As a JSON string.
quote() {
    printf '"%s"' "$(plain "$1" | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# The last line that says something, of a file.
last_line() {
    tail -n 20 "$1" | mask | grep '[^[:space:]]' | tail -n 1
}

# Where the inventory has no use for it, the LED is left alone.
if [ -e "$lib/led.sh" ]; then
    # shellcheck source=firstboot/led.sh
    . "$lib/led.sh"
else
    show_led() { :; }
fi

node_name() {
    head -n 1 "$root/etc/hostname" 2>/dev/null
}

# status STATE STEP ATTEMPT DONE STEPS ERROR
# Writes the state as JSON and as text, and the text to the FAT partition
# for whoever pulls the card. Its directory may be missing, full or
# read-only: the card has done its duty without.
status() {
    since=$(now)
    write_status "$@"
    boot=$(head -n 1 "$config/boot" 2>/dev/null)
    if [ -n "$boot" ] && [ -d "$root$boot" ]; then
        card=$root$boot/piflash-status.txt
        put "$card" <"$state/status.txt" 2>/dev/null ||
            rm -f "$card.tmp" 2>/dev/null
    fi
}

# write_status STATE STEP ATTEMPT DONE STEPS ERROR [OUTPUT]
# The status but for the FAT partition, which has no journal: it is written
# to only where the state changes. OUTPUT is the last line that the step at
# work has printed.
write_status() {
    percent=100
    [ "$5" -eq 0 ] || percent=$(($4 * 100 / $5))
    {
        printf '{"version":1,"node":%s' "$(quote "$(node_name)")"
        printf ',"state":%s,"step":%s' "$(quote "$1")" "$(quote "$2")"
        printf ',"attempt":%d,"done":%d,"steps":%d' "$3" "$4" "$5"
        printf ',"percent":%d,"since":%s' "$percent" "$(quote "$since")"
        printf ',"error":%s,"output":%s}\n' "$(quote "$6")" \
            "$(quote "${7:-}")"
    } | put "$state/status.json"
    {
        printf 'node:    %s\n' "$(plain "$(node_name)")"
        printf 'state:   %s (%d %%, ' "$1" "$percent"
        printf '%d of %d steps)\n' "$4" "$5"
        [ -z "$2" ] || printf 'step:    %s, attempt %d\n' "$2" "$3"
        printf "since:   %s (UTC, by the node's clock)\n" "$since"
        [ -z "$6" ] || printf 'error:   %s\n' "$(plain "$6")"
        [ -z "${7:-}" ] || printf 'output:  %s\n' "$(plain "$7")"
    } | put "$state/status.txt"
    [ ! -e "$log" ] || flush "$log"
    show_led "$1" "${failures:-0}"
}

# Holds what only one may do at a time, as long as this process lives.
# Processes that it starts must not inherit it: `9>&-`.
lock() {
    mkdir -p "$run" && exec 9>"$run/lock" && flock -n 9
}

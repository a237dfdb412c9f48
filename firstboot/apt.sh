# shellcheck shell=sh
# apt-get without questions, for steps, which read this file with `.`.

root=${PIFLASH_ROOT:-}
run=$root/run/piflash
lists=$root/var/lib/apt/lists
mkdir -p "$run"

# needrestart would restart services below us, ourselves included.
DEBIAN_FRONTEND=noninteractive
APT_LISTCHANGES_FRONTEND=none
NEEDRESTART_SUSPEND=1
UCF_FORCE_CONFFOLD=1
export DEBIAN_FRONTEND APT_LISTCHANGES_FRONTEND NEEDRESTART_SUSPEND
export UCF_FORCE_CONFFOLD

# The configuration files of ours and of the user's stay. apt-daily may hold
# the lock: before apt 1.9.11 there is no waiting for it, and the step is
# tried again.
apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
        -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold "$@"
}

# Makes apt usable after whatever happened: a power cut leaves packages half
# configured and lists half written. Then brings the lists up to date, once
# a boot, where a failure of any source counts.
refresh() {
    dpkg --force-confdef --force-confold --configure -a ||
        echo "dpkg --configure -a failed, apt-get has a try"
    if [ ! -e "$run/apt-lists" ]; then
        if ! apt -o Debug::NoLocking=true check >/dev/null 2>&1; then
            echo "apt's lists are fetched anew"
            rm -rf "$lists"
            mkdir -p "$lists/partial"
        fi
        apt -o APT::Update::Error-Mode=any \
            -o Acquire::AllowReleaseInfoChange=true update || return 1
        : >"$run/apt-lists"
    fi
    apt -f install
}

# install PACKAGE...: what is there already stays as it is.
install() {
    refresh && apt install "$@" && return
    stale
}

# What was not found may be on newer lists at the next attempt.
stale() {
    rm -f "$run/apt-lists"
    return 1
}

# shellcheck shell=sh disable=SC2154 # report.sh has set them
# The board's ACT LED shows without a network how far the node is: it blinks
# slowly while the first boot works or waits, fast once a step has failed
# three times in a row, and is what it was when all is done. Read with `.` by
# report.sh. Where there is no such LED, nothing happens; power LEDs are left
# alone.

# `ACT` since Linux 6.1, `led0` before (`led1` is the power LED).
find_led() {
    for led in "$root/sys/class/leds/ACT" "$root/sys/class/leds/led0"; do
        [ ! -e "$led/trigger" ] || return 0
    done
    return 1
}

# set_led NAME VALUE: one of the LED's files in sysfs.
set_led() {
    { printf '%s\n' "$2" >"$led/$1"; } 2>/dev/null
}

# blink MILLISECONDS
# By the kernel's own timer, which goes on whatever this process does. How
# bright means lit is not the same on all boards, so that it is not written.
blink() {
    if [ ! -e "$run/led" ]; then
        grep -qw timer "$led/trigger" ||
            modprobe -q ledtrig-timer 2>/dev/null
        grep -qw timer "$led/trigger" || return 0
        # The one in use stands in brackets.
        sed -n 's/.*\[\(.*\)\].*/\1/p' "$led/trigger" | put "$run/led"
        set_led trigger timer || return 0
    fi
    set_led delay_on "$1"
    set_led delay_off "$1"
}

# show_led STATE FAILURES
# STATE as status reports it; FAILURES of the step at work, in a row.
show_led() {
    find_led || return 0
    case $1 in
    "done" | down) shown=system ;;
    rebooting) return 0 ;;
    *)
        shown=1000
        [ "$2" -lt 3 ] || shown=100
        ;;
    esac
    # Written again, a blinking LED would begin anew.
    [ "$shown" != "${shown_before:-}" ] || return 0
    shown_before=$shown
    if [ "$shown" != system ]; then
        blink "$shown"
    elif [ -e "$run/led" ]; then
        set_led trigger "$(cat "$run/led")"
        rm -f "$run/led"
    fi
    return 0
}

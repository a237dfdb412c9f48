# shellcheck shell=sh
# Runs a program and tells what it prints while it is at work, for `provision`
# and `piflash-node`, which read report.sh before. What a program prints goes
# to a file, not to a pipe: whatever it leaves running holds nobody up.
# shellcheck disable=SC2154 # of report.sh

output=$state/output
# Seconds: how soon what is printed is in the log, and how often at most its
# last line is in the status. Each is a write to the card.
log_every=${PIFLASH_LOG_EVERY:-2}
tell_every=${PIFLASH_TELL_EVERY:-15}

# run_logged TELL COMMAND...: runs a command, and returns its exit code. What
# it prints is added to the log as it comes, and stays in $output. `TELL LINE`
# is called with the last line, where that is a new one.
run_logged() {
    tell=$1
    shift
    (umask 077 && : >"$output")
    echo 0 >"$run/logged"
    # A shell that keeps nothing of this one open, not even to come back to:
    # where this one is killed, whoever reads from it sees the end.
    (
        exec >/dev/null 2>&1 9>&-
        follow "$$"
    ) &
    follower=$!
    code=0
    # Appended, so that the file may be made shorter meanwhile.
    "$@" >>"$output" 2>&1 </dev/null 9>&- || code=$?
    kill -TERM "$follower" 2>/dev/null
    wait "$follower" 2>/dev/null
    add_output all
    return "$code"
}

# follow PID: until it is told to end, or that process is no more.
follow() {
    ended=
    trap 'ended=yes' TERM
    told='' line='' before=
    silent=$tell_every
    while kill -0 "$1"; do
        sleep "$log_every" &
        [ -n "$ended" ] || wait $!
        kill $!
        [ -z "$ended" ] || exit 0
        silent=$((silent + ${log_every%.*}))
        size=$(wc -c <"$output")
        if [ "$size" != "$before" ]; then
            before=$size
            add_output lines
            line=$(last_line "$output")
        fi
        if [ "$silent" -ge "$tell_every" ] && [ "$line" != "$told" ]; then
            "$tell" "$line"
            told=$line
            silent=0
        fi
    done
}

# What is not in the log yet. Programs that show how far they are end their
# lines with a carriage return.
not_logged() {
    tail -c "+$(($1 + 1))" "$output" | tr '\r' '\n'
}

# add_output lines|all: adds to the log what is new: whole lines, as half a
# password could not be masked; or all.
add_output() {
    seen=$(cat "$run/logged")
    if [ "$1" = lines ]; then
        lines=$(not_logged "$seen" | wc -l)
        [ "$lines" -gt 0 ] || return 0
        size=$(not_logged "$seen" | head -n "$lines" | wc -c)
        not_logged "$seen" | head -n "$lines" | record
    else
        size=$(not_logged "$seen" | wc -c)
        [ "$size" -gt 0 ] || return 0
        not_logged "$seen" | record
    fi
    seen=$((seen + size))
    # A program without end must not fill the card.
    if [ "$1" = lines ] && [ "$seen" -gt $((log_limit * 4)) ]; then
        : >"$output"
        seen=0
    fi
    echo "$seen" >"$run/logged"
}

#!/bin/sh
# Builds the fuzz targets, and runs each for SECONDS (20). What it learns is
# kept in fuzz/corpus, with which the next run goes on; it begins with
# fuzz/seeds, which seeds.sh makes. Ends with a line for each target, and with
# 1 if one of them has found something.
#   sh fuzz/run.sh [SECONDS [TARGET...]]
# Each run takes other random numbers, unless PIFLASH_FUZZ_SEED is one.
# One target, also by cargo-fuzz (`cargo install cargo-fuzz`; -s none, as a
# stable Rust has no sanitizers):
#   cargo fuzz run -s none ext4 fuzz/corpus/ext4 fuzz/seeds/ext4
set -eu

seconds=${1:-20}
case $seconds in
'' | *[!0-9]*)
    echo "usage: sh fuzz/run.sh [SECONDS [TARGET...]]" >&2
    exit 2
    ;;
esac
[ $# = 0 ] || shift

cd "$(dirname "$0")"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
[ $# != 0 ] || set -- table fat ext4 xz zst zip inventory imager_list \
    sha256sums signature keyring node kubeconfig

# In the repository's own target, whose crates are used where rustc.sh adds
# nothing to them: no --target, and the same profile.
target=${CARGO_TARGET_DIR:-$PWD/../target}
RUSTC_WRAPPER=$PWD/rustc.sh cargo build --locked --target-dir "$target" --bin any
program=$target/debug/any

# Bytes of the largest input.
most() {
    case $1 in
    table) echo 16384 ;;
    fat) echo 32768 ;;
    ext4) echo 131072 ;;
    inventory | imager_list) echo 4096 ;;
    *) echo 16384 ;;
    esac
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# Runs a target: its log, its line, and NAME.found where it has failed.
run() {
    name=$1
    log=$results/$name.log
    mkdir -p "corpus/$name" "artifacts/$name"
    words=-dict=dict/$name
    [ -e "dict/$name" ] || words=-use_cmp=1
    code=0
    PIFLASH_FUZZ=$name "$program" "corpus/$name" "seeds/$name" "$words" \
        -seed="${PIFLASH_FUZZ_SEED:-0}" \
        -max_total_time="$seconds" -max_len="$(most "$name")" \
        -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$name/" >"$log" 2>&1 || code=$?
    awk -v name="$name" '
        { for (at = 1; at < NF; at++) {
            if ($at == "cov:") edges = $(at + 1)
            if ($at == "ft:") features = $(at + 1)
            if ($at == "corp:") corpus = $(at + 1)
        } }
        /^stat::number_of_executed_units/ { runs = $2 }
        END { printf "%-12s %9d runs %6d edges %6d features  %s inputs\n",
            name, runs, edges, features, corpus }' "$log" >"$results/$name.line"
    [ "$code" = 0 ] || : >"$results/$name.found"
}

# Two at a time.
first=
for name in "$@"; do
    run "$name" &
    if [ -n "$first" ]; then
        wait
        first=
    else
        first=$name
    fi
done
wait

found=
for name in "$@"; do
    [ -e "$results/$name.found" ] || continue
    found="$found $name"
    # The message is in front of the call stack.
    tail -n 60 "$results/$name.log"
    file=$(sed -n 's/.*Test unit written to //p' "$results/$name.log" | tail -n 1)
    echo "$name has failed; again, with a call stack:"
    echo "    cd fuzz && RUST_BACKTRACE=1 PIFLASH_FUZZ=$name $program $file"
done
for name in "$@"; do
    cat "$results/$name.line"
done
[ -z "$found" ] || {
    echo "fuzz/run.sh: found by$found: see above" >&2
    exit 1
}

#!/bin/sh
# What cargo runs in the place of rustc (RUSTC_WRAPPER) for fuzz/run.sh: of
# piflash and of what reads files for it, LLVM counts what is run and what is
# compared, as cargo-fuzz does it for all crates. All others are then those
# that the tests have, and are not built again.
set -eu

rustc=$1
shift
case " $* " in
*' --crate-name build_script_'*) ;;
*' --crate-name piflash '* | *' --crate-name piflash_fuzz '* | \
    *' --crate-name ext4_view '* | *' --crate-name fatfs '* | \
    *' --crate-name gpt '* | *' --crate-name mbrman '* | \
    *' --crate-name pgp '* | *' --crate-name serde_saphyr '* | \
    *' --crate-name granit_parser '* | *' --crate-name zip '*)
    set -- "$@" --cfg fuzzing -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"

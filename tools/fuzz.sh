#!/usr/bin/env bash
# Coverage-guided fuzzing: each target for SECONDS (60), on what it has found so far. Stable Rust: the compiler has the
# counters libFuzzer goes by, only cargo-fuzz's sanitizers would need more.
#
#   tools/fuzz.sh [TARGET...]          all of them without a name
#
# Inputs that reach something new are kept in target/fuzz/corpus/TARGET, those that fail in target/fuzz/found/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
all=(definition image frames card driver journal delta)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")

host=$(rustc -vV | sed -n 's/^host: //p')
# As cargo-fuzz gives them. With `--target` they are for the program alone, not for build scripts.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
folder=$PWD/target/fuzz
RUSTFLAGS="$flags" CARGO_TARGET_DIR="$folder/build" \
    cargo build --quiet --release --manifest-path tests/fuzz/Cargo.toml --target "$host"
program=$folder/build/$host/release/seqnic-fuzz

failed=()
for target in "${targets[@]}"; do
    corpus=$folder/corpus/$target found=$folder/found/$target
    export SEQNIC_FUZZ_TARGET=$target
    SEQNIC_FUZZ_SEEDS=$folder/seeds/$target "$program"
    mkdir -p "$corpus" "$found"
    log=$folder/$target.log
    if "$program" "$corpus" "$folder/seeds/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
        -max_len=65536 -len_control=20 -artifact_prefix="$found/" >"$log" 2>&1; then
        echo "$target: $(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [^ ]+' "$log" | tail -1), $(grep -oE 'Done [0-9]+ runs in [0-9]+ second' "$log")s"
    else
        failed+=("$target")
        echo "$target: FAILED; the input is in $found, the words in $log:" >&2
        grep -E 'panicked|SUMMARY|^difference|ERROR' "$log" | head -5 >&2
    fi
done
[ ${#failed[@]} -eq 0 ]

#!/usr/bin/env bash
# Everything CI wants, in the order that fails fastest. Says what it does and how long each part took.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
started=$SECONDS

part() { # part TITLE COMMAND...
    local title=$1 from=$SECONDS
    shift
    printf '\n== %s\n' "$title"
    "$@"
    printf -- '-- %s: %d s\n' "$title" $((SECONDS - from))
}

regenerated_is_committed() {
    make --no-print-directory generate
    local changed
    # New files, too: a module that is not committed is missing in a clone.
    changed=$(git status --porcelain -- hdl/generated docs/tables.md docs/registers.md docs/latency.md \
        hdl/spec/spec.json host-driver/snmp/dist/SEQNIC-MIB.txt)
    if [ -n "$changed" ]; then
        echo "$changed" >&2
        echo "generated files differ from what is committed: run 'make generate' and commit" >&2
        return 1
    fi
}

# Some 20 s where the guest's parts are there. Fetching them needs Debian's packages, which not every machine reaches.
kernel_vfio() {
    local why
    if ! why=$(tools/setup-vfio.sh 2>&1); then
        echo "skipped: $(tail -1 <<<"$why")"
        return
    fi
    tools/test-vfio.sh
}

part "formatting" "$cargo" fmt --all --check
part "clippy" "$cargo" clippy --quiet --workspace --all-targets -- -D warnings
part "generated files are up to date" regenerated_is_committed
part "formats, read by others" make --no-print-directory test-formats
part "programs of the lab" tools/setup-lab.sh
part "tests" "$cargo" test --workspace --no-fail-fast
part "a guest over the kernel's VFIO" kernel_vfio
printf '\nall of it: %d s\n' $((SECONDS - started))

#!/usr/bin/env bash
# What operators point at the daemon, as others read it (tools/setup-ops.sh installs them).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
PATH=$PATH:/usr/sbin:/sbin

echo "== smilint reads SEQNIC-MIB"
# Level 5; the arcs between enterprises and the module are named nowhere, and that is all it may say.
said=$(SMIPATH="$PWD/$target/ops/mibs" smilint -s -m -l 5 -i node-implicit host-driver/snmp/dist/SEQNIC-MIB.txt 2>&1)
if [ -n "$said" ]; then
    echo "$said" >&2
    exit 1
fi

echo "== net-snmp asks the agent"
"$cargo" build --quiet -p seqnic-daemon -p seqnic-snmp
"$cargo" test --quiet -p seqnic-snmp --test snmpd -- --ignored --nocapture

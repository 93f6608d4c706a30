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

echo "== promtool reads metrics and alerts, and tries the alerts"
"$cargo" test --quiet -p seqnic-daemon --test prometheus -- --ignored
promtool check rules host-driver/daemon/dist/seqnic.rules.yml
promtool test rules host-driver/daemon/tests/seqnic.rules.test.yml

echo "== systemd rates the units (0: confined, 10: open)"
# Without a running systemd; the threshold is in tenths. Versions before 250 cannot do it.
if systemd-analyze security --help 2>/dev/null | grep -q -- --offline; then
    for unit in host-driver/daemon/dist/seqnicd.service:35 host-driver/snmp/dist/seqnic-snmp.service:25; do
        systemd-analyze security --no-pager --offline=true --threshold="${unit#*:}" "${unit%:*}" | tail -1
    done
else
    echo "not tested: this systemd-analyze rates no files"
fi

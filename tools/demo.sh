#!/usr/bin/env bash
# Figure 7 twice: with real programs in a lab on this machine, and packet by packet through the generated hardware.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
definition=examples/fig07.yaml
case=tests/cases/fig07
out=out/demo
target=${CARGO_TARGET_DIR:-target}

echo "== building seqnic and seqnicd"
"$cargo" build --release -p seqnic -p seqnic-daemon
seqnic=$target/release/seqnic
rm -rf "$out"
mkdir -p "$out"

echo
echo "== $definition: checked, compiled, drawn"
"$seqnic" check "$definition"
"$seqnic" compile "$definition" -o "$out/fig07.img"
"$seqnic" draw "$definition" -o "$out/fig07.svg"

lab=("$seqnic")
[ "$(id -u)" -eq 0 ] || lab=(sudo "$seqnic")
if [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1; then
    echo
    echo "== the lab: an OpenVPN tunnel, an nftables firewall, Suricata and tcpdump on the copies, nginx; seqnicd between them"
    down() { "${lab[@]}" lab down --dir "$out/lab" >/dev/null 2>&1 || true; }
    trap down EXIT
    "${lab[@]}" lab up "$definition" --name demo --dir "$out/lab"
    echo
    echo "== what the client asks, what each device's own log says of it, and everybody's counts"
    "${lab[@]}" lab check --dir "$out/lab" --svg "$out/lab.svg"
    down
else
    echo "(no lab: it needs root or sudo)"
fi

echo
echo "== the packets of figure 7 through the generated hardware (Verilator), leg by leg"
"$seqnic" compile "$case/definition.yaml" -o "$out/fig07-case.img"
inputs=()
for pcap in "$case"/in/*.pcap; do
    name=$(basename "$pcap" .pcap)
    inputs+=(--in "$name=$pcap")
done
"$seqnic" legs --engine rtl "$out/fig07-case.img" "${inputs[@]}"
"$seqnic" replay --engine rtl "$out/fig07-case.img" "${inputs[@]}" --out "$out/replay"

echo
echo "Picture of the lab, what passed and what was logged: $out/lab.svg"
echo "Picture of the sequence:                             $out/fig07.svg"
echo "Logs and captures of the lab:                        $out/lab"
echo "Captures of the hardware (Wireshark opens them):     $out/replay"

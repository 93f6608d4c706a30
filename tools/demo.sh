#!/usr/bin/env bash
# Figure 7 through the generated hardware: compile, replay on the verilated card, every leg as a table.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
case=tests/cases/fig07
out=out/demo

echo "== building the seqnic command"
"$cargo" build --release -p seqnic
seqnic=target/release/seqnic
rm -rf "$out"
mkdir -p "$out"

echo
echo "== compiling $case/definition.yaml"
"$seqnic" check "$case/definition.yaml"
"$seqnic" compile "$case/definition.yaml" -o "$out/fig07.img"
"$seqnic" inspect "$out/fig07.img"
"$seqnic" draw "$case/definition.yaml" -o "$out/fig07.svg"

echo
echo "== the packets of figure 7 through the RTL"
inputs=()
for pcap in "$case"/in/*.pcap; do
    name=$(basename "$pcap" .pcap)
    inputs+=(--in "$name=$pcap")
done
"$seqnic" legs --engine rtl "$out/fig07.img" "${inputs[@]}"
"$seqnic" replay --engine rtl "$out/fig07.img" "${inputs[@]}" --out "$out/replay"

echo
echo "Captures (Wireshark opens them), exceptions and counters: $out/replay"
echo "Picture of the sequence:                                  $out/fig07.svg"

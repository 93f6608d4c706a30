#!/usr/bin/env bash
# Makes clients.pcap and server.pcap: curl and ping between two network namespaces over veth, IPv4 and
# IPv6, each direction in a file of its own. Needs root, iproute2, ethtool, tcpdump, curl, python3.
#
# The definition beside it puts the engine in the middle of that wire without changing an address, so
# what leaves must equal what came in, byte for byte.
set -euo pipefail
cd "$(dirname "$0")"
c="seqnic-cap-c-$$" s="seqnic-cap-s-$$"
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    ip netns del "$c" 2>/dev/null || true
    ip netns del "$s" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

ip netns add "$c"
ip netns add "$s"
ip link add veth-c netns "$c" address 02:0c:00:00:00:01 type veth peer name veth-s netns "$s" address 02:05:00:00:00:02
for end in "$c veth-c 198.51.100.11/24 2001:db8:1::11/64" "$s veth-s 198.51.100.80/24 2001:db8:1::80/64"; do
    set -- $end
    ip -n "$1" addr add "$3" dev "$2"
    ip -n "$1" -6 addr add "$4" dev "$2" nodad
    ip -n "$1" link set "$2" up
    ip -n "$1" link set lo up
    # The capture must hold frames as they are on a wire: real checksums, no segments above the MTU.
    ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
done
sleep 1

head -c 40000 /dev/zero | tr '\0' 'x' >"$work/page"
(cd "$work" && exec ip netns exec "$s" timeout 60 python3 -m http.server --bind :: 80 >/dev/null 2>&1) &
pids+=($!)
ip netns exec "$s" timeout 60 tcpdump -Z root -U --immediate-mode --time-stamp-precision=nano -i veth-s -w "$work/in.pcap" \
    'ether src 02:0c:00:00:00:01' 2>/dev/null &
pids+=($!)
ip netns exec "$s" timeout 60 tcpdump -Z root -U --immediate-mode --time-stamp-precision=nano -i veth-s -w "$work/out.pcap" \
    'ether src 02:05:00:00:00:02' 2>/dev/null &
pids+=($!)
sleep 1
ip netns exec "$c" ping -q -c 5 -i 0.2 198.51.100.80 >/dev/null
ip netns exec "$c" ping -q -c 5 -i 0.2 -s 1200 2001:db8:1::80 >/dev/null
ip netns exec "$c" ping -q -c 2 -i 0.2 -s 4000 198.51.100.80 >/dev/null # fragments
for url in http://198.51.100.80/page 'http://[2001:db8:1::80]/page' http://198.51.100.80/missing; do
    ip netns exec "$c" curl -s -o /dev/null --max-time 5 "$url" || true
done
ip netns exec "$c" curl -s -o /dev/null --max-time 2 http://198.51.100.80:81/ || true # refused
sleep 1
cp "$work/in.pcap" clients.pcap
cp "$work/out.pcap" server.pcap
ls -l clients.pcap server.pcap

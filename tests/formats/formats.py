#!/usr/bin/env python3
"""Tags and tunnels as others read and write them.

For each case folder `tests/cases/tag-*`: scapy crafts what arrives from the flow table (`legs.json`), the engine
runs it, and what comes out is read by tshark and by scapy and compared with the flow table, field by field, with
the packet inside byte by byte. Neither knows anything of this project.

usage: formats.py SEQNIC WORK [ENGINE]   (the `seqnic` command, a folder for results, `image` or `rtl`)
"""

import json
import logging
import pathlib
import shutil
import subprocess
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import GRE, IP, TCP, UDP, Dot1Q, Ether, IPv6, Raw, raw  # noqa: E402
from scapy.contrib.mpls import MPLS  # noqa: E402
from scapy.contrib.nsh import NSH  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import bind_layers  # noqa: E402
from scapy.utils import PcapReader, PcapWriter  # noqa: E402

# scapy has no such binding: NSH is next protocol 4 of VXLAN-GPE.
bind_layers(UDP, VXLAN, dport=4790)
bind_layers(VXLAN, NSH, flags=12, NextProtocol=4)

CASES = pathlib.Path(__file__).resolve().parent.parent / "cases"
IP_OF = {4: IP, 6: IPv6}


class Wrong(Exception):
    pass


def family(address):
    return 6 if ":" in address else 4


def inner_packet(packet, leg, length):
    """The IP packet of a flow table's line, by scapy, checksums too."""
    tcp = TCP(sport=packet["sport"], dport=packet["dport"], flags="RA" if packet.get("reset") else "A", seq=leg, window=4096)
    dscp = packet.get("dscp", 0)
    if family(packet["ip_src"]) == 4:
        ip = IP(src=packet["ip_src"], dst=packet["ip_dst"], ttl=61, id=leg, tos=dscp << 2)
    else:
        ip = IPv6(src=packet["ip_src"], dst=packet["ip_dst"], hlim=61, tc=dscp << 2)
    return ip / tcp / Raw(bytes((i * 5 + leg) & 255 for i in range(length)))


def nsh(tag, inside):
    ttl = tag.get("ttl", 63)
    next_protocol = 1 if isinstance(inside, IP) else 2
    if tag["md"] == 1:
        return NSH(ttl=ttl, mdtype=1, nextproto=next_protocol, spi=tag["spi"], si=tag["si"]) / inside
    return NSH(ttl=ttl, mdtype=2, length=2, nextproto=next_protocol, spi=tag["spi"], si=tag["si"]) / inside


def outer(tag, protocol):
    if family(tag["src"]) == 4:
        return IP(src=tag["src"], dst=tag["dst"], ttl=17, proto=protocol)
    return IPv6(src=tag["src"], dst=tag["dst"], hlim=17, nh=protocol)


def crafted(packet, leg, length):
    """A whole frame of scapy's own making: its source ports, checksums, hop counts."""
    ethernet = Ether(src=packet["eth_src"], dst=packet["eth_dst"])
    for vlan in (packet.get("outer_vlan"), packet.get("vlan")):
        if vlan is not None:
            ethernet = ethernet / Dot1Q(vlan=vlan)
    inside = inner_packet(packet, leg, length)
    if not packet.get("tag"):
        return ethernet / inside
    (kind, tag), = packet["tag"].items()
    if kind == "mpls":
        return ethernet / MPLS(label=tag["label"], s=1 if tag.get("bottom", True) else 0, ttl=tag.get("ttl", 64)) / inside
    if kind == "nsh":
        return ethernet / nsh(tag, inside)
    if kind == "vxlan":
        frame = Ether(src="02:00:00:00:00:aa", dst="02:00:00:00:00:bb") / inside
        return ethernet / outer(tag, 17) / UDP(sport=54321, dport=4789) / VXLAN(vni=tag["vni"], flags=8) / frame
    if kind == "gpe":
        shim = VXLAN(vni=tag["vni"], flags=12, NextProtocol=4)
        return ethernet / outer(tag, 17) / UDP(sport=54321, dport=4790) / shim / nsh(tag["nsh"], inside)
    if kind == "gre":
        return ethernet / outer(tag, 47) / GRE(key_present=1, key=tag["key"]) / inside
    raise Wrong(f"no such tag: {kind}")


def payload_length(leg, table):
    return table.get("payload", [0, 1, 5, 37, 100, 512, 1000, 1399, 1460][leg % 9])


def expect(what, found, wanted):
    if found != wanted:
        raise Wrong(f"{what}: {found!r}, not {wanted!r}")


def read_nsh(layer, path, packet):
    """What follows NSH."""
    inside = IP_OF[family(packet["ip_src"])]
    if path["md"] == 2:
        # scapy writes metadata type 2, but takes its length in words for a number of TLVs as it reads: so the
        # header is compared with the one it writes.
        whole = raw(layer)
        expect("NSH", whole[:8], raw(nsh({**path, "ttl": 63}, inside()))[:8])
        return inside(whole[8:])
    expect("NSH", type(layer), NSH)
    expect("service path", layer.spi, path["spi"])
    expect("service index", layer.si, path["si"])
    expect("metadata type", layer.mdtype, 1)
    expect("NSH length", layer.length, 6)
    expect("NSH TTL", layer.ttl, 63)
    return layer.payload


def read_by_scapy(frame, packet, arrived):
    """Fields of a frame that left, and the packet inside."""
    expect("source MAC", frame.src, packet["eth_src"])
    expect("destination MAC", frame.dst, packet["eth_dst"])
    vlans = []
    layer = frame.payload
    while isinstance(layer, Dot1Q):
        vlans.append(layer.vlan)
        layer = layer.payload
    expect("VLAN IDs", vlans, [v for v in (packet.get("outer_vlan"), packet.get("vlan")) if v is not None])
    if packet.get("tag"):
        (kind, tag), = packet["tag"].items()
        if kind in ("vxlan", "gpe", "gre"):
            expect("outer header", type(layer), IP_OF[family(tag["src"])])
            expect("outer source", layer.src, tag["src"])
            expect("outer destination", layer.dst, tag["dst"])
            if isinstance(layer, IP):
                fresh = IP(raw(layer))
                del fresh.chksum
                expect("outer checksum", layer.chksum, IP(raw(fresh)).chksum)
                expect("outer length", layer.len, len(raw(layer)))
            else:
                expect("outer length", layer.plen, len(raw(layer.payload)))
            layer = layer.payload
        if kind in ("vxlan", "gpe"):
            expect("UDP", type(layer), UDP)
            expect("UDP port", layer.dport, 4789 if kind == "vxlan" else 4790)
            expect("UDP length", layer.len, len(raw(layer)))
            expect("entropy in the source port", layer.sport >= 0xC000, True)
            layer = layer.payload
            expect("VXLAN", type(layer), VXLAN)
            expect("VNI", layer.vni, tag["vni"])
            expect("VXLAN flags", int(layer.flags), 8 if kind == "vxlan" else 12)
            layer = layer.payload
            if kind == "vxlan":
                expect("inner Ethernet", type(layer), Ether)
                layer = layer.payload
        if kind in ("nsh", "gpe"):
            layer = read_nsh(layer, tag if kind == "nsh" else tag["nsh"], packet)
        if kind == "mpls":
            expect("MPLS", type(layer), MPLS)
            expect("label", layer.label, tag["label"])
            expect("bottom of stack", layer.s, 1)
            expect("MPLS TTL", layer.ttl, 64)
            layer = layer.payload
        if kind == "gre":
            expect("GRE", type(layer), GRE)
            expect("key", layer.key, tag["key"])
            layer = layer.payload
    expect("inner header", type(layer), IP_OF[family(packet["ip_src"])])
    expect("packet inside", raw(layer), arrived)


TSHARK_FIELDS = {
    "protocols": "frame.protocols",
    "vlans": "vlan.id",
    "label": "mpls.label",
    "spi": "nsh.spi",
    "si": "nsh.si",
    "vni": "vxlan.vni",
    "key": "gre.key",
    "sources": "ip.src",
    "sources6": "ipv6.src",
    "ip_status": "ip.checksum.status",
    "tcp_status": "tcp.checksum.status",
    "dscp": "ip.dsfield.dscp",
    "dscp6": "ipv6.tclass.dscp",
    "malformed": "_ws.malformed",
    "time": "frame.time_epoch",
}


def tshark(path):
    """Fields of every frame of a capture, as tshark reads them."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    for field in TSHARK_FIELDS.values():
        command += ["-e", field]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [dict(zip(TSHARK_FIELDS, line.split("|"))) for line in out.splitlines()]


def number(text):
    """A field as tshark prints it, decimal or hexadecimal."""
    return [int(part, 0) for part in text.split(",") if part]


def read_by_tshark(fields, packet):
    expect("malformed", fields["malformed"], "")
    v4 = family(packet["ip_src"]) == 4
    addresses = [a for a in (fields["sources"] + "," + fields["sources6"]).split(",") if a]
    expect("the source inside, to tshark", packet["ip_src"] in addresses, True)
    good = "1"
    expect("tshark's word on TCP checksums", set(fields["tcp_status"].split(",")), {good})
    if fields["ip_status"]:
        expect("tshark's word on IPv4 checksums", set(fields["ip_status"].split(",")), {good})
    inside = number(fields["dscp"] if v4 else fields["dscp6"])
    expect("DSCP", inside[-1], packet.get("dscp", 0))
    vlans = [v for v in (packet.get("outer_vlan"), packet.get("vlan")) if v is not None]
    expect("VLAN IDs to tshark", number(fields["vlans"]), vlans)
    wanted = {"label": [], "spi": [], "si": [], "vni": [], "key": []}
    layers = fields["protocols"].split(":")
    if packet.get("tag"):
        (kind, tag), = packet["tag"].items()
        path = tag.get("nsh", tag)
        for name in wanted:
            if name in path or name in tag:
                wanted[name] = [path.get(name, tag.get(name))]
        # tshark's own name for VXLAN-GPE is not among the layers; its VNI is compared below.
        for layer in {"mpls": ["mpls"], "nsh": ["nsh"], "vxlan": ["vxlan"], "gpe": ["nsh"], "gre": ["gre"]}[kind]:
            expect(f"{layer} among tshark's layers {layers}", layer in layers, True)
        if "src" in tag:
            expect("the tunnel's source to tshark", tag["src"] in addresses, True)
    for name, values in wanted.items():
        expect(f"{name} to tshark", number(fields[name]), values)
    expect("the last layer but data", "tcp" in layers, True)


def case(folder, seqnic, work, engine):
    table = json.loads((folder / "legs.json").read_text())
    start = 1_767_225_600.0
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    writers, arrived, waiting = {}, [], {}
    for leg, line in enumerate(table):
        length = payload_length(leg, line)
        frame = crafted(line["in"], leg, length)
        name = line["in"]["interface"]
        if name not in writers:
            writers[name] = PcapWriter(str(work / f"in-{name}.pcap"), nano=True)
        frame.time = start + leg / 1000
        writers[name].write(frame)
        # What is inside must be the same after the engine, but for a DSCP it may set.
        arrived.append((leg, line, length))
        for packet in line["out"]:
            waiting.setdefault((packet["interface"], leg), []).append(packet)
    command = [seqnic, "replay", str(folder / "definition.yaml"), "--engine", engine, "--out", str(work / "out")]
    for name, writer in writers.items():
        writer.close()
        command += ["--in", f"{name}={work / f'in-{name}.pcap'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Wrong(f"seqnic replay: {done.stderr}")
    read = 0
    for path in sorted((work / "out").glob("i*.pcap")):
        frames = list(PcapReader(str(path)))
        fields = tshark(path)
        expect("frames tshark sees", len(fields), len(frames))
        for frame, seen in zip(frames, fields):
            leg = round((float(frame.time) - start) * 1000)
            wanted = waiting.get((path.stem, leg))
            if not wanted:
                raise Wrong(f"{path.name}: a frame of leg {leg} that the flow table does not have")
            # Two copies may leave through one interface: by their MAC.
            packet = next((p for p in wanted if p["eth_dst"] == frame.dst), wanted[0])
            inside = raw(inner_packet(packet, leg, payload_length(leg, table[leg])))
            where = f"{path.name}, leg {leg} ({table[leg]['words']})"
            try:
                read_by_scapy(frame, packet, inside)
                read_by_tshark(seen, packet)
            except Wrong as wrong:
                raise Wrong(f"{where}: {wrong}") from None
            wanted.remove(packet)
            read += 1
    left = [key for key, packets in waiting.items() if packets]
    expect("packets that did not come out", left, [])
    return read


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    seqnic, work = sys.argv[1], pathlib.Path(sys.argv[2])
    engine = sys.argv[3] if len(sys.argv) == 4 else "image"
    folders = sorted(f for f in CASES.glob("tag-*") if (f / "legs.json").is_file())
    if not folders:
        sys.exit(f"formats: no cases tag-* in {CASES}")
    wrong, frames = [], 0
    for folder in folders:
        try:
            frames += case(folder, seqnic, work / folder.name, engine)
        except Wrong as error:
            wrong.append(f"{folder.name}: {error}")
    print(f"{len(folders)} cases, {frames} frames read by tshark and scapy, {engine} engine")
    if wrong:
        sys.exit("\n".join(wrong))


main()

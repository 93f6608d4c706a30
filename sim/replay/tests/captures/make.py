#!/usr/bin/env python3
"""Makes the captures of this folder and what tshark reads from them.

Needs scapy, and editcap, mergecap and tshark of Wireshark. Each NAME.pcap or NAME.pcapng gets a
NAME.expected: a line a packet with time, captured length and length on the wire, as tshark says.
The tests need none of these programs.
"""

import struct
import subprocess
from pathlib import Path

from scapy.all import IP, TCP, UDP, Ether, RawPcapWriter

here = Path(__file__).parent
START = 1_700_000_000 * 10**9 + 123_456_789

frames = [
    bytes(Ether(src="02:03:00:00:00:03", dst="02:01:00:00:00:01")
          / IP(src="198.51.100.11", dst="203.0.113.13")
          / layer / (b"x" * length))
    for layer, length in [(TCP(sport=40001, dport=80), 0), (UDP(sport=5, dport=6), 301), (TCP(dport=443), 1400)]
]
times = [START + i * 1_000_000_001 for i in range(len(frames))]


def scapy_pcap(name, endianness, nano):
    with RawPcapWriter(str(here / name), linktype=1, endianness=endianness, nano=nano) as out:
        out.write_header(None)
        unit = 1 if nano else 1000
        for time, frame in zip(times, frames):
            out.write_packet(frame, sec=time // 10**9, usec=time % 10**9 // unit)


def run(*args):
    subprocess.run([str(a) for a in args], cwd=here, check=True)


class Ng:
    """A pcapng writer that writes what no tool writes."""

    def __init__(self, order):
        self.order, self.data = order, b""

    def pack(self, form, *values):
        return struct.pack(self.order + form, *values)

    def block(self, kind, body):
        body += b"\0" * (-len(body) % 4)
        length = len(body) + 12
        self.data += self.pack("II", kind, length) + body + self.pack("I", length)

    def option(self, code, value):
        return self.pack("HH", code, len(value)) + value + b"\0" * (-len(value) % 4)

    def section(self):
        self.block(0x0A0D0D0A, self.pack("IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(self, *options, snap=0, link=1):
        self.block(1, self.pack("HHI", link, 0, snap) + b"".join(self.option(*o) for o in options))

    def packet(self, interface, units, frame, wire=None, *options):
        body = self.pack("IIIII", interface, units >> 32, units & 0xFFFFFFFF, len(frame), wire or len(frame))
        body += frame + b"\0" * (-len(frame) % 4)
        self.block(6, body + b"".join(self.option(*o) for o in options))

    def simple(self, frame, wire):
        self.block(3, self.pack("I", wire) + frame)

    def obsolete(self, interface, units, frame):
        body = self.pack("HHIIII", interface, 0xFFFF, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
        self.block(2, body + frame)


def odd_blocks(order):
    """Resolutions, offsets, several interfaces and sections, unknown and simple blocks."""
    ng = Ng(order)
    ng.section()
    ng.interface((2, b"eth0"), (9, b"\x09"), (0, b""))
    ng.interface((9, b"\x06"), (14, ng.pack("q", 1_600_000_000)))
    ng.interface((9, b"\x06"), (14, ng.pack("q", -3600)))
    ng.interface((9, b"\xa0"))  # units of 2^-32 s
    ng.block(0x00000BAD, ng.pack("I", 32473) + b"custom block")
    ng.packet(0, times[0], frames[0])
    ng.packet(1, 100_000_000 * 10**6 + 123456, frames[1], None, (1, b"a comment"), (2, ng.pack("I", 1)), (0, b""))
    ng.block(0x7FFFFFFF, b"unknown block")
    ng.packet(2, (times[2] // 1000) + 3600 * 10**6, frames[2], 2000)
    ng.packet(3, (1_700_000_005 << 32) + (1 << 31), frames[0][:60])
    ng.obsolete(0, times[1], frames[1])
    ng.section()
    ng.interface((9, b"\x03"))
    ng.packet(0, 1_700_000_010_500, frames[0])
    return ng.data


scapy_pcap("micro-le.pcap", "<", False)
scapy_pcap("micro-be.pcap", ">", False)
scapy_pcap("nano-le.pcap", "<", True)
scapy_pcap("nano-be.pcap", ">", True)
run("editcap", "-F", "pcapng", "nano-le.pcap", "wireshark.pcapng")
run("editcap", "-F", "pcapng", "-s", "100", "nano-le.pcap", "cut.pcapng")
run("mergecap", "-F", "pcapng", "-I", "none", "-w", "interfaces.pcapng", "micro-be.pcap", "nano-le.pcap")
(here / "odd-le.pcapng").write_bytes(odd_blocks("<"))
(here / "odd-be.pcapng").write_bytes(odd_blocks(">"))

# Simple packets have no time; tshark makes none up, so these have no .expected.
ng = Ng("<")
ng.section()
ng.interface(snap=64)
ng.packet(0, 5 * 10**6, frames[0])
ng.simple(frames[1][:64], len(frames[1]))
ng.simple(frames[0], len(frames[0]))
(here / "simple.pcapng").write_bytes(ng.data)

for capture in sorted(here.glob("*.pcap*")):
    if capture.name == "simple.pcapng":
        continue
    fields = [f for name in ("time_epoch", "cap_len", "len") for f in ("-e", f"frame.{name}")]
    text = subprocess.run(["tshark", "-r", capture, "-T", "fields", "-E", "separator=/s", *fields],
                          check=True, capture_output=True, text=True).stdout
    # tshark counts a custom block as a record, without a time.
    packets = [line for line in text.splitlines(keepends=True) if not line.startswith(" ")]
    capture.with_suffix(".expected").write_text("".join(packets))

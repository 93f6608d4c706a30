"""The core between AxiStreamSource and AxiStreamSink of cocotbext-axi, which pause at random.

Each case folder's packets go in; what comes out of every port and of the host's stream must be what the case says, byte
for byte, with the interface or the reason in `tuser`. Layouts come from `hdl/spec/spec.json`.
"""

import json
import os
import random
import struct
from collections import Counter
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = json.loads((ROOT / "hdl/spec/spec.json").read_text())
RECORDS = {r["name"]: r["fields"] for r in SPEC["records"]}
REASONS = {r["code"]: r["name"] for r in SPEC["reasons"]}
ROWS = json.loads(Path(os.environ["SEQNIC_ROWS"]).read_text())
PORTS = 4
# Clocks without a beat after which nothing more comes.
QUIET = 600


def field(value, record, name):
    at = 0
    for f in RECORDS[record]:
        if f["name"] == name:
            return (value >> at) & ((1 << f["width"]) - 1)
        at += f["width"]
    raise KeyError(name)


def pcap(path):
    """Time in ns and bytes of every packet of a capture as a case has it."""
    if not path.exists():
        return []
    data = path.read_bytes()
    magic = struct.unpack("<I", data[:4])[0]
    assert magic == 0xA1B23C4D, f"{path}: not a little-endian pcap of nanoseconds"
    at, packets = 24, []
    while at < len(data):
        seconds, ns, length, _ = struct.unpack("<IIII", data[at : at + 16])
        packets.append((seconds * 10**9 + ns, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return packets


def pauses(seed, percent):
    r = random.Random(seed)
    while True:
        yield r.random() * 100 < percent


class Bench:
    def __init__(self, dut):
        self.dut = dut
        dut.rst.value = 1
        dut.cfg_write.value = 0
        dut.cfg_read.value = 0
        for name in ("cfg_table", "cfg_row", "cfg_wdata"):
            getattr(dut, name).value = 0
        for extra in ("snapshot_ready", "now"):
            if hasattr(dut, extra):
                getattr(dut, extra).value = 0
        cocotb.start_soon(Clock(dut.clk, 4, unit="ns").start())
        names = [f"p{p}" for p in range(PORTS)] + ["host"]
        bus = lambda prefix: AxiStreamBus.from_prefix(dut, prefix)  # noqa: E731
        self.sources = [AxiStreamSource(bus(f"s_axis_{n}"), dut.clk, dut.rst) for n in names]
        self.sinks = [AxiStreamSink(bus(f"m_axis_{n}"), dut.clk, dut.rst) for n in names]

    def pause(self, seed, percent):
        for n, end in enumerate(self.sources + self.sinks):
            end.set_pause_generator(pauses(seed * 100 + n, percent))

    async def clocks(self, n):
        for _ in range(n):
            await RisingEdge(self.dut.clk)

    async def reset(self):
        self.dut.rst.value = 1
        await self.clocks(5)
        self.dut.rst.value = 0
        await self.clocks(5)

    async def write(self, rows, erase=False):
        for table, row, words in rows:
            value = 0 if erase else sum(w << 64 * i for i, w in enumerate(words))
            self.dut.cfg_write.value = 1
            self.dut.cfg_table.value = table
            self.dut.cfg_row.value = row
            self.dut.cfg_wdata.value = value
            await RisingEdge(self.dut.clk)
        self.dut.cfg_write.value = 0
        await self.clocks(4)

    async def collect(self, expected):
        """Frames of every output, until as many came as are expected and no more for a while."""
        found = [[] for _ in self.sinks]
        quiet = 0
        while quiet < QUIET:
            await self.clocks(1)
            quiet += 1
            for n, sink in enumerate(self.sinks):
                while not sink.empty():
                    found[n].append(sink.recv_nowait())
                    quiet = 0
            if any(not s.idle() for s in self.sources) or any(not s.idle() for s in self.sinks):
                quiet = 0
        return found


def tuser(frame):
    value = frame.tuser
    if isinstance(value, (list, tuple)):
        value = value[0]
    return int(value)


async def run_case(bench, case, seed, percent):
    folder = ROOT / "tests/cases" / case["name"]
    await bench.reset()
    await bench.write(case["rows"])
    bench.pause(seed, percent)
    port_of = {i["name"]: i["port"] for i in case["interfaces"]}
    number_of = {i["name"]: n for n, i in enumerate(case["interfaces"])}
    arriving = []
    for name, port in port_of.items():
        arriving += [(time, port, data) for time, data in pcap(folder / f"in/{name}.pcap")]
    for time, port, data in sorted(arriving):
        await bench.sources[port].send(AxiStreamFrame(data, tuser=time))
    sent = sum((len(pcap(folder / f"out/{n}.pcap")) for n in port_of), 0)
    host = pcap(folder / "out/host.pcap")
    found = await bench.collect(sent + len(host))

    expected = [Counter() for _ in range(PORTS + 1)]
    for name, port in port_of.items():
        for time, data in pcap(folder / f"out/{name}.pcap"):
            expected[port][(time, number_of[name], data)] += 1
    lines = (folder / "exceptions.jsonl").read_text().splitlines()
    reasons = [json.loads(line)["reason"] for line in lines]
    for (time, data), reason in zip(host, reasons, strict=True):
        expected[PORTS][(time, reason, data)] += 1
    for port in range(PORTS):
        seen = Counter()
        for frame in found[port]:
            user = tuser(frame)
            seen[(field(user, "port_meta", "tag"), field(user, "port_meta", "interface"), bytes(frame.tdata))] += 1
        assert seen == expected[port], f"{case['name']}, port {port}: {len(found[port])} frames, not those of the case"
    seen = Counter()
    for frame in found[PORTS]:
        user = tuser(frame)
        reason = REASONS[field(user, "host_meta", "reason")]
        seen[(field(user, "host_meta", "tag"), reason, bytes(frame.tdata))] += 1
    assert seen == expected[PORTS], f"{case['name']}, host: {len(found[PORTS])} frames, not those of the case"
    await bench.write(case["rows"], erase=True)
    return len(arriving), sum(len(f) for f in found)


@cocotb.test()
async def cases_pass(dut):
    bench = Bench(dut)
    into = out = 0
    for seed, case in enumerate(ROWS):
        a, b = await run_case(bench, case, seed, (0, 30, 60)[seed % 3])
        into, out = into + a, out + b
        dut._log.info(f"{case['name']}: {a} frames in, {b} out")
    assert ROWS, "no cases"
    dut._log.info(f"{len(ROWS)} cases, {into} frames in, {out} out")


@cocotb.test()
async def wrong_tables_are_noticed(dut):
    """A bench that lets everything pass would be worse than none: the tables of one case, the packets of another."""
    bench = Bench(dut)
    mixed = {**ROWS[1], "rows": ROWS[0]["rows"], "interfaces": ROWS[1]["interfaces"]}
    try:
        await run_case(bench, mixed, 1, 0)
    except AssertionError:
        return
    raise AssertionError("what another case's tables do is taken for right")

"""The card between bus models that others wrote (cocotbext-axi), which pause at random.

AxiLiteMaster is the host's register access, AxiRam the host's memory, AxiStreamSource and -Sink the ports. Offsets and
layouts come from `hdl/spec/spec.json`.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import (AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiStreamBus, AxiStreamFrame, AxiStreamSink,
                           AxiStreamSource)

SPEC = json.loads((Path(__file__).parent / "../../hdl/spec/spec.json").read_text())
HOST = SPEC["host"]
REGISTERS = {r["name"]: r for r in HOST["registers"]}
RINGS = {r["name"]: r["number"] for r in HOST["rings"]}
RECORDS = {r["name"]: r for r in HOST["records"] + SPEC["records"]}
TABLES = {t["name"]: t["number"] for t in SPEC["tables"]}
REASONS = {r["name"]: r["code"] for r in SPEC["reasons"]}
LINE = HOST["line_bytes"]
PORTS = 4
LOG2 = 9


def field(value, fields, name):
    at = 0
    for f in fields:
        if f["name"] == name:
            return (value >> at) & ((1 << f["width"]) - 1)
        at += f["width"]
    raise KeyError(name)


def record(name, **values):
    """A line with a record at its start."""
    line, at = 0, 0
    for f in RECORDS[name]["fields"]:
        line |= (values.get(f["name"], 0) & ((1 << f["width"]) - 1)) << at
        at += f["width"]
    return line.to_bytes(LINE, "little")


def parse(name, line, at=0):
    value = int.from_bytes(line, "little") >> at
    return {f["name"]: field(value, RECORDS[name]["fields"], f["name"]) for f in RECORDS[name]["fields"]}


def pauses(seed, percent):
    r = random.Random(seed)
    while True:
        yield r.random() * 100 < percent


class Bench:
    def __init__(self, dut, seed, percent):
        self.dut = dut
        self.random = random.Random(seed)
        dut.rst.value = 1
        dut.flr.value = 0
        dut.now.value = 0
        dut.source_sha.value = 0x0123456789
        dut.link.value = 0
        dut.irq_ready.value = 1
        cocotb.start_soon(Clock(dut.clk, 4, unit="ns").start())
        cocotb.start_soon(self.time())
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=1 << 21)
        self.sources = [AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_p{p}"), dut.clk, dut.rst) for p in range(PORTS)]
        self.sinks = [AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m_axis_p{p}"), dut.clk, dut.rst) for p in range(PORTS)]
        if percent:
            write, read = self.registers.write_if, self.registers.read_if
            ram_write, ram_read = self.ram.write_if, self.ram.read_if
            for i, channel in enumerate([
                write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel,
                ram_write.aw_channel, ram_write.w_channel, ram_write.b_channel, ram_read.ar_channel, ram_read.r_channel,
                *self.sources, *self.sinks,
            ]):
                channel.set_pause_generator(pauses(seed * 100 + i, percent))
        self.vectors = []
        cocotb.start_soon(self.interrupts())
        self.index = [0] * len(RINGS)

    async def time(self):
        now = 1000
        while True:
            await RisingEdge(self.dut.clk)
            now += 4
            self.dut.now.value = now

    async def interrupts(self):
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.irq_valid.value == 1 and self.dut.rst.value == 0:
                self.vectors.append(int(self.dut.irq_vector.value))

    async def start(self):
        await self.clocks(10)
        self.dut.rst.value = 0
        await self.clocks(10)
        for ring in RINGS.values():
            await self.write("ring_base_low", 0x10000 * (ring + 1), ring)
            await self.write("ring_base_high", 0, ring)
            await self.write("ring_status_low", LINE * ring, ring)
            await self.write("ring_status_high", 0, ring)
            await self.write("ring_size", LOG2, ring)
            await self.write("ring_control", 1, ring)
        await self.write("enable", 0xFF)

    async def clocks(self, n):
        for _ in range(n):
            await RisingEdge(self.dut.clk)

    def at(self, name, i=0):
        return REGISTERS[name]["offset"] + REGISTERS[name]["stride"] * i

    async def write(self, name, value, i=0):
        await self.registers.write_dword(self.at(name, i), value)

    async def read(self, name, i=0):
        return await self.registers.read_dword(self.at(name, i))

    async def idle(self):
        calm = 0
        for _ in range(60_000):
            await RisingEdge(self.dut.clk)
            quiet = self.dut.busy.value == 0 and all(s.empty() and s.idle() for s in self.sources)
            calm = calm + 1 if quiet else 0
            if calm > 8:
                return
        raise AssertionError("busy for ever")

    def line(self, ring, index):
        address = 0x10000 * (ring + 1) + (index % (1 << LOG2)) * LINE
        return bytes(self.ram.read(address, LINE))

    def status(self, ring):
        return parse("status", bytes(self.ram.read(LINE * ring, LINE)))

    async def doorbell(self, ring, arm=False):
        await self.write("doorbell", self.index[ring] % (1 << HOST["index_bits"]) | int(arm) << 31, ring)

    async def consume(self, name):
        ring, records = RINGS[name], []
        while self.index[ring] != self.status(ring)["index"]:
            header = self.line(ring, self.index[ring])
            says = parse("to_host", header)
            payload = b"".join(self.line(ring, self.index[ring] + 1 + i) for i in range(says["lines"]))
            records.append((says, header, payload[: says["length"]]))
            self.index[ring] += 1 + says["lines"]
        await self.doorbell(ring)
        return records

    async def produce(self, name, *lines):
        ring = RINGS[name]
        while self.index[ring] + len(lines) - self.status(ring)["index"] > 1 << LOG2:
            await self.clocks(50)
        for line in lines:
            address = 0x10000 * (ring + 1) + (self.index[ring] % (1 << LOG2)) * LINE
            self.ram.write(address, line)
            self.index[ring] += 1
        await self.doorbell(ring)

    async def transmit(self, mode, port, frame):
        lines = [frame[i: i + LINE].ljust(LINE, b"\xee") for i in range(0, len(frame), LINE)]
        await self.produce("transmit", record("transmit", length=len(frame), mode=mode, port=port), *lines)

    async def command(self, op, table, row, cookie, value=0):
        await self.produce("commands", record("command", op=op, table=table, row=row, cookie=cookie), value.to_bytes(LINE, "little"))


async def traffic(dut, seed, percent):
    bench = Bench(dut, seed, percent)
    await bench.start()
    assert await bench.read("magic") == int.from_bytes(b"SEQN", "little")
    assert await bench.read("source_sha") == 0x23456789
    await bench.write("scratch", 0xCAFEF00D)
    assert await bench.read("scratch") == 0xCAFEF00D

    # Frames for the host, out of ports, into the pipeline, and commands, all at once.
    r = bench.random
    arrived, entered, sent, rows, asked = [], [], [[] for _ in range(PORTS)], {}, []
    packets, answers = [], []
    for n in range(60):
        frame = r.randbytes(r.choice([14, 60, 63, 64, 65, 200, 1514]))
        match r.randrange(4):
            case 0:
                await bench.sources[1].send(AxiStreamFrame(frame))
                arrived.append(frame)
            case 1:
                port = r.randrange(PORTS)
                await bench.transmit(0, port, frame)
                sent[port].append(frame)
            case 2:
                await bench.transmit(1, 2, frame)
                entered.append(frame)
            case 3:
                row = r.randrange(16)
                if r.random() < 0.5:
                    rows[row] = r.getrandbits(24)
                    await bench.command(1, TABLES["action"], row, n, rows[row])
                else:
                    asked.append((n, row, rows.get(row, 0)))
                    await bench.command(2, TABLES["action"], row, n)
        if n % 10 == 9:
            await bench.idle()
            packets += await bench.consume("packets0")
            answers += await bench.consume("answers")
    await bench.idle()
    packets += await bench.consume("packets0")
    answers += await bench.consume("answers")

    for port in range(PORTS):
        out = [bytes(bench.sinks[port].recv_nowait().tdata) for _ in range(bench.sinks[port].count())]
        assert out == sent[port], f"port {port}"
    for port, frames in [(1, arrived), (2, entered)]:
        found = [(says, parse("host_meta", header, HOST["meta_at"]), payload) for says, header, payload in packets]
        found = [(meta, payload) for _, meta, payload in found if meta["port"] == port]
        assert [payload for _, payload in found] == frames
        assert all(meta["reason"] == REASONS["no_interface"] for meta, _ in found)
    assert [says["sequence"] for says, _, _ in packets] == list(range(len(packets)))
    found = [(parse("row_meta", h, HOST["meta_at"]), int.from_bytes(p, "little")) for _, h, p in answers]
    assert [(m["cookie"], m["row"], value & 0xFFFFFF) for m, value in found] == asked
    assert len(asked) > 3 and len(arrived) > 5

    # An interrupt for one packet.
    assert bench.vectors == []
    await bench.doorbell(RINGS["packets0"], arm=True)
    await bench.sources[0].send(AxiStreamFrame(bytes(60)))
    await bench.idle()
    assert bench.vectors == [RINGS["packets0"]]

    # Reset: afterwards the memory is left alone.
    await bench.write("control", 1)
    for _ in range(500):
        if await bench.read("card_state") & 1 == 0:
            break
    else:
        raise AssertionError("the reset does not end")
    before = bytes(bench.ram.read(0, 1 << 21))
    await bench.sources[0].send(AxiStreamFrame(bytes(60)))
    await bench.idle()
    assert bytes(bench.ram.read(0, 1 << 21)) == before
    for ring in RINGS.values():
        assert await bench.read("ring_state", ring) & 3 == 0


@cocotb.test()
async def undisturbed(dut):
    await traffic(dut, 1, 0)


@cocotb.test()
async def with_pauses(dut):
    await traffic(dut, 2, 40)

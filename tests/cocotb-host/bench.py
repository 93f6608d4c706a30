"""The card between bus models that others wrote (cocotbext-axi), which pause at random.

AxiLiteMaster is the host's register access, AxiSlave in front of a `Memory` the host's memory, AxiStreamSource and -Sink the
ports. `Watch` looks at every clock that what is offered stays. Offsets and layouts come from `hdl/spec/spec.json`.
"""

import json
import logging
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import (AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, AxiStreamBus, AxiStreamFrame, AxiStreamSink,
                           AxiStreamSource)

SPEC = json.loads((Path(__file__).parent / "../../hdl/spec/spec.json").read_text())
HOST = SPEC["host"]
REGISTERS = {r["name"]: r for r in HOST["registers"]}
RINGS = {r["name"]: r["number"] for r in HOST["rings"]}
RECORDS = {r["name"]: r for r in HOST["records"] + SPEC["records"]}
TABLES = {t["name"]: t["number"] for t in SPEC["tables"]}
REASONS = {r["name"]: r["code"] for r in SPEC["reasons"]}
LINE = HOST["line_bytes"]
ERRORS = {name: code for code, name in enumerate(HOST["ring_errors"])}
GEOMETRY = next(g for g in SPEC["geometries"] if g["name"] == os.environ.get("SEQNIC_GEOMETRY", "edge"))
PORTS = GEOMETRY["ports"]
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


class Memory:
    """The host's memory, behind a slave; transfers to what is in `refused` are answered with an error."""

    def __init__(self, size):
        self.bytes = bytearray(size)
        self.refused = []
        self.refusals = 0

    def check(self, address, length):
        if any(address < end and address + length > start for start, end in self.refused) or address + length > len(self.bytes):
            self.refusals += 1
            raise ValueError("nothing is mapped there")

    async def read(self, address, length, **_):
        self.check(address, length)
        return bytes(self.bytes[address : address + length])

    async def write(self, address, data, **_):
        self.check(address, len(data))
        self.bytes[address : address + len(data)] = data


class Watch:
    """What a channel of the card offers it must offer until it is taken, unchanged."""

    def __init__(self, dut):
        self.dut = dut
        self.channels = [("s_axil_b", ["resp"]), ("s_axil_r", ["data", "resp"])]
        address = ["addr", "len", "size", "burst", "id"]
        self.channels += [("m_axi_aw", address), ("m_axi_w", ["data", "strb", "last"]), ("m_axi_ar", address)]
        self.channels += [(f"m_axis_p{p}_t", ["data", "keep", "last", "user"]) for p in range(PORTS)]
        cocotb.start_soon(self.run())

    async def run(self):
        value = lambda name: int(getattr(self.dut, name).value)  # noqa: E731
        offered = {}
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.rst.value == 1:
                offered = {}
                continue
            for prefix, fields in self.channels:
                if value(prefix + "valid"):
                    now = [value(prefix + f) for f in fields]
                    assert offered.get(prefix, now) == now, f"{prefix}: changed before it was taken"
                    offered[prefix] = now
                    if value(prefix + "ready"):
                        del offered[prefix]
                else:
                    assert prefix not in offered, f"{prefix}: taken back"


class Bench:
    def __init__(self, dut, seed, percent, lite=None):
        """`lite`: in place of a master at the registers."""
        self.dut = dut
        # The models tell of every transfer otherwise.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.random = random.Random(seed)
        dut.rst.value = 1
        dut.flr.value = 0
        dut.now.value = 0
        dut.source_sha.value = 0x0123456789
        dut.link.value = 0
        dut.irq_ready.value = 1
        cocotb.start_soon(Clock(dut.clk, 4, unit="ns").start())
        cocotb.start_soon(self.time())
        master = lambda dut: AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)  # noqa: E731
        self.registers = (lite or master)(dut)
        self.memory = Memory(1 << 21)
        self.ram = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=self.memory)
        self.watch = Watch(dut)
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
        return bytes(self.memory.bytes[address : address + LINE])

    def status(self, ring):
        return parse("status", bytes(self.memory.bytes[LINE * ring : LINE * ring + LINE]))

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
            self.memory.bytes[address : address + LINE] = line
            self.index[ring] += 1
        await self.doorbell(ring)

    async def transmit(self, mode, port, frame):
        lines = [frame[i: i + LINE].ljust(LINE, b"\xee") for i in range(0, len(frame), LINE)]
        await self.produce("transmit", record("transmit", length=len(frame), mode=mode, port=port), *lines)

    async def command(self, op, table, row, cookie, value=0):
        await self.produce("commands", record("command", op=op, table=table, row=row, cookie=cookie), value.to_bytes(LINE, "little"))

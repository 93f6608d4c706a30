"""What a host or a sender may do wrong, or late: everything is answered, nothing hangs, and what comes behind it is right."""

import random

import cocotb
from bench import ERRORS, GEOMETRY, HOST, LINE, LOG2, PORTS, REASONS, REGISTERS, RINGS, Bench, parse, pauses
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiStreamFrame
from cocotbext.axi.axil_channels import (AxiLiteARBus, AxiLiteARSource, AxiLiteARTransaction, AxiLiteAWBus, AxiLiteAWSource,
                                         AxiLiteAWTransaction, AxiLiteBBus, AxiLiteBSink, AxiLiteRBus, AxiLiteRSink,
                                         AxiLiteWBus, AxiLiteWSource, AxiLiteWTransaction)

OKAY, SLVERR = 0, 2
BUS = GEOMETRY["bus_bytes"]
LONGEST = 9216
WORDS = {r["offset"] + r["stride"] * i for r in REGISTERS.values() for i in range(r["count"])}


class Lite:
    """The channels of AXI4-Lite one by one, so that they may come in any order."""

    def __init__(self, dut, seed, percent):
        port = lambda bus: (bus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)  # noqa: E731
        self.aw, self.w, self.ar = AxiLiteAWSource(*port(AxiLiteAWBus)), AxiLiteWSource(*port(AxiLiteWBus)), AxiLiteARSource(*port(AxiLiteARBus))
        self.b, self.r = AxiLiteBSink(*port(AxiLiteBBus)), AxiLiteRSink(*port(AxiLiteRBus))
        for i, channel in enumerate([self.aw, self.w, self.ar, self.b, self.r]):
            if percent:
                channel.set_pause_generator(pauses(seed * 10 + i, percent))

    async def write(self, address, value, strobes, address_first):
        sends = [(self.aw, AxiLiteAWTransaction(awaddr=address, awprot=0)), (self.w, AxiLiteWTransaction(wdata=value, wstrb=strobes))]
        for channel, transaction in sends if address_first else sends[::-1]:
            await channel.send(transaction)

    async def answered(self):
        return int((await self.b.recv()).bresp)


async def accesses(dut, seed, percent):
    """Reads and writes at the same time, anywhere, of any bytes; each is answered once, in order, and says what it did."""
    bench = Bench(dut, seed, 0, lite=lambda dut: Lite(dut, seed, percent))
    await bench.clocks(10)
    dut.rst.value = 0
    await bench.clocks(10)
    r = random.Random(seed)
    lite = bench.registers
    scratch = REGISTERS["scratch"]["offset"]
    # What has no effect but on itself.
    harmless = [scratch, REGISTERS["magic"]["offset"], REGISTERS["heartbeat"]["offset"]] + [a for a in range(0, 1 << 14, 4) if a not in WORDS]
    value, writes = 0, []
    for n in range(400):
        address = r.choice([scratch, r.choice(harmless)]) + r.choice([0, 0, 0, r.randrange(4)])
        data, strobes = r.getrandbits(32), r.choice([0xF, 0xF, r.randrange(16)])
        await lite.write(address, data, strobes, r.random() < 0.5)
        whole = address % 4 == 0 and strobes in (0, 0xF)
        writes.append(OKAY if whole and address in WORDS else SLVERR)
        if address == scratch and strobes == 0xF:
            value = data

    async def reader():
        for n in range(400):
            address = r.choice([r.choice(sorted(WORDS)), r.choice(harmless)]) + r.choice([0, 0, r.randrange(4)])
            await lite.ar.send(AxiLiteARTransaction(araddr=address, arprot=0))
            answer = await lite.r.recv()
            expected = OKAY if address in WORDS else SLVERR
            assert int(answer.rresp) == expected, f"read of {address:#x}"
            if address == REGISTERS["magic"]["offset"]:
                assert int(answer.rdata) == int.from_bytes(b"SEQN", "little")

    reads = cocotb.start_soon(reader())
    for n, expected in enumerate(writes):
        assert await with_timeout(lite.answered(), 20, "us") == expected, f"write {n}"
    await with_timeout(reads, 200, "us")
    await lite.ar.send(AxiLiteARTransaction(araddr=scratch, arprot=0))
    assert int((await lite.r.recv()).rdata) == value
    assert lite.b.empty() and lite.r.empty()


@cocotb.test()
async def every_access_is_answered(dut):
    await accesses(dut, 11, 0)


@cocotb.test()
async def every_access_is_answered_with_pauses(dut):
    await accesses(dut, 12, 60)


async def rude_frames(dut, seed, percent):
    """Short frames, empty last beats, holes, beats that are not full, frames without end: each comes to the host once or is
    marked, and the frames between them are untouched."""
    bench = Bench(dut, seed, percent)
    await bench.start()
    r = bench.random
    sent, packets = [], []
    for n in range(48):
        kind = r.choice(["right", "short", "empty_last", "hole", "middle", "long"] if n % 2 else ["right"])
        length = r.choice([60, 64, 65, 200, 1514])
        keep = None
        match kind:
            case "short":
                length = r.randrange(1, 14)
            case "empty_last":
                length = BUS * r.randrange(1, 20)
                keep = [1] * length + [0] * BUS
            case "hole":
                keep = [1] * length
                keep[r.randrange(length - 1)] = 0
            case "middle":
                length = BUS * 4
                keep = [1] * length
                keep[2 * BUS - r.randrange(1, BUS + 1) : 2 * BUS] = [0] * BUS
                keep = keep[:length]
            case "long":
                length = r.choice([LONGEST + 1, LONGEST + BUS, 12_000])
        frame = r.randbytes(length)
        data = frame + bytes(len(keep) - length if keep else 0)
        await bench.sources[r.randrange(PORTS)].send(AxiStreamFrame(data, tkeep=keep))
        sent.append((kind, frame))
        await bench.idle()
        packets += await bench.consume("packets0")
    assert len(packets) == len(sent), "each frame comes once"
    for (kind, frame), (says, header, payload) in zip(sent, packets):
        meta = parse("host_meta", header, HOST["meta_at"])
        spoilt = kind in ("hole", "middle", "long")
        assert meta["error"] == spoilt, f"{kind}: error is {meta['error']}"
        if kind == "long":
            assert payload == frame[:LONGEST]
        elif not spoilt:
            assert payload == frame, kind
        if kind == "right":
            assert meta["reason"] == REASONS["no_interface"]
        if kind == "short":
            assert meta["reason"] == REASONS["runt"]


@cocotb.test()
async def senders_that_break_the_rules(dut):
    await rude_frames(dut, 21, 0)


@cocotb.test()
async def senders_that_break_the_rules_with_pauses(dut):
    await rude_frames(dut, 22, 40)


async def state(bench, ring):
    value = await bench.read("ring_state", RINGS[ring])
    return {"running": value & 1, "busy": value >> 1 & 1, "error": value >> 2 & 7}


async def settled(bench, ring):
    for _ in range(500):
        says = await state(bench, ring)
        if not says["busy"]:
            return says
    raise AssertionError(f"{ring} is busy for ever")


async def restart(bench, ring):
    n = RINGS[ring]
    await bench.write("ring_control", 0, n)
    await settled(bench, ring)
    bench.memory.bytes[LINE * n : LINE * n + LINE] = bytes(LINE)
    bench.index[n] = 0
    await bench.write("ring_control", 1, n)


async def refused_transfers(dut, seed, percent):
    """Host memory that answers with SLVERR: that ring stops and says so, the others go on, and it starts again."""
    bench = Bench(dut, seed, percent)
    await bench.start()
    r = bench.random
    for ring in ["packets0", "transmit", "commands", "answers"]:
        n = RINGS[ring]
        base = 0x10000 * (n + 1)
        for what in ["lines", "status"]:
            bench.memory.refused = [(base, base + (LINE << LOG2))] if what == "lines" else [(LINE * n, LINE * n + LINE)]
            before = bench.memory.refusals
            frame = r.randbytes(200)
            match ring:
                case "packets0":
                    await bench.sources[0].send(AxiStreamFrame(frame))
                case "transmit":
                    await bench.transmit(0, 1, frame)
                case "commands":
                    await bench.command(1, 4, 1, 7, 99)
                case "answers":
                    await bench.command(2, 4, 1, 7)
            for _ in range(200):
                says = await state(bench, ring)
                if not says["running"]:
                    break
            assert bench.memory.refusals > before
            says = await settled(bench, ring)
            assert says == {"running": 0, "busy": 0, "error": ERRORS["bus"]}, f"{ring}, {what}: {says}"
            assert await bench.read("errors") == 1 << n
            await bench.write("errors", 1 << n)
            bench.memory.refused = []
            # Others go on: a frame from port to port is asked of what has not failed.
            if ring != "transmit":
                while bench.sinks[2].count():
                    bench.sinks[2].recv_nowait()
                await bench.transmit(0, 2, frame)
                await bench.idle()
                assert bytes(bench.sinks[2].recv_nowait().tdata) == frame, f"{ring}, {what}"
            await restart(bench, ring)
            if ring == "transmit":
                await bench.transmit(0, 2, frame)
                await bench.idle()
                found = [bytes(bench.sinks[2].recv_nowait().tdata) for _ in range(bench.sinks[2].count())]
                assert found[-1:] == [frame], f"{ring}, {what}"
    # And all of it works again.
    frame = r.randbytes(300)
    await bench.sources[3].send(AxiStreamFrame(frame))
    await bench.idle()
    assert [p for _, _, p in await bench.consume("packets0")] == [frame]


@cocotb.test()
async def memory_that_refuses(dut):
    await refused_transfers(dut, 31, 0)


@cocotb.test()
async def memory_that_refuses_with_pauses(dut):
    await refused_transfers(dut, 32, 40)


@cocotb.test()
async def outputs_that_are_never_ready_hold_up_nobody(dut):
    """A port that takes nothing and a host that takes nothing: frames of the others pass."""
    bench = Bench(dut, 41, 0)
    await bench.start()
    bench.sinks[0].pause = True
    frame = bench.random.randbytes(100)
    await bench.transmit(0, 0, frame)
    for n in range(8):
        await bench.sources[1].send(AxiStreamFrame(frame))
    for _ in range(2000):
        await RisingEdge(dut.clk)
    assert len(await bench.consume("packets0")) == 8
    bench.sinks[0].pause = False
    await bench.idle()
    assert bytes(bench.sinks[0].recv_nowait().tdata) == frame

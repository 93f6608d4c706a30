"""A driver's session on the card: packets both ways, rows, interrupts, a reset, all at once."""

import cocotb
from bench import LINE, PORTS, REASONS, RINGS, HOST, TABLES, Bench, parse
from cocotbext.axi import AxiStreamFrame


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
                # Rows of its own: the memories keep what the test before has written.
                row = 16 * seed + r.randrange(16)
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
    before = bytes(bench.memory.bytes)
    await bench.sources[0].send(AxiStreamFrame(bytes(60)))
    await bench.idle()
    assert bytes(bench.memory.bytes) == before
    for ring in RINGS.values():
        assert await bench.read("ring_state", ring) & 3 == 0


@cocotb.test()
async def undisturbed(dut):
    await traffic(dut, 1, 0)


@cocotb.test()
async def with_pauses(dut):
    await traffic(dut, 2, 40)


@cocotb.test()
async def with_a_slow_host(dut):
    await traffic(dut, 3, 90)

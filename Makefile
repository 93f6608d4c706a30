# Two commands: `make demo` and `make test`. Both install what a bare machine lacks.
.PHONY: demo test setup test-lab lint generate synth formal fuzz fuzz-random coverage test-formats test-cocotb cocotb-host test-vfio test-ops soak fail-over full-acl deb test-deb

SHELL := /bin/bash
CARGO ?= cargo
# The simulator's library is kept with the other build products.
export SEQNIC_CACHE ?= $(CURDIR)/target/seqnic-cache

demo: setup
	@tools/setup-lab.sh
	@tools/demo.sh

test: setup
	@tools/test.sh

setup:
	@tools/setup.sh

# Regenerates everything that is committed but not typed.
generate:
	$(CARGO) run --quiet -p seqnic-pipeline --bin seqnic-hdl -- generate --geometry alveo --out hdl/generated/alveo
	$(CARGO) run --quiet -p seqnic-pipeline --bin seqnic-hdl -- generate --geometry edge --out hdl/generated/edge
	$(CARGO) run --quiet -p seqnic -- spec --markdown > docs/tables.md
	$(CARGO) run --quiet -p seqnic -- spec --registers > docs/registers.md
	$(CARGO) run --quiet -p seqnic -- spec --json > hdl/spec/spec.json
	$(CARGO) run --quiet -p seqnic-pipeline --bin seqnic-hdl -- latency > docs/latency.md
	$(CARGO) run --quiet -p seqnic-snmp -- --mib > host-driver/snmp/dist/SEQNIC-MIB.txt

# Proofs of the stages that handle streams (hdl/formal/README.md): an hour, most of it `egress`, `egress_queues` and `buffer`.
formal:
	@tools/setup-formal.sh
	python3 hdl/formal/prove.py

# Coverage-guided fuzzing of what reads others' words (tests/fuzz), SECONDS_EACH of each target: make fuzz TARGETS="image frames".
fuzz:
	@SECONDS_EACH=$${SECONDS_EACH:-60} tools/fuzz.sh $(TARGETS)

# Mutated images, definitions and frames: SEQNIC_FUZZ_INPUTS of each, from a seed of today.
fuzz-random:
	SEQNIC_FUZZ_INPUTS=$${SEQNIC_FUZZ_INPUTS:-20000} SEQNIC_FUZZ_SEED=$${SEQNIC_FUZZ_SEED:-$$(date +%s)} \
		$(CARGO) test -p seqnic-random --test fuzz -- --nocapture

# Cases on the core between bus models that others wrote (cocotbext-axi), with pauses at random; some minutes.
COCOTB_CASES ?= fig05-nat fig07 fig08-v6 fig11 fig12-v6 tag-mixed tag-vxlan-v6 tag-nsh
test-cocotb:
	@tools/setup-cocotb.sh
	$(CARGO) run --quiet -p seqnic-tests --bin rows -- edge $(COCOTB_CASES) > target/cocotb/rows.json
	target/cocotb/bin/python tests/cocotb/run.py target/cocotb/rows.json

# The figures with real programs, in namespaces of this machine: needs root, and installs the programs the first time.
test-lab: setup
	@tools/setup-lab.sh
	$(CARGO) build --quiet -p seqnic-daemon --bin seqnicd
	$(CARGO) test -p seqnic-lab --test lab -- --nocapture

# Tags and tunnels as tshark and scapy read and write them, on the cases tests/cases/tag-*.
test-formats:
	@tools/setup-formats.sh
	$(CARGO) build --quiet -p seqnic
	/usr/bin/python3 tests/formats/formats.py $${CARGO_TARGET_DIR:-target}/debug/seqnic $${CARGO_TARGET_DIR:-target}/formats

# Area and timing of the hardware: docs/synth.md and docs/img/synth.svg. Modules that have not changed
# are taken from target/synth. Much longer than a test: about an hour the first time. With ROUTE=1 only `lite`, which is
# routed too, by a nextpnr that tools/setup-nextpnr.sh builds.
synth:
	@tools/setup-synth.sh
	$(CARGO) run --quiet --release -p seqnic-synth -- --docs docs $(if $(ROUTE),--geometry lite --route)

# The card between bus models that others wrote (cocotbext-axi), with pauses at random; some minutes. make cocotb-host GEOMETRY=alveo
GEOMETRY ?= edge
cocotb-host:
	@tools/setup-cocotb.sh
	$(CARGO) run --quiet -p seqnic-tests --bin rows -- $(GEOMETRY) $(COCOTB_CASES) > target/cocotb/rows-$(GEOMETRY).json
	SEQNIC_ROWS=target/cocotb/rows-$(GEOMETRY).json target/cocotb/bin/python tests/cocotb-host/run.py $(GEOMETRY)

# Which lines and bits of the RTL the benches of cocotb-host and the case folders reach: docs/coverage.md. Half an hour.
coverage: setup
	@tools/setup-cocotb.sh
	$(CARGO) run --quiet -p seqnic-tests --bin rows -- edge all > target/cocotb/rows-all.json
	SEQNIC_COVERAGE=1 SEQNIC_ROWS=target/cocotb/rows-all.json target/cocotb/bin/python tests/cocotb-host/run.py
	python3 tools/coverage.py target/cocotb-host/edge-coverage/coverage.dat docs/coverage.md hdl/generated/edge target/coverage

# A driver's whole session and seqnicd's over the kernel's VFIO, in a guest under QEMU with an emulated IOMMU. Fetches QEMU and
# a kernel the first time (tools/setup-vfio.sh); nothing is installed. SEQNIC_VFIO_CARD=verilated: seqnicd's card is the RTL.
test-vfio: setup
	@tools/test-vfio.sh

# Faults, fail-overs, reloads and restarts at random under traffic, for a while; books and memory are checked.
MINUTES ?= 20
soak:
	$(CARGO) run --quiet -p seqnic-soak -- run --minutes $(MINUTES)

# How long a fail-over takes, and what of it: on the card in memory, in real time, and on the verilated card, in the time
# of a card at 125 MHz (some minutes).
fail-over:
	$(CARGO) run --quiet -p seqnic-soak -- fail-over
	$(CARGO) run --quiet -p seqnic-soak -- fail-over --verilated --times 10

# Rule sets as large as a card takes, compiled and compared with the list rule by rule (docs/bench.md): some minutes.
full-acl:
	$(CARGO) test -p seqnic-random --test full_acl -- --ignored --nocapture

# What operators point at the daemon, as others read it: net-snmp asks our agent, smilint reads our module.
test-ops:
	@tools/setup-ops.sh
	@tools/test-ops.sh

# target/deb/seqnic_*.deb, for this machine's Debian or Ubuntu.
deb:
	@tools/setup-deb.sh
	@tools/deb.sh

# The package in a Debian made for it: installed, asked, removed, purged. Needs root.
test-deb: deb
	@tools/test-deb.sh

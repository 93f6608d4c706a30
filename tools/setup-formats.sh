#!/usr/bin/env bash
# Installs what `make test-formats` needs: tshark and scapy, from the system's packages.
set -euo pipefail

missing=()
command -v tshark >/dev/null 2>&1 || missing+=(tshark)
/usr/bin/python3 -c 'import scapy' 2>/dev/null || missing+=(python3-scapy)
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup-formats: these are missing and apt-get is not here to install them: ${missing[*]}" >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup-formats: as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "setup-formats: installing ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

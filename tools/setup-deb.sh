#!/usr/bin/env bash
# What building and judging the package needs beside tools/setup.sh.
set -euo pipefail
missing=()
want() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
want strip binutils
want dpkg-shlibdeps dpkg-dev
want lintian lintian
want mmdebstrap mmdebstrap
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "setup: installing ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Installs what a bare Debian 12/13 or Ubuntu 24.04 lacks. Does nothing where all is there.
set -euo pipefail

missing=()
want() { # want COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
want verilator verilator
want g++ g++
want clang++ clang
want make make
want yosys yosys
want iverilog iverilog
# The lab: real programs in network namespaces.
for folder in /usr/sbin /sbin; do case ":$PATH:" in *":$folder:"*) ;; *) PATH=$PATH:$folder ;; esac; done
want ip iproute2
want unshare util-linux
want nft nftables
want nginx nginx-light
want tcpdump tcpdump
want ethtool ethtool
want ping iputils-ping
want curl curl
[ -e /usr/include/zlib.h ] || missing+=(zlib1g-dev)

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is not on the PATH; install Rust 1.89 or later (rustup), then run this again" >&2
    exit 1
fi

[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: these are missing and apt-get is not here to install them: ${missing[*]}" >&2
    exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: as root, run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    sudo=sudo
fi
echo "setup: installing ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# What the peers of `seqnic bench soft`, `seqnic bench compile` and `seqnic bench acl` are built with. Debian 12/13, Ubuntu 24.04.
# Nothing else needs it.
set -euo pipefail
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    clang gcc g++ libbpf-dev linux-libc-dev libdpdk-dev pkg-config libcuckoo-dev

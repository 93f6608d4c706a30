#!/usr/bin/env bash
# What the tests of operations need beside tools/setup.sh: net-snmp (agent, tools, trap receiver), smilint, promtool,
# and the modules of SMIv2 itself, which Debian may not ship: they come with an npm package.
set -euo pipefail
cd "$(dirname "$0")/.."

for folder in /usr/sbin /sbin; do case ":$PATH:" in *":$folder:"*) ;; *) PATH=$PATH:$folder ;; esac; done
missing=()
want() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
want snmpd snmpd
want snmpwalk snmp
want snmptrapd snmptrapd
want smilint smitools
want promtool prometheus
want npm npm
if [ ${#missing[@]} -gt 0 ]; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "setup: installing ${missing[*]}"
    # Their daemons are not wanted, only their programs.
    policy=/usr/sbin/policy-rc.d
    made=""
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod 755 $policy
        made=yes
    fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    [ -z "$made" ] || $sudo rm -f $policy
fi

modules=${CARGO_TARGET_DIR:-target}/ops/mibs
if [ ! -e "$modules/SNMPv2-CONF" ]; then
    mkdir -p "$modules"
    packed=$(cd "$modules" && npm pack --silent net-snmp@3.29.2)
    tar -xzf "$modules/$packed" -C "$modules" --strip-components=3 package/lib/mibs
    rm "$modules/$packed"
    # smilint looks for a module by its name, without an ending.
    for file in "$modules"/*.mib; do mv "$file" "${file%.mib}"; done
fi

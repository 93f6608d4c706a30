#!/usr/bin/env bash
# Installs the programs the lab runs, from the system's packages (Debian 12 and 13, Ubuntu 24.04). Does nothing where all
# is there. Nothing of it is started as a service of this machine, neither now nor when it boots.
set -euo pipefail
for folder in /usr/sbin /sbin; do case ":$PATH:" in *":$folder:"*) ;; *) PATH=$PATH:$folder ;; esac; done

missing=()
want() { # want COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
want ip iproute2
want nft nftables
want ethtool ethtool
want nginx nginx-light
want tcpdump tcpdump
want curl curl
want ping iputils-ping
want openssl openssl
want iperf3 iperf3
want openvpn openvpn
want squid squid
want haproxy haproxy
want keepalived keepalived
want kea-dhcp4 kea-dhcp4-server
want udhcpc udhcpc
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
suricata=no
command -v suricata >/dev/null 2>&1 || suricata=yes

[ ${#missing[@]} -eq 0 ] && [ $suricata = no ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup-lab: these are missing and apt-get is not here to install them: ${missing[*]} suricata" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup-lab: run as root: $0" >&2
        exit 1
    fi
    exec sudo "$0" "$@"
fi

# Packages ask this before they start a service (Debian policy 9.3.3).
policy=/usr/sbin/policy-rc.d
before=$(mktemp)
systemctl list-unit-files --type=service --state=enabled --no-legend 2>/dev/null | cut -d' ' -f1 | sort >"$before" || true
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f $policy "$before"' EXIT
else
    trap 'rm -f "$before"' EXIT
fi
install() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "$@" >/dev/null
}
echo "setup-lab: installing ${missing[*]}$([ $suricata = no ] || echo " suricata")"
apt-get update -qq
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"

if [ $suricata = yes ]; then
    if apt-cache policy suricata | grep -q 'Candidate: [0-9]'; then
        install suricata
    else
        # Debian 12 has it in its backports only. Asked for this once: this machine's list of sources stays.
        . /etc/os-release
        sources=$(mktemp -d)
        chmod 755 "$sources"
        mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 -E '/debian/?$' || echo http://deb.debian.org/debian/)
        for suite in "$VERSION_CODENAME" "$VERSION_CODENAME-updates" "$VERSION_CODENAME-backports"; do
            echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
        done >"$sources/lab.list"
        mkdir -p "$sources/lists/partial"
        once=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$sources" -o "Dir::State::Lists=$sources/lists"
            -o APT::Sandbox::User=root)
        if ! { apt-get "${once[@]}" update -qq && install "${once[@]}" -t "$VERSION_CODENAME-backports" suricata; }; then
            echo "setup-lab: no suricata for this system; labs that want one say so ('ids: { tcpdump: [] }' in the lab file does without)" >&2
        fi
        rm -rf "$sources"
    fi
fi

# What the packages put among the services that start with the machine is taken out again.
if [ -d /run/systemd/system ]; then
    systemctl list-unit-files --type=service --state=enabled --no-legend | cut -d' ' -f1 | sort |
        comm -13 "$before" - | xargs -r systemctl disable --quiet
fi

#!/usr/bin/env bash
# Installs the newest package of target/deb in a Debian made for it, asks the programs, removes and purges it.
# Needs root. SEQNIC_SUITE: which Debian; packages come from this host's own sources.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
PATH=$PATH:/usr/sbin:/sbin
package=$(ls -t "$target"/deb/seqnic_*.deb | head -1)

echo "== lintian reads $package"
# Built without a source package, so what it says about those is not meant.
lintian --fail-on error --suppress-tags no-changelog "$package"

suite=${SEQNIC_SUITE:-$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)}
folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT
# The system is read by whoever is inside.
chmod 755 "$folder"
echo "== a bare $suite"
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do [ ! -s "$file" ] || sources+=("$file"); done
mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Sandbox::User "root"' "$suite" "$folder/system" "${sources[@]}"
inside() { chroot "$folder/system" "$@"; }

echo "== installed"
cp "$package" "$folder/system/seqnic.deb"
inside apt-get -o APT::Sandbox::User=root install -y -qq /seqnic.deb >/dev/null
inside seqnicd --check /etc/seqnic/seqnicd.yaml
inside seqnicd --version
inside seqnic check /usr/share/doc/seqnic/examples/fig07.yaml
inside seqnic-snmp --mib | cmp - host-driver/snmp/dist/SEQNIC-MIB.txt
inside test -s /usr/share/man/man8/seqnicd.8.gz
inside dpkg --verify seqnic

echo "== it runs, remembers, and is removed"
# Without ports: the shipped configuration names interfaces that are not there.
printf 'card: { software: {} }\nlinux: { taps: false }\n' >"$folder/system/etc/seqnic/seqnicd.yaml"
start() {
    chroot "$folder/system" seqnicd &
    daemon=$!
    for _try in $(seq 100); do
        inside seqnic status >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "seqnicd did not come up" >&2
    return 1
}
start
inside seqnic apply /usr/share/doc/seqnic/examples/fig07.yaml
kill "$daemon" && wait "$daemon"
inside dpkg --remove seqnic >/dev/null
inside test -s /var/lib/seqnic/applied.json
inside test -e /etc/seqnic/seqnicd.yaml
inside test ! -e /usr/bin/seqnicd
inside apt-get -o APT::Sandbox::User=root install -y -qq -o Dpkg::Options::=--force-confold /seqnic.deb >/dev/null
start
inside seqnic status | grep -q 'figure 7'
kill "$daemon" && wait "$daemon"
inside dpkg --purge seqnic >/dev/null
inside test ! -e /var/lib/seqnic
inside test ! -e /etc/seqnic
echo "the package installs, runs, is removed and purged"

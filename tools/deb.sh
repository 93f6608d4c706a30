#!/usr/bin/env bash
# Builds target/deb/seqnic_VERSION_ARCH.deb: seqnicd, seqnic, seqnic-snmp and what belongs to them.
#   SEQNIC_DEB_PROFILE=dev   from a debug build, to try the package out
#   SEQNIC_VERSION=1.2.3     otherwise the workspace's version and the number of commits
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
profile=${SEQNIC_DEB_PROFILE:-release}
built=$target/$profile
[ "$profile" != dev ] || built=$target/debug

"$cargo" build --quiet --profile "$profile" -p seqnic -p seqnic-daemon -p seqnic-snmp

version=${SEQNIC_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)+git$(git rev-list --count HEAD)}
# As Debian's own tools have it.
maintainer="${DEBFULLNAME:-SeqNIC} <${DEBEMAIL:-packages@seqnic.example}>"
arch=$(dpkg --print-architecture)
root=$target/deb/root
rm -rf "$root"
umask 022
mkdir -p "$root/DEBIAN"
put() { # put MODE FILE TO
    install -D -m "$1" "$2" "$root/$3"
}

for program in seqnic seqnicd seqnic-snmp; do
    put 755 "$built/$program" "usr/bin/$program"
    strip "$root/usr/bin/$program"
done
daemon=host-driver/daemon/dist
put 644 $daemon/seqnicd.yaml etc/seqnic/seqnicd.yaml
put 644 $daemon/seqnicd.service lib/systemd/system/seqnicd.service
put 644 host-driver/snmp/dist/seqnic-snmp.service lib/systemd/system/seqnic-snmp.service
put 644 $daemon/grafana.json usr/share/seqnic/grafana.json
put 644 $daemon/seqnic.rules.yml usr/share/seqnic/seqnic.rules.yml
put 644 host-driver/snmp/dist/SEQNIC-MIB.txt usr/share/snmp/mibs/SEQNIC-MIB.txt
for example in examples/*.yaml; do
    put 644 "$example" "usr/share/doc/seqnic/examples/$(basename "$example")"
done
put 644 tools/deb/copyright usr/share/doc/seqnic/copyright

# From the command lines themselves.
"$built/seqnic" man --out "$target/deb/man"
for page in "$target"/deb/man/*.1; do put 644 "$page" "usr/share/man/man1/$(basename "$page")"; done
mkdir -p "$root/usr/share/man/man8"
"$built/seqnicd" --man >"$root/usr/share/man/man8/seqnicd.8"
"$built/seqnic-snmp" --man >"$root/usr/share/man/man8/seqnic-snmp.8"
gzip -9n "$root"/usr/share/man/man*/*
complete() { # complete SHELL TO
    mkdir -p "$root/$(dirname "$2")"
    "$built/seqnic" completions "$1" >"$root/$2"
}
complete bash usr/share/bash-completion/completions/seqnic
complete zsh usr/share/zsh/vendor-completions/_seqnic
complete fish usr/share/fish/vendor_completions.d/seqnic.fish

{
    echo "seqnic ($version) unstable; urgency=medium"
    echo
    git log -1 --format='  * Built from commit %h of %cs; the repository has the changes.'
    echo
    echo " -- $maintainer  $(git log -1 --format=%cD)"
} | gzip -9n >"$root/usr/share/doc/seqnic/changelog.gz"

mkdir -p "$target/deb/debian"
printf 'Source: seqnic\n\nPackage: seqnic\nArchitecture: any\nDescription: x\n' >"$target/deb/debian/control"
programs=("$PWD/$root"/usr/bin/*)
[ "${root:0:1}" != / ] || programs=("$root"/usr/bin/*)
depends=$(cd "$target/deb" && dpkg-shlibdeps -O "${programs[@]}" | sed -n 's/^shlibs:Depends=//p')

cat >"$root/DEBIAN/control" <<CONTROL
Package: seqnic
Version: $version
Architecture: $arch
Maintainer: $maintainer
Section: net
Priority: optional
Depends: $depends
Suggests: snmpd, prometheus
Installed-Size: $(du -k -s --exclude=DEBIAN "$root" | cut -f1)
Description: packet sequencing (service function chaining) engine
 Directs the packets of services through sequences of devices, on a card or in
 software: seqnicd keeps the tables, answers exceptions and watches devices,
 seqnic compiles and applies definitions, seqnic-snmp shows all of it to snmpd.
CONTROL
echo /etc/seqnic/seqnicd.yaml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 "tools/deb/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) dpkg-deb --root-owner-group --build "$root" "$target/deb/seqnic_${version}_$arch.deb"

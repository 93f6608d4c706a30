#!/usr/bin/env bash
# Gets what a guest with an IOMMU and a vfio-user card needs: QEMU 10.1 or later, a kernel, a static shell.
# Nothing is installed: packages of Debian (a mirror of this system's, or SEQNIC_DEBIAN) are unpacked under
# target/vfio, about 60 MB to fetch. Does nothing where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/target/vfio
[ -e "$out/done" ] && exit 0

if [ "$(uname -m)" != x86_64 ]; then
    echo "setup-vfio: this is a machine of $(uname -m); the guest is one of x86_64" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "setup-vfio: apt-get and dpkg-deb are missing: QEMU and a kernel are fetched as packages of Debian" >&2
    exit 1
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
missing=()
command -v cpio >/dev/null || missing+=(cpio)
command -v xz >/dev/null || missing+=(xz-utils)
[ -e $keys ] || missing+=(debian-archive-keyring) # Ubuntu has it, too
if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        echo "setup-vfio: missing; as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
mirror=${SEQNIC_DEBIAN:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 -E '/debian/?$' || true)}
mirror=${mirror:-http://deb.debian.org/debian/}

# fetch ROOT PACKAGE SUITE... : the package of the last suite with all it depends on, into ROOT/archives
fetch() {
    local root=$out/$1 package=$2 suite
    shift 2
    mkdir -p "$root"/{lists,archives,etc}/partial
    : >"$root/status"
    : >"$root/sources"
    for suite in "$@"; do
        echo "deb [signed-by=$keys] $mirror $suite main" >>"$root/sources"
    done
    local apt=(apt-get -qq -o "Dir::State::Lists=$root/lists" -o "Dir::State::status=$root/status"
        -o "Dir::Cache=$root" -o "Dir::Cache::archives=$root/archives" -o "Dir::Etc::SourceList=$root/sources"
        -o "Dir::Etc::SourceParts=/dev/null" -o "Dir::Etc::Preferences=/dev/null" -o "Dir::Etc::PreferencesParts=/dev/null"
        -o "APT::Sandbox::User=$(id -un)" -o "APT::Architecture=amd64" -o "APT::Architectures=amd64"
        -o "Debug::NoLocking=1" --no-install-recommends)
    "${apt[@]}" update
    "${apt[@]}" -y -t "${*: -1}" --download-only install $package >/dev/null
}

echo "setup-vfio: fetching QEMU"
fetch qemu-packages qemu-system-x86 trixie trixie-backports
echo "setup-vfio: fetching a kernel"
fetch kernel-packages "linux-image-cloud-amd64 busybox-static lz4" bookworm

rm -rf "$out/qemu" "$out/kernel"
mkdir -p "$out/qemu" "$out/kernel"
for deb in "$out"/qemu-packages/archives/*.deb; do dpkg-deb -x "$deb" "$out/qemu"; done
for deb in "$out"/kernel-packages/archives/{linux-image-*cloud*,busybox-static*,lz4*,liblz4*}.deb; do
    dpkg-deb -x "$deb" "$out/kernel"
done

# The kernel itself out of the self-extracting image: under emulation unpacking it takes longer than booting.
image=$(ls "$out"/kernel/boot/vmlinuz-* | head -1)
unpacked() { # unpacked MAGIC COMMAND...
    local magic=$1 at
    shift
    for at in $(LC_ALL=C grep -aobP "$magic" "$image" | cut -d: -f1); do
        tail -c "+$((at + 1))" "$image" | "$@" >"$out/vmlinux" 2>/dev/null || true
        if [ "$(head -c 4 "$out/vmlinux" | od -An -tx1 | tr -d ' ')" = 7f454c46 ]; then return 0; fi
    done
    return 1
}
lz4() { LD_LIBRARY_PATH=$out/kernel/usr/lib/x86_64-linux-gnu "$out/kernel/usr/bin/lz4" "$@"; }
unpacked '\x02!L\x18' lz4 -dc || unpacked '\xfd7zXZ\x00' xz -dc || unpacked '\x28\xb5\x2f\xfd' zstd -dc || unpacked '\x1f\x8b\x08' gzip -dc || {
    echo "setup-vfio: no kernel found in $image" >&2
    exit 1
}
rm -rf "$out"/*-packages
touch "$out/done"

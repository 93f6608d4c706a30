#!/usr/bin/env bash
# Builds nextpnr-ecp5 with tools/synth/nextpnr-target-util.patch, which `seqnic-synth --route` wants, into target/synth/nextpnr,
# and says how to name it. From Debian's sources of nextpnr 0.11.1 and with Debian's database of the device: for a machine (or a
# chroot) with Debian sid, with a `deb-src` line for apt and root for what it installs. Ten minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
patch=$PWD/tools/synth/nextpnr-target-util.patch
folder=target/synth/nextpnr
built=$folder/build/nextpnr-ecp5

if [ ! -x "$built" ]; then
    version=$(apt-cache policy nextpnr-ecp5 | sed -n 's/^ *Candidate: //p')
    case "$version" in
    0.11.1*) ;;
    *)
        echo "setup-nextpnr: apt offers nextpnr-ecp5 ${version:-not at all}, and the patch is for 0.11.1, as in Debian sid;" \
            "apply $patch to yours and name it with SEQNIC_NEXTPNR_ECP5" >&2
        exit 1
        ;;
    esac
    echo "setup-nextpnr: installing what nextpnr is built with"
    apt-get install -y -qq --no-install-recommends nextpnr-ecp5="$version" cmake ninja-build g++ dpkg-dev patch \
        libboost-filesystem-dev libboost-iostreams-dev libboost-program-options-dev libboost-thread-dev libeigen3-dev python3-dev
    rm -rf "$folder"
    mkdir -p "$folder"
    cd "$folder"
    if ! apt-get source -qq --only-source "nextpnr=${version%+b[0-9]*}"; then
        echo "setup-nextpnr: apt-get source failed: a deb-src line is missing in /etc/apt/sources.list, or apt-get update" >&2
        exit 1
    fi
    cd nextpnr-0.11.1*/
    # The device's database is the package's.
    sed -i '/^foreach (device/,/^endforeach()/d' ecp5/CMakeLists.txt
    patch -p1 <"$patch"
    cmake -S . -B ../build -G Ninja -DCMAKE_BUILD_TYPE=Release -DARCH=ecp5 -DBUILD_PYTHON=OFF -DCURRENT_GIT_VERSION=0.11.1-target-util \
        -DIMPORT_BBA_FILES=/usr/share/nextpnr -DEXTERNAL_CHIPDB=ON -DEXTERNAL_CHIPDB_ROOT=/usr/share/nextpnr >../cmake.log
    ninja -C ../build nextpnr-ecp5
    cd ../../../..
fi
echo "export SEQNIC_NEXTPNR_ECP5=$PWD/$built"

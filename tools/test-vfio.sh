#!/usr/bin/env bash
# The card over the kernel's VFIO for real: a small guest under QEMU, with an emulated IOMMU, whose two PCI cards are
# processes of this host (vfio-user). In the guest a driver has a whole session with one, and seqnicd, asked by seqnic,
# with the other, whose ports are watched from outside.
#   SEQNIC_VFIO_CARD=verilated   seqnicd's card is the RTL: a minute more, and its build the first time
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup-vfio.sh
cargo=${CARGO:-cargo}
vfio=$PWD/target/vfio
built=${CARGO_TARGET_DIR:-$PWD/target}
kind=${SEQNIC_VFIO_CARD:-memory}
# How long the guest may live, and anything in it may take.
if [ "$kind" = memory ]; then seconds=240 patience=60; else seconds=1500 patience=400; fi
work=$(mktemp -d)
cards=()
cleanup() {
    for card in "${cards[@]}"; do kill "$card" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

"$cargo" build --quiet -p seqnic-vfio-test -p seqnic-daemon -p seqnic --bins

# The guest's whole system: a shell, the modules of VFIO and TAP devices, the programs, and what starts them.
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,modules,run,tmp}
cp "$(find "$vfio/kernel" -path '*bin/busybox' | head -1)" "$root/bin/busybox"
# The programs with this host's libraries, at the same places.
for program in seqnic-vfio-test seqnicd seqnic; do
    strip -o "$root/bin/$program" "$built/debug/$program"
    for library in $(ldd "$built/debug/$program" | grep -o '/[^ ]*'); do
        [ -e "$root$library" ] || install -D "$library" "$root$library"
    done
done
modules=""
for name in irqbypass vfio vfio_virqfd vfio_iommu_type1 vfio-pci-core vfio-pci tun; do
    file=$(find "$vfio/kernel" -name "$name.ko*" | head -1)
    [ -n "$file" ] || continue # vfio_virqfd is a part of vfio in later kernels
    cp "$file" "$root/modules/"
    modules="$modules /modules/$(basename "$file")"
done
cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in $modules; do insmod \$m || echo "FAIL no module \$m"; done
mkdir -p /dev/net
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
# The line to the outside carries bytes as they are.
stty -F /dev/ttyS1 raw -echo
for d in /sys/bus/pci/devices/*; do
    if [ "\$(cat \$d/vendor) \$(cat \$d/device)" = "0x10ee 0x5e9c" ]; then
        a=\$(basename \$d)
        echo vfio-pci > \$d/driver_override
        echo \$a > /sys/bus/pci/drivers_probe
        echo "card at \$a, \$(cut -d' ' -f1 /proc/uptime) s after power on"
        case \$a in
            *:04.0) mkdir -p /run/seqnic; seqnic-vfio-test daemon \$a /dev/ttyS1 /run/seqnic /bin $patience ;;
            *) seqnic-vfio-test drive \$a ;;
        esac
    fi
done
echo END
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$work/initrd"

serve() { # serve SOCKET ARGUMENTS...
    local socket=$1
    "$built/debug/seqnic-vfio-test" "${@:2}" >>"$work/cards.log" 2>&1 &
    cards+=($!)
    for _try in $(seq 6000); do # the verilated card may have to be built
        [ ! -S "$socket" ] || return 0
        kill -0 "${cards[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    echo "test-vfio: no card at $socket:" >&2
    cat "$work/cards.log" >&2
    return 1
}
serve "$work/driver.sock" serve "$work/driver.sock"
serve "$work/outside.sock" world "$work/card.sock" "$work/outside.sock" "$kind"

card() { # card SOCKET SLOT
    echo "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$1\"},\"bus\":\"pcie.0\",\"addr\":\"$2\",\"x-msg-timeout\":60000}"
}
# QEMU of another release runs with the libraries it came with.
lib=$vfio/qemu/usr/lib/x86_64-linux-gnu
log=$work/guest.log
since=$SECONDS
timeout "$seconds" "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$vfio/qemu/usr/bin/qemu-system-x86_64" \
    -L "$vfio/qemu/usr/share/qemu" -L "$vfio/qemu/usr/share/seabios" \
    -nodefaults -no-user-config -display none -no-reboot \
    -machine q35,accel=tcg -cpu qemu64 -smp 1 -m 512M \
    -object memory-backend-memfd,id=ram0,size=512M,share=on -machine memory-backend=ram0 \
    -device intel-iommu,intremap=on,caching-mode=on \
    -device "$(card "$work/card.sock" 0x4)" -device "$(card "$work/driver.sock" 0x5)" \
    -kernel "$vfio/vmlinux" -initrd "$work/initrd" -serial "file:$log" \
    -chardev "socket,id=outside,path=$work/outside.sock" -serial chardev:outside \
    -append "console=ttyS0 intel_iommu=on iommu=nopt panic=-1 quiet nokaslr mitigations=off" ||
    echo "test-vfio: QEMU ended with $?" >&2
tr -d '\r' <"$log"
passed=$(grep -c '^PASS' "$log" || true)
echo "test-vfio: $passed checks passed in a guest of $((SECONDS - since)) s, card $kind"
# 11 of the daemon and the driver's session: fewer means that the guest did not come to its end.
if grep -q '^FAIL' "$log" || [ "$passed" -ne 12 ] || ! grep -q '^END' "$log"; then
    sed 's/^/card: /' "$work/cards.log" >&2
    echo "test-vfio: a session in the guest failed" >&2
    exit 1
fi

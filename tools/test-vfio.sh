#!/usr/bin/env bash
# The driver over the kernel's VFIO for real: a small guest under QEMU, with an emulated IOMMU, whose PCI card is
# a process of this host (vfio-user). In the guest runs a driver's whole session over /dev/vfio.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup-vfio.sh
cargo=${CARGO:-cargo}
vfio=$PWD/target/vfio
work=$(mktemp -d)
card=""
cleanup() {
    [ -z "$card" ] || kill "$card" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# Static: the guest has no libraries. An explicit target keeps these flags away from build scripts.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" "$cargo" build --quiet -p seqnic-vfio-test --target "$target" \
    --target-dir target/vfio/build
program=$vfio/build/$target/debug/seqnic-vfio-test

# The guest's whole system: a shell, the modules of VFIO, the program, and what starts it.
root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,lib}
cp "$(find "$vfio/kernel" -path '*bin/busybox' | head -1)" "$root/bin/busybox"
cp "$program" "$root/bin/drive"
modules=""
for name in irqbypass vfio vfio_virqfd vfio_iommu_type1 vfio-pci-core vfio-pci; do
    file=$(find "$vfio/kernel" -name "$name.ko*" | head -1)
    [ -n "$file" ] || continue # vfio_virqfd is a part of vfio in later kernels
    cp "$file" "$root/lib/"
    modules="$modules /lib/$(basename "$file")"
done
cat >"$root/init" <<INIT
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc
\$b mount -t sysfs sysfs /sys
\$b mount -t devtmpfs dev /dev
for m in $modules; do \$b insmod \$m || echo "FAIL no module \$m"; done
for d in /sys/bus/pci/devices/*; do
    if [ "\$(\$b cat \$d/vendor) \$(\$b cat \$d/device)" = "0x10ee 0x5e9c" ]; then
        a=\$(\$b basename \$d)
        echo vfio-pci > \$d/driver_override
        echo \$a > /sys/bus/pci/drivers_probe
        echo "card at \$a"
        /bin/drive drive \$a
    fi
done
echo END
\$b poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd.gz"

"$program" serve "$work/card.sock" >"$work/card.log" 2>&1 &
card=$!
for _ in $(seq 100); do
    [ -S "$work/card.sock" ] && break
    sleep 0.05
done

# QEMU of another release runs with the libraries it came with.
lib=$vfio/qemu/usr/lib/x86_64-linux-gnu
log=$work/guest.log
timeout 240 "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$vfio/qemu/usr/bin/qemu-system-x86_64" \
    -L "$vfio/qemu/usr/share/qemu" -L "$vfio/qemu/usr/share/seabios" \
    -nodefaults -no-user-config -display none -no-reboot \
    -machine q35,accel=tcg -cpu qemu64 -smp 1 -m 512M \
    -object memory-backend-memfd,id=ram0,size=512M,share=on -machine memory-backend=ram0 \
    -device intel-iommu,intremap=on,caching-mode=on \
    -device "{\"driver\":\"vfio-user-pci\",\"socket\":{\"type\":\"unix\",\"path\":\"$work/card.sock\"},\"bus\":\"pcie.0\",\"addr\":\"0x4\",\"x-msg-timeout\":60000}" \
    -kernel "$vfio/vmlinux" -initrd "$work/initrd.gz" -serial "file:$log" \
    -append "console=ttyS0 intel_iommu=on iommu=nopt panic=-1 quiet nokaslr mitigations=off" ||
    echo "test-vfio: QEMU ended with $?" >&2
tr -d '\r' <"$log"
grep -q '^PASS' "$log" && ! grep -q '^FAIL' "$log" || {
    echo "test-vfio: the guest's session failed" >&2
    exit 1
}

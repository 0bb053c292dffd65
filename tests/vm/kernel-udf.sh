#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Linux kernel mounts each IMAGE as UDF, shows the right owners and reads every file equal to
# its line in varve/SHA256SUMS. Without arguments: images made from a small tree by mkdisc (MKDISC).
# A QEMU guest without KVM, no root needed. VM_ROOT: where /boot and /lib/modules of a kernel
# package lie (default /). If QEMU, busybox or kernel are missing: a skipped test, or 77 with images.
set -u
if [ $# -eq 0 ]; then skipped=0; else skipped=77; fi
skip() {
    echo "1..0 # SKIP $1"
    exit $skipped
}
root=${VM_ROOT:-}
for tool in qemu-system-x86_64 cpio gzip; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
busybox=$(command -v busybox) || skip "busybox is not installed"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static"; fi
for kernel in "$root"/boot/vmlinuz-*; do :; done # the newest by name
[ -r "$kernel" ] || skip "no readable kernel under $root/boot"
modules=$root/lib/modules/${kernel##*/vmlinuz-}
[ -d "$modules" ] || skip "no modules for $kernel"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
if [ $# -eq 0 ]; then
    [ -x "${MKDISC:-}" ] || skip "no image given and no MKDISC"
    mkdir -p "$work/tree/a/b" "$work/tree/empty"
    i=0
    while [ $i -lt 40 ]; do
        head -c $((i * 997)) /dev/urandom >"$work/tree/a/b/file $i.dat"
        i=$((i + 1))
    done
    head -c 3000000 /dev/urandom >"$work/tree/文件.bin"
    ln "$work/tree/文件.bin" "$work/tree/a/hard"
    "$MKDISC" "$work/tree" "$work/data.img" "$work/parity.img" >"$work/mkdisc.out" || exit 1
    set -- "$work/data.img" "$work/parity.img"
fi

guest=$work/root
list="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk crc-itu-t cdrom udf"
mkdir -p "$guest/bin" "$guest/mods" "$guest/mnt" "$guest/proc" "$guest/sys" "$guest/dev"
cp "$busybox" "$guest/bin/busybox"
for module in $list; do # one that is built in has no file
    find "$modules" -name "$module.ko" -exec cp {} "$guest/mods/" \;
done
cat >"$guest/init" <<X
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
for m in $list; do [ -e /mods/\$m.ko ] && insmod /mods/\$m.ko; done
for d in /dev/vd?; do
    if mount -t udf -o ro \$d /mnt; then
        cd /mnt
        bad=\$(sha256sum -c varve/SHA256SUMS 2>&1 | grep -vc ': OK\$')
        echo "RESULT \$d mounted files=\$(find . -type f | wc -l) sums=\$(wc -l <varve/SHA256SUMS) bad=\$bad"
        cd /; umount /mnt
    else
        echo "RESULT \$d refused"
    fi
    dmesg -c | grep -i udf-fs
done
poweroff -f
X
chmod +x "$guest/init"
(cd "$guest" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz" || exit 1

drives=""
for image in "$@"; do
    cp --reflink=auto "$image" "$work/vm$(echo "$drives" | wc -w).img" 2>/dev/null || exit 1
    drives="$drives -drive file=$work/vm$(echo "$drives" | wc -w).img,format=raw,if=virtio,readonly=on"
done
# shellcheck disable=SC2086 # a list of words
timeout "${VM_SECONDS:-300}" qemu-system-x86_64 -machine pc,accel=tcg -cpu max -m 384 -nographic \
    -no-reboot -nodefaults -serial stdio -kernel "$kernel" -initrd "$work/initrd.gz" \
    -append "console=ttyS0 quiet loglevel=4 panic=-1 tsc=unstable" $drives \
    </dev/null >"$work/console" 2>&1

echo "1..$#"
number=0
status=0
for image in "$@"; do
    line=$(tr -d '\r' <"$work/console" | grep -o 'RESULT .*' | sed -n "$((number + 1))p")
    number=$((number + 1))
    case $line in
    *" mounted "*" bad=0") echo "ok $number - ${image##*/}: ${line#RESULT }" ;;
    *)
        echo "not ok $number - ${image##*/}: ${line:-no answer}"
        tail -5 "$work/console" | sed 's/^/# /'
        status=1
        ;;
    esac
done
exit $status

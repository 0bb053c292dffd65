#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each disc of sets that were burned through the mount, data and parity, is right for every tool that
# knows UDF and is not ours: 7-Zip, udftools, udfclient, libudfread; and what they read is what was
# copied in. With --vm: the kernel of a QEMU guest mounts three of them too.
# usage: judges.sh VARVE UDFCAT [--vm]   (TAP)
set -u
varve=$(realpath "$1") udfcat=$(realpath "$2") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
for tool in 7z udfinfo udfdump sha256sum ${3:+qemu-system-x86_64 busybox cpio}; do
    command -v $tool >/dev/null || skip_all "$tool is not installed"
done
# Names are bytes: what the tools print and unpack must not depend on who runs the test.
export LC_ALL=C.UTF-8
make_work judges
archive=$work/archive mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src" "$work/hashes" "$work/parts"
real_files "$src/usr" 300
hostile_files "$src"
mkdir "$src/big"
head -c 24000001 /dev/urandom >"$src/big/split"
head -c 9000000 /dev/urandom >"$src/big/nine"

make_sets() {
    "$varve" init "$archive" --library virtual --media 16MiB --slots 15 --drives 2 --set 2+1 &&
        "$varve" mount "$archive" "$mnt" && cp -a "$src/." "$mnt/" &&
        "$varve" archive "$mnt" --wait
}
hashes_of() { find "$1" -type f "${@:2}" -print0 | xargs -0 sha256sum | sed 's/^\\//' | cut -c 1-64 | sort; }
no_warning() { ! 7z t "$1" | grep -Ei 'warning|error'; }
unpack() { 7z x -y -o"$work/unpacked" "$1"; }
sums_are_right() { cd "$work/unpacked" && sha256sum --strict --quiet -c varve/SHA256SUMS; }
sums_are_complete() { # all files but the list itself and the one that may come after it
    local listed there
    listed=$(wc -l <"$work/unpacked/varve/SHA256SUMS")
    there=$(find "$work/unpacked" -type f -printf x | wc -c)
    [ $((there - listed)) -le 3 ] || {
        echo "$there files, $listed sums"
        return 1
    }
}
info_says() { udfinfo "$1" 2>/dev/null | tee /dev/stderr | grep -qx "$2"; }
dump_lists() { udfdump -t -b 2048 "$1" | grep -q Rootdir/varve/README.txt; }
udfread_reads_the_same() {
    "$udfcat" "$1" >"$work/udfread" || return 1
    diff <(cut -c 1-64 "$work/udfread" | sort) <(hashes_of "$work/unpacked")
}
keep() { # what this disc gives: hashes of whole files, and parts
    hashes_of "$work/unpacked" ! -path "$work/unpacked/varve/*" >"$work/hashes/$1"
    find "$work/unpacked/big" -name 'split.part-*' -exec mv {} "$work/parts/" \; 2>/dev/null
}
all_files_were_read() {
    local missing
    cat "$work"/parts/* | sha256sum | cut -c 1-64 >"$work/hashes/joined"
    missing=$(comm -23 <(hashes_of "$src" -size +0 | sort -u) <(sort -u "$work"/hashes/*))
    equal "" "$missing"
}

ok "sets are made through the mount" make_sets
mapfile -t discs < <(discs_where '.state == "sealed"')
"$varve" set list "$archive" | sed 's/^/# /'
ok "two sets or more" test ${#discs[@]} -ge 6
for disc in "${discs[@]}"; do
    image=$(image_of "$disc")
    rm -rf "$work/unpacked"
    ok "$disc: 7z finds no fault" 7z t "$image"
    ok "$disc: 7z gives no warning" no_warning "$image"
    ok "$disc: udfinfo shows UDF 2.50" info_says "$image" "udfrev=2.50"
    ok "$disc: udfinfo finds it closed" info_says "$image" "integrity=closed"
    ok "$disc: udfdump lists the tree" dump_lists "$image"
    ok "$disc: 7z unpacks it" unpack "$image"
    ok "$disc: SHA256SUMS is right" sums_are_right
    ok "$disc: SHA256SUMS is complete" sums_are_complete
    ok "$disc: libudfread and 7z read the same" udfread_reads_the_same "$image"
    keep "$disc"
done
ok "every file of the source was read from a disc, the split one in $(find "$work/parts" -type f | wc -l) parts" all_files_were_read
ok "umount" "$varve" umount "$mnt"
kernel_mounts_them() {
    "$here/../vm/kernel-udf.sh" "$(image_of "${discs[0]}")" "$(image_of "${discs[1]}")" \
        "$(image_of "${discs[-1]}")" >"$work/vm"
}
if [ "${3:-}" = --vm ]; then
    ok "a Linux kernel mounts three of them and reads all files" kernel_mounts_them
    sed 's/^/# /' "$work/vm"
fi
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What programs see on a mount is what they see on ext4: results, errors and states of the same operations.
# posix.sh [SEED [COUNT]]: COUNT random sequences of 60 operations more (docs/testing.md).
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
[ -w /dev/fuse ] || skip_all "needs /dev/fuse"
needs python3 mkfs.ext4
mountvfs=${VARVE_MOUNTVFS:?names the program tests/lib/mountvfs}

make_work posix
chmod 755 "$work" # the users of the test pass through it
m=$work/mnt plain=$work/plain
mkdir "$m" "$plain"
unmount_at_exit "$plain"
unmount_at_exit "$m"
truncate -s 512M "$work/image" && mkfs.ext4 -q -b 4096 -O ea_inode "$work/image" &&
    mount -o loop,relatime "$work/image" "$plain" 2>"$work/loop.log" || skip_all "no ext4 to compare with: $(tail -n 1 "$work/loop.log")"
"$mountvfs" "$work/archive" "$m" 2>"$work/server.log" &
until_true 20 is_mounted "$m" || skip_all "cannot mount"
mkdir "$m/a" "$plain/a"

# judge FAMILY ARGUMENTS: runs the differ; its lines are ours.
judge() {
    "$here/posix/differ.py" "$m/a" "$plain/a" "$@" >"$work/tap"
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            tap_count=$((tap_count + 1))
            [ "${line%% *}" = ok ] || tap_failed=$((tap_failed + 1))
            sed "s/^\(ok\|not ok\) [0-9]*/\1 $tap_count/" <<<"$line"
            ;;
        "1.."*) ended=yes ;;
        *) echo "$line" ;;
        esac
    done <"$work/tap"
}
for table in "$here"/posix/*.cases; do
    ended=no
    judge table "$table"
    ok "all of ${table##*/} were run" equal yes $ended
done
ended=no
judge random "${1:-1}" "${2:-60}"
ok "random sequences came to their end" equal yes $ended
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every kind of disc is burned, released and read by a whole archive, with drives that behave as in
# the field; discs that fail cost no file, and the log tells library, drive, disc and what to do.
# usage: disc-faults.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work disc-faults
mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
real_files "$src/usr" 60
head -c 5000001 /dev/urandom >"$src/five"

# make_archive KIND: blanks of that kind; faults on standard input.
make_archive() {
    archive=$work/${1//[ +]/plus}
    "$varve" init "$archive" --name faults --library virtual --media 16MiB --slots 8 --drives 2 --set 1+1 || return 1
    sed -i "s/\"kind\": \"BD-R SRM\"/\"kind\": \"$1\"/" "$archive"/library/library.json "$archive"/library/discs/*.json
    cat >"$archive/library/faults.txt" <<<"$2"
}
burn_and_release() {
    cp -a "$src/." "$mnt/" && "$varve" archive "$mnt" --wait && "$varve" release "$mnt"
}
log_says() { # log_says WORDS...: all of them in one message
    local word
    cp "$archive/varve.log" "$work/log"
    for word in "$@"; do
        grep -A1 -F -- "$word" "$work/log" >"$work/log2" && mv "$work/log2" "$work/log" || {
            echo "no message with '$word'"
            cat "$archive/varve.log"
            return 1
        }
    done
}
state_is() { equal "$2" "$("$varve" disc list "$archive" --json | jq -r ".discs[] | select(.barcode == \"$1\") | .state")"; }

field="quirk rom-profile
quirk nwa-negative
quirk capacity-padded
quirk no-di
quirk no-reserve
quirk long-write"
for kind in "BD-RE" "DVD+R" "DVD-R"; do
    ok "$kind: init" make_archive "$kind" "${field/quirk no-reserve/}"
    ok "$kind: mount" "$varve" mount "$archive" "$mnt"
    ok "$kind: archive and release" burn_and_release
    ok "$kind: two discs are sealed" status_is .discs.sealed 2
    ok "$kind: no disc failed" status_is '.discs.failed + .discs.suspect + .discs.lost + .discs.foreign' 0
    ok "$kind: read from the discs" same_tree "$src" "$mnt"
    ok "$kind: scrub" "$varve" scrub "$archive" --wait
    ok "$kind: umount" "$varve" umount "$mnt"
    ok "$kind: check" clean_check
done

# Faults 22, 21, 25 and 19 on the first four blanks, at once.
ok "faults: init" make_archive "BD-R SRM" "$field
now defect VRV00001 64..80 write
on drive any write disc VRV00002 always: sense 3/73/03
on drive any close disc VRV00003 always: sense 3/72/00
now trouble VRV00004 reversed"
ok "faults: mount" "$varve" mount "$archive" "$mnt"
ok "faults: archive and release" burn_and_release
ok "faults: two discs are sealed" status_is .discs.sealed 2
ok "faults: read from the discs" same_tree "$src" "$mnt"
ok "22: a disc with a write error is scrapped" state_is VRV00001 failed
ok "... and the log says where it ended" log_says "disc 'VRV00001' failed and is scrapped" "library 'main', drive" "(element 25" "write error (3/0c/00)" "clusters were acknowledged"
ok "21: a disc that takes no laser power is scrapped" state_is VRV00002 failed
ok "... and the log says what to do" log_says "disc 'VRV00002' failed and is scrapped" "library 'main', drive" "power calibration area error (3/73/03)" "drive"
ok "25: a disc that does not close is kept" state_is VRV00003 sealed
ok "... and the log says that others may not read it" log_says "disc 'VRV00003' reads back equal and is kept" "library 'main', drive" "could not close it"
ok "19: a disc upside down is not used" fails state_is VRV00004 sealed
ok "... and the log says what to look at" log_says "VRV00004" "library 'main', drive" "which side is up"
ok "faults: umount" "$varve" umount "$mnt"
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disc that was exported from a changer is put on a shelf, found by its place, brought to a drive
# without changer by a person, and serves there: two kinds of libraries in one archive.
# usage: desk.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work desk
archive=$work/archive mnt=$work/mnt src=$work/source shelf=$work/shelf
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
head -c 3000000 /dev/urandom >"$src/file"

make_archive() {
    "$varve" init "$archive" --library virtual --media 16MiB --slots 6 --drives 1 --set 1+0 &&
        "$varve" init "$work/other" --library virtual --media 16MiB --slots 6 --drives 2 --set 1+0 &&
        mv "$work/other/library" "$shelf" &&
        set_key head 1K && cat >>"$archive/varve.conf" <<CONF

[library desk]
kind = manual
drive = virtual:$shelf#1
burn = no
CONF
}
disc_is() { equal "$3" "$("$varve" disc show "$1" --archive "$archive" --json | jq -r ".disc.$2")"; }
is_asked_for() { [ "$("$varve" library requests --archive "$archive" --json | jq -r '.requests[] | select(.drive == 0) | .barcode')" = "$1" ]; }
# The plastic goes from the changer's mail slot to the shelf.
carry() {
    cp "$archive/library/discs/$1".* "$shelf/discs/" &&
        jq --arg disc "$1" '.discs |= map(select(.barcode != $disc))' "$archive/library/library.json" >"$work/json" &&
        cp "$work/json" "$archive/library/library.json" &&
        jq --arg disc "$1" '.discs |= [.[] | select(.element != 1024)] + [{barcode: $disc, element: 1024, written: true}]' \
            "$shelf/library.json" >"$work/json" && cp "$work/json" "$shelf/library.json"
}
start_reading() {
    (cat "$mnt/file" >"$work/got" 2>"$work/error"; echo $? >"$work/status") &
}

ok "init" make_archive
ok "mount" "$varve" mount "$archive" "$mnt"
ok "two kinds of libraries" says "desk +manual" "$varve" library list "$archive"
ok "copy in" cp "$src/file" "$mnt/"
ok "archive: burned in the changer" "$varve" archive --wait "$mnt/file"
ok "release" "$varve" release "$mnt/file"
disc=$(discs_where '.state == "sealed"')
not_ok "what is in the changer cannot be taken elsewhere" "$varve" disc checkout "$disc" --to attic --archive "$archive"
ok "... and is where it was" disc_is "$disc" state sealed
ok "export" "$varve" library export "$disc" --archive "$archive"
ok "... it is offline" disc_is "$disc" state offline
ok "... a place for it" "$varve" disc place "$disc" "shelf B" --archive "$archive"
ok "... the estimate names it" says "shelf B" getfattr --only-values -n user.varve.eta "$mnt/file"
ok "umount" "$varve" umount "$mnt"
ok "somebody carries it" carry "$disc"
ok "mount again" "$varve" mount "$archive" "$mnt"
ok "checkin: at hand at the desk" "$varve" disc checkin "$disc" --archive "$archive"
ok "... sealed" disc_is "$disc" state sealed
ok "... in library desk" disc_is "$disc" library desk
start_reading
ok "a read asks the person" until_true 10 is_asked_for "$disc"
ok "... with the place" says "put disc $disc \\(shelf B\\) into drive 0" "$varve" status "$archive"
ok "... who brings it" "$here/../lib/hands" "$shelf" 1 insert "$disc"
ok "... and it serves" until_true 20 test -s "$work/status"
ok "... every byte" cmp "$work/got" "$src/file"
ok "blanks at the desk are not burned" says "labelled VRV00007" "$varve" library add-blanks 1 --library desk --media 16MiB --archive "$archive"
ok "another file" cp "$src/file" "$mnt/second"
ok "... is burned in the changer" "$varve" archive --wait "$mnt/second"
ok "umount" "$varve" umount "$mnt"
ok "check finds nothing" clean_check
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An archive whose only library is one drive and a person: each disc is asked for by its label, a
# wrong one is given back with what it is, the right one serves, one that is elsewhere is told of and
# not waited for, and every byte comes back.
# usage: manual.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work manual
archive=$work/archive mnt=$work/mnt src=$work/source shelf=$work/shelf
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
head -c 9000000 /dev/urandom >"$src/first"
head -c 9000000 /dev/urandom >"$src/second"
head -c 300000 /dev/urandom >"$src/third"

# The shelf is the folder of a virtual library of which only the drive is used: its discs F00001 ...
# are the plastic; which label each gets is known when it is burned.
make_archive() {
    "$varve" init "$work/other" --library virtual --media 16MiB --slots 8 --drives 1 --set 1+1 &&
        mv "$work/other/library" "$shelf" &&
        "$varve" init "$archive" --name desk --library none --media 16MiB --set 2+1 &&
        set_key head 1K && cat >>"$archive/varve.conf" <<CONF

[library desk]
kind = manual
drive = virtual:$shelf#0
media = 16MiB
labels = D-
ask_reminder = 1s
ask_command = echo "\$VARVE_EVENT \$VARVE_DISC \$VARVE_DRIVE: \$VARVE_TEXT" >>$work/told
CONF
}
hands() { "$here/../lib/hands" "$shelf" 0 "$@"; }
swap() { hands swap "$1"; }
requests() { "$varve" library requests --archive "$archive" --json | jq -r ".requests[] | $1"; }
request_is() { equal "$2" "$(requests "$1")"; } # request_is QUERY WANTED
is_asked_for() { [ "$(requests 'select(.drive == 0) | .barcode')" = "$1" ]; }
nothing_is_asked() { [ -z "$(requests .barcode)" ]; }
told() { until_true 10 grep -Eq -- "$1" "$work/told"; }
# The plastic that a label was written on.
plastic_of() {
    local disc
    for disc in "$shelf"/discs/*.img; do
        [ "$(labels_of "$disc")" = "$1" ] && basename "$disc" .img && return 0
    done
    return 1
}
declare -A label_of=()
labels_of() { echo "${label_of[$(basename "$1" .img)]:-}"; }
# Gives a blank each time one is asked for, until three discs are sealed; notes what became of which.
feed_blanks() {
    local number=$1 label last=
    for ((tries = 600; tries > 0; tries--)); do
        [ "$(status_of .discs.sealed)" -lt 3 ] || return 0
        label=$(requests 'select(.drive == 0 and .blank) | .barcode')
        if [ -n "$label" ] && [ "$label" != "$last" ]; then
            number=$((number + 1))
            if [ $number -eq 1 ]; then hands insert VRV00001; else swap "VRV0000$number"; fi || return 1
            label_of[VRV0000$number]=$label last=$label
        fi
        sleep 0.1
    done
    return 1
}
# The first blank is burned; then the daemon is killed while it asks for the next one.
archive_begins() {
    "$varve" archive --wait "$mnt"/* >"$work/archive.log" 2>&1 &
    until_true 20 is_asked_for D-00001 && hands insert VRV00001 && label_of[VRV00001]=D-00001 &&
        until_true 20 is_asked_for D-00002 && kill -9 "$(status_of .pid)"
    wait
    ! is_mounted "$mnt" || umount -l "$mnt"
}
archive_ends() { feed_blanks 1 && until_true 20 status_is .sets.sealed 1; }
disc_is() { equal "$3" "$("$varve" disc show "$1" --archive "$archive" --json | jq -r ".disc.$2")"; }
label_with() { # label_with FILE: the disc that it is on
    "$varve" ls "$mnt/$1" --json | jq -r '.files[0].discs[0]'
}
start_reading() { # start_reading NAME: in the background, its bytes to got-NAME
    rm -f "$work/status-$1"
    (cat "$mnt/$1" >"$work/got-$1" 2>"$work/error-$1"; echo $? >"$work/status-$1") &
    readers[$1]=$!
}
declare -A readers=()
insert_unasked() { # insert_unasked PLASTIC LABEL: nobody looks at the drive but the verb
    swap "$1" &
    local person=$!
    until_true 5 test -e "$shelf/hands-0" &&
        says "drive 0 has disc $2" "$varve" library insert 0 --archive "$archive" && wait $person
}
# Gives what is asked for until nothing is.
serve_all() {
    local label last=
    for ((tries = 300; tries > 0; tries--)); do
        label=$(requests 'select(.drive == 0) | .barcode')
        [ -n "$label" ] || [ -n "$(requests .barcode)" ] || [ ! -s "$work/status-$1" ] || return 0
        if [ -n "$label" ] && [ "$label" != "$last" ]; then
            swap "$(plastic_of "$label")" || return 1
            last=$label
        fi
        sleep 0.1
    done
    return 1
}
read_ends() { # read_ends NAME STATUS
    until_true 30 test -s "$work/status-$1" && equal "$2" "$(cat "$work/status-$1")"
}
reads_well() { read_ends "$1" 0 && cmp "$work/got-$1" "$src/$1"; }

ok "init" make_archive
ok "policy check takes the configuration" "$varve" policy check "$archive"
ok "mount" "$varve" mount "$archive" "$mnt"
ok "copy in" cp -a "$src/." "$mnt/"
not_ok "no blank is there before somebody has some" "$varve" archive --wait "$mnt/third"
ok "the person has four blanks" says "D-00001 D-00002 D-00003 D-00004" \
    "$varve" library add-blanks 4 --place "spindle" --archive "$archive"
ok "a set of 2+1 is begun, a blank asked for at a time" archive_begins
ok "after kill -9 in between" "$varve" mount "$archive" "$mnt"
ok "... the disc that is still in the drive is known and given back" until_true 20 request_is .problem "it is disc D-00001"
ok "... and the set is burned to its end" archive_ends
ok "... three discs are sealed" equal "D-00001 D-00002 D-00003" "$(discs_where '.state == "sealed"' | xargs)"
ok "... the person was asked for a blank" told '^ask D-00001 0: put a fresh blank disc into drive 0: it becomes D-00001 \(spindle\)$'
ok "... and told what to write on it" told '^label D-00001 0: the disc in drive 0 is burned and verified: write D-00001 on it'
ok "shelves are noted" "$varve" disc place D-00001 D-00002 D-00003 "shelf A / box 3" --archive "$archive"
ok "... and listed" says "D-00002.*shelf A / box 3" "$varve" disc list "$archive"
ok "release" "$varve" release "$mnt"/*
ok "nothing is asked for" nothing_is_asked
ok "unload gives the last disc back" "$varve" library unload 0 --archive "$archive"

first=$(label_with first) second=$(label_with second)
[ "$first" = D-00001 ] && wrong=D-00002 || wrong=D-00001
start_reading first
ok "a read asks for its disc" until_true 10 is_asked_for "$first"
ok "... by label and place" told "^ask $first 0: .*put disc $first \\(shelf A / box 3\\) into drive 0$"
ok "... in the status, too" says "waits for a person: .*put disc $first" "$varve" status "$archive"
ok "... and again" told "^remind $first"
ok "a blank is given back" swap VRV00008
ok "... with what it is" until_true 10 request_is .problem "it is blank"
ok "another disc is given back" swap "$(plastic_of "$wrong")"
ok "... by its name" until_true 10 request_is .problem "it is disc $wrong"
ok "... and the person is told" told "^wrong $first 0: put disc $first .*it is disc $wrong"
ok "the right one comes" swap "$(plastic_of "$first")"
ok "... and the read ends well" reads_well first
ok "... nothing is asked for any more" until_true 10 nothing_is_asked

start_reading second
ok "the next one is asked for" until_true 10 is_asked_for "$second"
parity=$(discs_where '.state == "sealed"' | grep -v -e "$first" -e "$second")
"$varve" disc verify "$parity" --archive "$archive" >/dev/null
ok "... the other is in the list" until_true 10 request_is 'select(.drive == null) | .barcode' "$parity"
ok "the one that is read comes" swap "$(plastic_of "$second")"
ok "... and serves" reads_well second
ok "then the other is asked for" until_true 10 is_asked_for "$parity"
ok "... comes" swap "$(plastic_of "$parity")"
ok "... and is verified" until_true 30 nothing_is_asked
ok "... it is whole" disc_is "$parity" state sealed

ok "again only on discs" "$varve" release "$mnt/first" "$mnt/second"
ok "a magazine" "$varve" disc magazine M7 "$first" "$second" --archive "$archive"
ok "unload" "$varve" library unload 0 --archive "$archive"
ok "it is taken elsewhere as a whole" says "^2 discs checked out" \
    "$varve" disc checkout --magazine M7 --to "bank vault" --who Anna --archive "$archive"
ok "... its discs are offline" disc_is "$first" state offline
ok "... with the place" disc_is "$second" site "bank vault"
ok "... and who has them" says "$first +shelf A / box 3 +bank vault +Anna" "$varve" magazine list "$archive"
start_reading second
ok "a read of what is elsewhere fails at once" read_ends second 1
ok "... nobody is asked for it" nothing_is_asked
ok "... the log says where it is and who has it" grep -q "bank vault, taken there by Anna" "$archive/varve.log"
ok "the estimate says so, too" says "bank vault, taken there by Anna" getfattr --only-values -n user.varve.eta "$mnt/second"
ok "the second comes back" "$varve" disc checkin "$second" --who Bert --archive "$archive"
ok "... and is at hand" disc_is "$second" state sealed
start_reading second
ok "... it is asked for" until_true 10 is_asked_for "$second"
ok "... it comes" swap "$(plastic_of "$second")"
ok "... and serves" reads_well second
ok "its history" says "checked out +Anna +bank vault" "$varve" disc history "$second" --archive "$archive"
ok "... to the end" says "checked in +Bert" "$varve" disc history "$second" --archive "$archive"

ok "unload" "$varve" library unload 0 --archive "$archive"
ok "the first is put into the drive unasked, and known" insert_unasked "$(plastic_of "$first")" "$first"
ok "... so it is back" disc_is "$first" state sealed
ok "... with its shelf" disc_is "$first" shelf "shelf A / box 3"
ok "... and the log says so" says "seen in library 'desk'" "$varve" disc history "$first" --archive "$archive"

ok "release the second" "$varve" release "$mnt/second"
start_reading second
ok "it is asked for" until_true 10 is_asked_for "$second"
ok "it cannot be found" "$varve" library refuse "$second" "not in its box" --archive "$archive"
ok "... and counts as lost" until_true 10 disc_is "$second" state lost
ok "... the rest of the set is asked for" until_true 10 is_asked_for "$parity"
ok "... come" serve_all second
ok "... and give the file back" reads_well second
ok "... the set is degraded" equal degraded "$("$varve" set list "$archive" --json | jq -r '.sets[0].state')"
ok "somebody finds it" "$varve" disc place "$second" "on the floor" --archive "$archive"
ok "... it is back" "$varve" disc checkin "$second" --archive "$archive"
ok "... the set is whole" equal sealed "$("$varve" set list "$archive" --json | jq -r '.sets[0].state')"
for name in first third; do
    start_reading $name
    ok "the $name file, too" serve_all $name
    ok "... comes back" reads_well $name
done
ok "everything is as it was" diff -r "$src" "$mnt"
ok "umount" "$varve" umount "$mnt"
ok "check finds nothing" clean_check

# Labels are on no disc: images are named by them. Shelves come from the old catalog.
rebuild() {
    local label images=()
    for label in D-00001 D-00002 D-00003; do
        cp "$shelf/discs/$(plastic_of $label).img" "$work/$label.img" && images+=("$work/$label.img") || return 1
    done
    "$varve" rebuild "$archive" --from "${images[@]}"
}
ok "rebuild from images" rebuild
ok "mount once more" "$varve" mount "$archive" "$mnt"
ok "... discs have their shelves" disc_is "$first" shelf "shelf A / box 3"
ok "... and their history" says "checked out +Anna +bank vault" "$varve" disc history "$second" --archive "$archive"
ok "... what is on discs only" "$varve" release "$mnt/second"
start_reading second
ok "... and comes" serve_all second
ok "... every byte" reads_well second
ok "umount" "$varve" umount "$mnt"
finish_tap

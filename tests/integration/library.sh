#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What people do to a library (swap discs, lose labels, relabel, take magazines, open doors) is seen,
# told, and undone by the verbs for it; no file is lost and no wrong disc written.
# usage: library.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work library
archive=$work/archive mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
head -c 9000001 /dev/urandom >"$src/one"
head -c 7000000 /dev/urandom >"$src/two"

inventory() { "$varve" library inventory --archive "$archive" --json; }
flags_of() { inventory | jq -r --argjson a "$1" '.elements[] | select(.address == $a) | .flags'; }
flags_of_disc() { inventory | jq -r --arg b "$1" '.elements[] | select(.full and .barcode == $b) | .flags'; }
disc_flags_are() { equal "$2" "$(flags_of_disc "$1")"; }
unlabelled_is() { state_is "$(unlabelled)" "$1"; }
unlabelled() { inventory | jq -r '.elements[] | select(.full and (.barcode | startswith("N"))) | .barcode'; }
disc_in() { inventory | jq -r --argjson a "$1" '.elements[] | select(.address == $a) | .barcode'; }
where_is() { inventory | jq -r --arg b "$1" '[.elements[] | select(.full and .barcode == $b) | .address] | join(" ")'; }
state_of() { "$varve" disc show "$1" --archive "$archive" --json | jq -r .disc.state; }
place_of() { "$varve" disc show "$1" --archive "$archive" --json | jq -r .disc.place; }
condition() { "$varve" library list "$archive" --json | jq -r '.libraries[0].condition'; }
flags_are() { equal "$2" "$(flags_of "$1")"; }
state_is() { equal "$2" "$(state_of "$1")"; }
told() { grep -F -- "$1" "$archive/varve.log"; }
# What happens while nobody looks: the script is taken when the library is opened.
meanwhile() {
    "$varve" umount "$mnt" || return 1
    echo "now $1" >"$archive/library/faults.txt"
    "$varve" mount "$archive" "$mnt" || return 1
    rm "$archive/library/faults.txt"
}
waits_then_loads() { # waits_then_loads DISC: not before the library is resumed
    "$varve" library load "$1" 0 --archive "$archive" >"$work/load" 2>&1 &
    local load=$!
    sleep 2
    kill -0 "$load" || return 1
    "$varve" library resume --archive "$archive" && wait "$load"
}

"$varve" init "$archive" --name people --library virtual --media 16MiB --slots 8 --drives 2 --set 2+1 >/dev/null || bail "init"
"$varve" mount "$archive" "$mnt" || bail "mount"
cp "$src/one" "$src/two" "$mnt/"
ok "a set is sealed" "$varve" archive "$mnt" --wait
mapfile -t sealed < <(discs_where '.state == "sealed"')
mapfile -t blank < <(discs_where '.state == "blank"')
"$varve" library unload 0 --archive "$archive" >/dev/null
"$varve" library unload 1 --archive "$archive" >/dev/null
slot_s=$(where_is "${sealed[0]}") slot_b=$(where_is "${blank[0]}")

ok "a sealed disc and a blank are swapped by hand" meanwhile "swap $slot_s $slot_b"
ok "... both are quarantined" flags_are "$slot_s" quarantined
ok "... both of them" flags_are "$slot_b" quarantined
ok "... the operator is told which disc lies where" until_true 10 told "element $slot_s holds disc '${blank[0]}' instead of '${sealed[0]}'"
ok "... and what to do" told "varve library accept $slot_s"
ok "... the blank is not to be written" state_is "${blank[0]}" offline
ok "... for this reason" equal "quarantined in element $slot_s of library 'main': 'varve library accept $slot_s'" "$(place_of "${blank[0]}")"
ok "... the sealed one still serves" state_is "${sealed[0]}" sealed
ok "... release" "$varve" release "$mnt"
ok "... and read back" cmp "$src/one" "$mnt/one"
ok "accept, one" "$varve" library accept "$slot_s" --archive "$archive"
ok "... makes the blank a blank" state_is "${blank[0]}" blank
ok "accept of what is right is refused" exits 1 "$varve" library accept "$slot_s" --archive "$archive"
ok "accept, the rest" "$varve" library accept all --archive "$archive"
ok "... the library has nothing to tell" equal 0 "$("$varve" library list "$archive" --json | jq '.libraries[0].quarantined')"

"$varve" library unload 0 --archive "$archive" >/dev/null
"$varve" library unload 1 --archive "$archive" >/dev/null
ok "a disc loses its label" meanwhile "label ${sealed[1]} none"
ok "... is looked at, and known by what it says of itself" until_true 30 disc_flags_are "${sealed[1]}" named
ok "... and was never lost" state_is "${sealed[1]}" sealed
ok "... nor was its set" equal 1 "$(grep -c 'set 1 ' "$archive/varve.log")"
"$varve" library unload 0 --archive "$archive" >/dev/null
"$varve" library unload 1 --archive "$archive" >/dev/null
ok "it is taken away, and a blank without a label put there" meanwhile "swap $(where_is "${sealed[2]}") $(where_is "${blank[1]}"), take $(where_is "${blank[1]}"), label ${blank[1]} none"
ok "... which is no disc of the set" until_true 30 state_is "${sealed[2]}" lost
ok "... but a blank with a name of its own" until_true 10 unlabelled_is blank
ok "the disc is put into a mail slot" meanwhile "put ${sealed[2]} 16, label ${sealed[2]} ${sealed[2]}, label ${blank[1]} ${blank[1]}"
ok "... import" "$varve" library import --archive "$archive"
ok "... it serves again" state_is "${sealed[2]}" sealed
"$varve" library accept all --archive "$archive" >/dev/null

ok "two discs have the same label" meanwhile "label ${blank[2]} ${blank[3]}"
ok "... neither is used" state_is "${blank[3]}" offline
ok "... and it is told" until_true 10 told "two discs have the bar code '${blank[3]}'"
ok "... loading it is refused" exits 1 "$varve" library load "${blank[3]}" 0 --archive "$archive"
ok "relabelled" meanwhile "label ${blank[2]} ${blank[2]}"
ok "... both are blanks again" state_is "${blank[3]}" blank

slot=$(where_is "${sealed[0]}")
ok "a slot is out of use" meanwhile "except $slot 3B/12"
ok "... its disc is known to be with it" flags_are "$slot" absent
ok "... and waited for" state_is "${sealed[0]}" offline
ok "... so the set is whole" equal sealed "$("$varve" set show 1 --archive "$archive" --json | jq -r .set.state)"
ok "it is back" meanwhile "fitted $slot"
ok "... and so is the disc" state_is "${sealed[0]}" sealed

ok "unlock" "$varve" library unlock --archive "$archive"
ok "... is seen" equal unlocked "$(condition)"
ok "... also in status" grep -q "moves no disc: unlocked" <("$varve" status "$archive")
ok "a load waits for resume" waits_then_loads "${sealed[0]}"
ok "... and the library is ready" equal ready "$(condition)"
ok "unload" "$varve" library unload 0 --archive "$archive"
ok "export" "$varve" library export "${blank[0]}" --archive "$archive"
ok "... it waits in a mail slot" state_is "${blank[0]}" offline
ok "import" "$varve" library import --archive "$archive"
ok "... it is a blank again" state_is "${blank[0]}" blank

"$varve" release "$mnt" >/dev/null
ok "all files are what was copied in" cmp "$src/one" "$mnt/one"
ok "... all of them" cmp "$src/two" "$mnt/two"
ok "check has no findings" "$varve" check "$archive"
finish_tap

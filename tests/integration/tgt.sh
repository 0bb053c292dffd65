#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A changer with two drives that we did not write, over iSCSI: an archive lives on it, survives links
# that are cut and a target that is killed, and concludes rightly what became of each disc.
# usage: tgt.sh VARVE SCSICMD   (TAP)
set -u
varve=$(realpath "$1") && scsicmd=$(realpath "$2") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
# shellcheck source=tests/lib/tgt.sh
. "$here/../lib/tgt.sh"
needs_mounts
needs_tgt
make_work tgt
archive=$work/archive mnt=$work/mnt
before_cleanup() {
    ! is_mounted "$mnt" || "$varve" umount "$mnt"
    cut_stop
    tgt_kill
}
unmount_at_exit "$mnt"
mkdir "$mnt"

has() { # has ELEMENT DISC: by the changer's own account, asked now
    "$varve" library inventory main --refresh --json | jq -er --argjson at "$1" --arg disc "$2" \
        '.elements[] | select(.address == $at) | if .full then .barcode else "empty" end == $disc'
}
in_library() { (cd "$mnt" && "$varve" library "$@"); }
holds() { (cd "$mnt" && has "$@"); }
disc_states() { "$varve" disc list "$archive" --json | jq -r '[.discs[] | .state] | group_by(.) | map("\(length) \(.[0])") | join(", ")'; }
make_archive() {
    local drive drives=()
    for drive in "${tgt_drives[@]}"; do drives+=(--drive "$drive"); done
    "$varve" init "$archive" --library scsi --changer "$tgt_changer" "${drives[@]}" --media 16MiB --set 2+1 && set_key head 0
}
fill() { # fill DIR COUNT
    mkdir "$mnt/$1" && for i in $(seq "$2"); do head -c $((i * 3000)) /dev/urandom >"$mnt/$1/$i" || return 1; done
}
archive_of() { # archive_of DIR: on discs, its digests noted
    (cd "$mnt" && sha256sum "$1"/*) >"$work/sums-$1" && "$varve" archive --wait "$mnt/$1"
}
log_says() { grep -Eq "$1" "$archive/varve.log" || { cat "$archive/varve.log" && return 1; }; }
reads_back() { "$varve" release "$mnt/$1" && (cd "$mnt" && sha256sum --quiet -c "$work/sums-$1"); }

tgt_make "$work/tgt" 18 2 1 >/dev/null && tgt_start "$work/tgt" || { cat "$work/tgt/log" && exit 1; }
cut_start "$work/cut" || exit 1

# --- inventory, moves, mail slot ---
ok "an archive with a SCSI library" make_archive
ok "mount" "$varve" mount "$archive" "$mnt"
ok "all discs are found" status_is '.discs.blank' 17
ok "load into drive 0" in_library load DISC_000 0
ok "it is there" holds 1 DISC_000
ok "load into drive 1" in_library load DISC_003 1
ok "another disc into drive 0: the first goes home" in_library load DISC_004 0
ok "it is there" holds 1 DISC_004
ok "the first is home" holds 1024 DISC_000
ok "a disc in a drive is exported" in_library export DISC_003
ok "it is in the mail slot" holds 32 DISC_003
not_ok "a full mail slot refuses the next" in_library export DISC_001
ok "in again" in_library import
ok "unload" in_library unload 0
ok "the drives are empty" holds 1 empty

# --- a set of 2+1 DVD+R, and back ---
ok "files" fill a 100
ok "sealed on three discs" archive_of a
ok "they are DVD+R, closed" says '3 sealed' disc_states
ok "released and read back from discs" reads_back a

# --- links that are cut: the target goes on, nobody heard the answer (fault 30) ---
cut_move() { # cut_move WHEN DISC DRIVE: what load then says
    cut_rule "$1" a5 && in_library load "$2" "$3"
}
ok "a move whose answer is lost is found to be done" cut_move after DISC_005 0
ok "one command was cut" cut_count 1
ok "the disc is in the drive" holds 1 DISC_005
ok "unload" in_library unload 0
ok "a move that never arrived is found not to be done, and made" cut_move before DISC_006 0
ok "that one was cut, too" cut_count 2
ok "and is there" holds 1 DISC_006
ok "unload" in_library unload 0
ok "all discs are accounted for" status_is '[.discs[]] | add' 17

# --- a burn that lost the answer to a WRITE: this target always says "blank, next address 0", so
# what became of the sectors cannot be known: nothing is written twice, the disc is given up ---
ok "more files" fill b 100
cut_rule after 2a 3
ok "a burn that lost an answer goes on with the next blank" archive_of b
ok "one WRITE was cut" cut_count 3
ok "one disc was set aside, none was burned twice" says '1 failed, 6 sealed' disc_states
ok "the log names library, drive and disc" log_says "disc 'DISC_00[3-6]'.*library 'main', drive [01] \(element [12]\).*WRITE"
ok "read back" reads_back b

# --- the target dies in the middle of a burn; its discs are back in their slots when it is up ---
ok "still more files" fill c 100
kill_in_burn() {
    cut_rule before 2a 3 # at this moment the target dies
    (cd "$mnt" && sha256sum c/*) >"$work/sums-c"
    "$varve" archive --wait "$mnt/c" >"$work/archive.out" 2>&1 &
    local job=$!
    until_true 20 cut_count 4 || return 1
    tgt_kill
    sleep 1
    tgt_start "$work/tgt" || return 1
    wait "$job" && return 0
    # tgt calls an empty drive ready once it was told to pull its tray in, which one is told that
    # waited for its disc when the target died. No drive does that; switching it off and on ends it.
    grep -q 'holds a medium, but the changer calls' "$work/archive.out" || return 1
    tgt_kill
    tgt_start "$work/tgt" && "$varve" archive --wait "$mnt/c" >"$work/archive.out" 2>&1
}
ok "target killed in the middle of a burn and started again" kill_in_burn
tgt_urls "127.0.0.1:$(cat "$cut_dir/port")"
ok "the set is sealed all the same" status_is '.sets.sealed' 3
ok "nothing was written to what the target had finished by itself" says '2 failed, 9 sealed|3 failed, 9 sealed' disc_states
ok "read back" reads_back c
ok "no set was harmed" reads_back a

# --- ... and in the middle of a move ---
kill_in_move() {
    tgt_stop
    in_library load DISC_000 1 >"$work/load.out" 2>&1 &
    local job=$!
    sleep 0.7
    tgt_kill
    tgt_start "$work/tgt" || return 1
    wait "$job"
    true
}
ok "target killed in the middle of a move" kill_in_move
tgt_urls "127.0.0.1:$(cat "$cut_dir/port")"
ok "the disc can be loaded afterwards" in_library load DISC_000 1
ok "and is there" holds 2 DISC_000

# --- one program a changer (fault 35) ---
second_mount() {
    mkdir "$work/mnt2"
    "$varve" init "$work/second" --library scsi --changer "$tgt_changer" --drive "${tgt_drives[0]}" &&
        "$varve" mount "$work/second" "$work/mnt2" && cp "$varve" "$work/mnt2/" &&
        "$varve" umount "$work/mnt2" # else it takes the changer when the first one lets go
}
unmount_at_exit "$work/mnt2"
ok "a second daemon on this changer is told who has it" says "in use by process $(status_of .pid)" second_mount
by_another_host() { # DISC_016 from its slot to the free one, past our lock and our daemon
    equal "open
sense 06/29/00
good 0" "$(printf '9000 000000000000\n9000 a50000100410041100000000\n' | "$scsicmd" --look "$tgt_changer")"
}
ok "another host moves a disc" by_another_host
ok "that is seen" in_library inventory --refresh
ok "and nothing is moved any more" says "main.*another program or host uses this changer" in_library load DISC_016 0
ok "until somebody looked" in_library resume main
ok "then the disc is loaded from where it is" in_library load DISC_016 0
ok "check finds nothing" clean_check
ok "umount" "$varve" umount "$mnt"

ok "and mount again" "$varve" mount "$archive" "$mnt"
ok "all is there after a restart" reads_back a
ok "release" "$varve" release "$mnt/a"
ok "umount" "$varve" umount "$mnt"

# --- the target is not there when the archive is mounted ---
condition_is() { equal "$1" "$("$varve" library list "$archive" --json | jq -r '.libraries[0].condition')"; }
read_cold() { cat "$mnt"/a/* >/dev/null; }
tgt_kill
ok "the target is down: mount all the same" "$varve" mount "$archive" "$mnt"
ok "the library is offline" condition_is offline
ok "a new file is written" cp "$varve" "$mnt/new"
ok "a file on discs is out of reach" says "No route to host" read_cold
ok "the target comes" tgt_start "$work/tgt"
ok "and so does the library, by itself" until_true 90 condition_is ready
ok "all is there" reads_back a
ok "umount" "$varve" umount "$mnt"
finish_tap

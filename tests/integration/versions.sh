#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A file that is written to while it is planned, parity-coded, burned or read back is on the disc as it
# was when it was frozen, and on the mount as it is written, to the byte; and the next set has the new.
# usage: versions.sh VARVE VARVE-RECOVER [PHASE...]   (TAP; a PHASE is a regular expression for the text of a job)
set -u
varve=$(realpath "$1") recover=$(realpath "$2") || exit 1
phases=("${@:3}")
[ ${#phases[@]} -gt 0 ] || phases=('planning a set' 'computing parity' 'burning disc 1' 'burning disc 2' 'reading back disc')
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work versions
archive=$work/archive mnt=$work/mnt
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt" || umount -l "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt"

make_archive() {
    "$varve" init "$archive" --library virtual --media 32MiB --slots 40 --drives 2 --set 2+1 &&
        "$varve" mount "$archive" "$mnt"
}
# Enough beside the files that each phase lasts a while.
make_files() {
    mkdir "$mnt/$1" && "$lib/change-files" make "$mnt/$1" && cp -a "$mnt/$1" "$work/old-$1" &&
        for i in 1 2; do head -c 10000000 /dev/urandom >"$mnt/$1/filler-$i" || return 1; done
}
changed_in() { # changed_in DIR REGEX: archives, and changes the files in that phase
    local watcher verb status
    "$lib/kill-when" "$archive" "$2" 1 0 "$lib/change-files" change "$mnt/$1" >"$work/moment" 2>&1 &
    watcher=$!
    until_true 10 grep -q watching "$work/moment"
    "$varve" archive "$mnt/$1" --wait >"$work/verb" 2>&1 &
    verb=$!
    wait $watcher
    status=$?
    cat "$work/moment"
    wait $verb && [ $status -eq 0 ] || {
        cat "$work/verb"
        return 1
    }
}
newest_set() { "$varve" set list "$archive" --json | jq '[.sets[].id] | max'; }
images() {
    local disc
    for disc in $(discs_where ".set == $1"); do
        image_of "$disc"
    done
}
discs_have() { # discs_have DIR WANTED: the newest set has DIR as WANTED
    local discs
    mapfile -t discs < <(images "$(newest_set)")
    rm -rf "$work/out"
    "$recover" extract "${discs[@]}" --to "$work/out" >"$work/extract" 2>&1 || { cat "$work/extract" && return 1; }
    rm -f "$work/out/$1"/filler-*
    diff -r "$2" "$work/out/$1"
}
# What is written is planned anew, and only that.
second_set_has_new() {
    "$varve" archive "$mnt/$1" --wait && rm -rf "$work/new" && cp -a "$mnt/$1" "$work/new" || return 1
    rm -f "$work/new"/filler-* "$work/new/untouched"
    discs_have "$1" "$work/new"
}
released_and_back() {
    "$varve" release "$mnt/$1" && equal migrated "$(getfattr --only-values -n user.varve.state "$mnt/$1/patched")" &&
        "$lib/change-files" check "$mnt/$1"
}

ok "an archive" make_archive
number=0
for phase in "${phases[@]}"; do
    number=$((number + 1)) dir=phase-$number
    ok "$phase: files" make_files $dir
    ok "$phase: they are changed then, in each way" changed_in $dir "$phase"
    ok "$phase: they are as written" "$lib/change-files" check "$mnt/$dir"
    ok "$phase: the discs have them as they were" discs_have $dir "$work/old-$dir"
    ok "$phase: the next set has them as they are" second_set_has_new $dir
    ok "$phase: released and read again they are the same" released_and_back $dir
done
ok "check finds nothing" clean_check
ok "umount" "$varve" umount "$mnt"
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A set whose plan on paper is damaged between two runs is given up: its files go back in line, are
# planned and sealed anew by themselves, no disc is lost, and nothing is released before.
# usage: lost-plan.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work lost-plan
archive=$work/archive mnt=$work/mnt
unmount_at_exit "$mnt"
mkdir "$mnt"

make_archive() {
    "$varve" init "$archive" --library virtual --media 32MiB --slots 12 --drives 1 --set 2+1 && set_key head 0 && "$varve" mount "$archive" "$mnt"
}
is_burning() { [ "$(status_of '.sets.burning')" = 1 ]; }
sealed_anew() { [ "$(status_of '"\(.sets.sealed) \(.sets.abandoned) \(.in_line.files)"')" = "1 1 0" ]; }
damage_plan() {
    local file
    for file in "$archive"/sets/*/*.crc; do
        head -c 100 /dev/urandom >"$file" || return 1
    done
}
kill_it() {
    kill -9 "$(status_of .pid)"
    "$varve" umount "$mnt"
}

ok "an archive" make_archive
mkdir "$mnt/d"
for i in $(seq 300); do head -c $((i * 300)) /dev/urandom >"$mnt/d/$i"; done
(cd "$mnt" && sha256sum d/*) >"$work/sums"
"$varve" archive --wait "$mnt/d" >"$work/archive.out" 2>&1 &
ok "the set is burning" until_true 30 is_burning
ok "killed there" kill_it
wait
ok "its checksums are damaged" damage_plan
ok "mount again" "$varve" mount "$archive" "$mnt"
ok "given up, planned anew and sealed by itself" until_true 60 sealed_anew
ok "no disc was wasted" equal 3 "$(status_of '([.discs[]] | add) - .discs.blank')"
ok "release" "$varve" release "$mnt/d"
ok "all is read from discs" sh -c "cd '$mnt' && sha256sum --quiet -c '$work/sums'"
ok "check finds nothing" "$varve" check "$archive"
ok "umount" "$varve" umount "$mnt"
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad rules, sets that cannot be made, bad discs and garbage in the archive's own files: one clear
# error each, nothing changed, and no reader ever gets wrong bytes. (Wrong arguments, tiers, mount
# points and second daemons: cli-errors.sh.)
# usage: bad-input.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work bad-input
archive=$work/archive mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src" "$work/good"
CLUSTER=65536

# one_error CODE PATTERN VARVE-ARGUMENTS...: exactly one line of error (and a hint) that says so.
one_error() {
    local code=$1 pattern=$2 got
    shift 2
    timeout 60 "$varve" "$@" >"$work/out" 2>"$work/err"
    got=$?
    cat "$work/err"
    equal "exit $code" "exit $got" && grep -Eq -- "$pattern" "$work/err" &&
        equal 1 "$(grep -c '^varve: ' "$work/err")" && equal 0 "$(grep -Evc '^(varve|hint): ' "$work/err")"
}
mount_it() { "$varve" mount "$archive" "$mnt"; }
rows() { status_of '[.states, .sets, .discs, .in_line] | tostring'; }
same_rows() { equal "$before" "$(rows)"; }

# --- a set that does not fit the library ---
small_library() {
    "$varve" init "$archive" --media 4MiB --slots 4 --set 2+1 --drives 1 &&
        sed -i 's/^set = 2+1/set = 2+4/' "$archive/varve.conf" && mount_it && echo text >"$mnt/file"
}
ok "an archive with 4 discs and sets of 2+4" small_library
before=$(rows)
ok "archive --wait says what does not fit" one_error 1 '5|2\+4|1\+4' archive "$mnt/file" --wait
ok "... and changes nothing" same_rows
ok "... the file is as it was" equal text "$(cat "$mnt/file")"
ok "umount" "$varve" umount "$mnt"
ok "check finds nothing" clean_check
rm -rf "$archive"

# --- rules ---
make_archive() {
    "$varve" init "$archive" --media 8MiB --slots 12 --set 2+1 --drives 2 && set_key head 1K && mount_it &&
        cp -a "$src/." "$mnt/" && "$varve" archive "$mnt" --wait && "$varve" release "$mnt"
}
mkdir "$src/d"
for i in 1 2 3 4 5 6 7 8; do head -c 1500000 /dev/urandom >"$src/d/$i"; done
ok "an archive with one set" make_archive
ok "umount" "$varve" umount "$mnt"
cp -a "$archive/." "$work/good/"
cp "$archive/varve.conf" "$work/conf"
with_rule() { printf '[rule bad]\nfrom = ssd\nto = hdd\n%s\n' "$1" | cat "$work/conf" - >"$archive/varve.conf"; }
while IFS='|' read -r words pattern line; do
    with_rule "$line"
    ok "$words: policy check says so" one_error 1 "$pattern" policy check "$archive"
    ok "$words: mount refuses" one_error 1 "$pattern" mount "$archive" "$mnt"
done <<'RULES'
unknown column|bad.*siez|where = siez > 3
no expression|bad|where = size >
a second statement|bad|where = 1; delete from inode
a subquery|bad|where = size > (select count(*) from sqlite_master)
unknown key in a rule|where_|where_ = size > 3
unknown tier|tape|where = size > 3\nfrom = tape
RULES
cp "$work/conf" "$archive/varve.conf"

# --- discs ---
restore() { # the archive as it was, not mounted
    ! is_mounted "$mnt" || "$varve" umount "$mnt" || return 1
    rm -rf "$archive" && cp -a "$work/good" "$archive"
}
damaged() { # damaged COMMAND...: with the archive unmounted, then mounts
    restore && "$@" && mount_it
}
disc() { echo "$archive/library/discs/VRV0000$1.img"; }
truncated() { truncate -s "$1" "$(disc 1)"; }
overwritten() { # overwritten DISC FROM-CLUSTER COUNT
    dd if=/dev/urandom of="$(disc "$1")" bs=$CLUSTER seek="$2" count="$3" conv=notrunc status=none
}
of_another_archive() {
    rm -rf "$work/other" "$work/mnt2"
    mkdir "$work/mnt2"
    unmount_at_exit "$work/mnt2"
    "$varve" init "$work/other" --media 8MiB --slots 6 --set 2+1 && "$varve" mount "$work/other" "$work/mnt2" &&
        head -c 3000000 /dev/urandom >"$work/mnt2/x" && "$varve" archive "$work/mnt2/x" --wait &&
        "$varve" umount "$work/mnt2" && cp "$work/other/library/discs/VRV00001.img" "$(disc 1)"
}
all_zeros() { truncate -s 0 "$(disc 1)" && truncate -s 8M "$(disc 1)"; }
verify_says() { # verify_says PATTERN
    one_error 1 "$1" disc verify VRV00001 --wait --archive "$archive"
}
recall_is_right() { "$varve" recall "$mnt" --wait && same_tree "$src" "$mnt"; }
bad_disc() { # WORDS CAUSE COMMAND...
    local words=$1 cause=$2
    shift 2
    ok "$words: mounts" damaged "$@"
    ok "$words: verify names disc and cause" verify_says "VRV00001.*($cause)"
    ok "$words: recall gives the right bytes" recall_is_right
    ok "$words: again, without a verify before" damaged "$@"
    ok "$words: reading gives the right bytes" same_tree "$src" "$mnt"
}
bad_disc "truncated disc" 'read|cut|end|truncated|short|medium|clusters' truncated 3000000
bad_disc "empty image" 'blank|no disc|not|medium|read' truncated 0
bad_disc "overwritten disc" 'clusters' overwritten 1 40 8
bad_disc "disc without a head" 'clusters|not' overwritten 1 0 12
bad_disc "disc of zeros" 'clusters|not|blank' all_zeros
bad_disc "disc of another archive" 'other|another|is not|instead|wrong' of_another_archive
bad_disc "missing disc" 'not in|lost|no such|offline|not found' rm "$archive/library/discs/VRV00001.img"

# --- beyond what parity can do: two data discs of 2+1 ---
two_hurt() { overwritten 1 30 60 && overwritten 2 30 60; }
ok "two discs hurt in a set of 2+1: mounts" damaged two_hurt
right_or_eio() { # never wrong bytes; sets bad to the number of EIOs
    local file why
    bad=0
    for file in 1 2 3 4 5 6 7 8; do
        if why=$(cat "$mnt/d/$file" 2>&1 >"$work/read"); then
            cmp "$src/d/$file" "$work/read" || return 1
        else
            grep -q 'Input/output error' <<<"$why" || return 1
            bad=$((bad + 1))
        fi
    done
    echo "$bad files with EIO"
}
ok "... each file is right, or EIO" right_or_eio
ok "... some are right and some are lost" test $bad -gt 0 -a $bad -lt 8
ok "... recall names a file that is lost" one_error 1 '/d/[1-8]' recall "$mnt" --wait
ok "... its state is still migrated" says migrated "$varve" ls "$mnt/d"

# --- the archive's own files ---
garbage() { head -c "${2:-20000}" /dev/urandom >"$archive/$1"; }
garbage_catalog() { garbage catalog.sqlite && rm -f "$archive"/catalog.sqlite-*; }
sum_of() { sha256sum "$archive/$1" | cut -c 1-64; }
unmounted_with() { restore && "$@"; }
ok "garbage catalog" unmounted_with garbage_catalog
before=$(sum_of catalog.sqlite)
ok "... mount refuses" one_error 1 'catalog' mount "$archive" "$mnt"
ok "... and leaves it as it is" equal "$before" "$(sum_of catalog.sqlite)"
ok "... check says so" one_error 1 'catalog' check "$archive"
ok "... rebuild makes a new one" "$varve" rebuild "$archive"
ok "... mount" mount_it
ok "... all is there" same_tree "$src" "$mnt"

cut_catalog() { truncate -s 40000 "$archive/catalog.sqlite" && rm -f "$archive"/catalog.sqlite-*; }
ok "truncated catalog" unmounted_with cut_catalog
ok "... mount refuses" one_error 1 'catalog' mount "$archive" "$mnt"

ok "garbage library.json" unmounted_with garbage library/library.json 500
before=$(sum_of library/library.json)
ok "... mount says so" one_error 1 'library' mount "$archive" "$mnt"
ok "... and leaves it as it is" equal "$before" "$(sum_of library/library.json)"

garbage_sets() {
    local file n=0
    while IFS= read -r file; do
        head -c 5000 /dev/urandom >"$file" && n=$((n + 1))
    done < <(find "$archive/sets" "$archive/hdd" "$archive/ssd" -path '*sets*' -type f)
    echo "$n files"
    [ $n -gt 0 ]
}
ok "garbage in sets/: mounts" damaged garbage_sets
ok "... all is there: the discs have their own checksums" same_tree "$src" "$mnt"
ok "... umount" "$varve" umount "$mnt"
ok "... rebuild makes them anew" "$varve" rebuild "$archive"
ok "... mount" mount_it
ok "... all is there" same_tree "$src" "$mnt"
ok "check finds nothing" clean_check
ok "umount" "$varve" umount "$mnt"
finish_tap

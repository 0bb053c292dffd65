#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each verb that scripts rely on does what the manual says, on a small archive by hand, and at each
# step the files are what was copied in.
# usage: by-hand.sh VARVE VARVE-RECOVER   (TAP)
set -u
varve=$(realpath "$1") recover=$(realpath "$2") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work by-hand
archive=$work/archive mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
real_files "$src/usr" 300
hostile_files "$src"
mkdir "$src/big"
head -c 24000001 /dev/urandom >"$src/big/larger than a disc"
head -c 5000000 /dev/urandom >"$src/big/five"
files=$(find "$src" -type f -size +0 -printf '%i\n' | sort -u | wc -l)
bytes=$(find "$src" -type f -printf '%i %s\n' | sort -u | awk '{ s += $2 } END { print s }')

# Rules run when this test says so, not by the clock.
make_archive() {
    "$varve" init "$archive" --name hand --library virtual --media 16MiB --slots 24 --drives 2 --set 3+2 && set_key head 1K || return 1
    sed -i 's/^policy_interval *=.*/policy_interval = 365d/' "$archive/varve.conf"
    cat >>"$archive/varve.conf" <<'RULES'

[rule cool]
from  = ssd
to    = hdd
where = size > 100000

[rule never]
from  = hdd
to    = optical
where = path glob '/no/such/*'
RULES
}
lists() { # lists STATE: all files of the tree are in it
    local states
    states=$("$varve" ls -R "$mnt" --json | jq -r '.files[] | select(.type == "file" and .size > 0) | .state' | sort | uniq -c)
    [ "$(wc -l <<<"$states")" -eq 1 ] && [[ $states == *" $1" ]] || {
        echo "$states"
        return 1
    }
}
dry_run_says() {
    "$varve" policy run --dry-run --archive "$archive" --json | tee /dev/stderr |
        jq -e '[.effects[] | {(.rule): .files}] | add | .cool > 3 and .never == 0'
}
no_jobs_since() { equal "$1" "$(newest_job)"; }
newest_job() { "$varve" jobs "$archive" --json | jq '.jobs[0].id'; }
is_table() { # is_table WORD COMMAND...: lines on standard output for people, with this word
    local word=$1
    shift
    "$@" | tee /dev/stderr | grep -qw -- "$word"
}
is_json() { "$@" --json | jq -e 'type == "object"' >/dev/null; }
bytes_on_tiers() { find "$archive/ssd/objects" "$archive/hdd/objects" -type f ! -name '.*' -printf '%b\n' | awk '{ s += $1 * 512 } END { print s + 0 }'; }
tiers_below() { [ "$(bytes_on_tiers)" -lt "$1" ]; }
verify_each() {
    local disc
    for disc in $(discs_where '.state == "sealed"'); do
        "$varve" disc verify "$disc" --wait --archive "$archive" || return 1
    done
}
xattr_is() { equal "$2" "$(getfattr --only-values -n "user.varve.$1" "$mnt/big/five")"; }
images() { # images [SET]: of sealed discs, in order
    local disc
    for disc in $(discs_where ".state == \"sealed\"${1:+ and .set == $1}"); do
        image_of "$disc"
    done
}
forget() { # the catalog, and with `all` the tiers too
    rm -f "$archive"/catalog.sqlite*
    [ "${1:-}" != all ] || find "$archive/ssd/objects" "$archive/hdd/objects" -type f -delete
}

ok "init" make_archive
ok "policy check" "$varve" policy check "$archive"
ok "mount" "$varve" mount "$archive" "$mnt"
ok "copy in" cp -a "$src/." "$mnt/"
ok "... all is there" same_tree "$src" "$mnt"
ok "... as resident files" status_is .states.resident.bytes "$bytes"
ok "status counts them" status_is '[.states[].files] | add' "$files"
ok "policy list" is_table cool "$varve" policy list "$archive"
job=$(newest_job)
ok "policy run --dry-run counts" dry_run_says
ok "... and starts nothing" no_jobs_since "$job"
ok "... and moves nothing" status_is .tiers.hdd.files 0
ok "policy run" "$varve" policy run cool --wait --archive "$archive"
ok "... moved the large ones" status_is '.tiers.hdd.bytes > 29000000' true
ok "... and nothing else" status_is '.tiers.ssd.files > 200' true
ok "... they are the same" same_tree "$src" "$mnt"

ok "release of what is on no disc is refused" exits 1 "$varve" release "$mnt/big"
ok "... and drops nothing" status_is .states.resident.bytes "$bytes"
ok "archive --wait" "$varve" archive "$mnt/big" --wait
ok "... is sealed on return" xattr_is state premigrated
ok "... in set 1" xattr_is set 1
ok "archive without --wait puts in line" "$varve" archive "$mnt" 
ok "flush --wait" "$varve" flush "$archive" --wait
ok "... sealed everything" lists premigrated
ok "... and nothing else is in line" status_is .in_line.files 0
ok "... no disc failed" status_is '.discs.failed + .discs.suspect + .discs.lost' 0
ok "... the rest is blank" status_is '.discs.sealed + .discs.blank' 24
ok "... the files are the same" same_tree "$src" "$mnt"

ok "ls" is_table premigrated "$varve" ls "$mnt/odd"
ok "ls of hostile names keeps them on one line" test \
    "$("$varve" ls "$mnt/odd" | wc -l)" -eq $(($("$varve" ls "$mnt/odd" --json | jq '.files | length') + 1))
ok "status" is_table premigrated "$varve" status "$archive"
ok "disc list" is_table sealed "$varve" disc list "$archive"
ok "disc show" is_table sealed "$varve" disc show "$(discs_where '.set == 1' | head -n 1)" --archive "$archive"
ok "set list" is_table 3+2 "$varve" set list "$archive"
ok "set show" is_table sealed "$varve" set show 1 --archive "$archive"
ok "library list" is_table main "$varve" library list "$archive"
ok "library inventory" is_table slot "$varve" library inventory --archive "$archive"
for verb in "status" "disc list" "set list" "library list" "policy list" "jobs"; do
    # shellcheck disable=SC2086 # two words
    ok "$verb --json" is_json "$varve" $verb "$archive"
done
ok "disc verify of each" verify_each
ok "scrub" "$varve" scrub "$archive" --wait

ok "release" "$varve" release "$mnt"
ok "... dropped all" lists migrated
ok "... the tiers are empty" until_true 10 tiers_below 1000000
ok "... all but the contents is there without a disc" same_tree "$src" "$mnt" --no-content
ok "... and woke none" lists migrated
ok "opening a file brings it back" cmp "$src/big/five" "$mnt/big/five"
ok "... and only it" status_is .states.premigrated.files 1
ok "recall --wait" "$varve" recall "$mnt" --wait
ok "... brought all back" lists premigrated
ok "... as they were" same_tree "$src" "$mnt"
ok "jobs" is_table recall "$varve" jobs "$archive"
ok "check" clean_check
images >"$work/images"
mapfile -t discs <"$work/images"
mapfile -t first < <(images 1)
ok "umount" "$varve" umount "$mnt"
ok "check without a daemon" clean_check

ok "varve-recover list" is_table 'big/five' "$recover" list "${discs[@]}"
ok "varve-recover verify" "$recover" verify "${discs[@]}"
ok "varve-recover extract" "$recover" extract "${discs[@]}" --to "$work/x1"
ok "... gives the same tree" same_tree "$src" "$work/x1"
rm -rf "$work/x1"
mkdir "$work/away"
mv "${first[0]}" "$work/away/"
ok "extract without one disc" "$recover" extract "${discs[@]:1}" --to "$work/x2"
ok "... gives the same tree" same_tree "$src" "$work/x2"
rm -rf "$work/x2"
ok "rebuild of that disc" "$recover" rebuild "${first[@]:1}" --to "$work/again"
ok "... gives it to the byte" cmp "$(echo "$work"/again/*.img)" "$work/away/$(basename "${first[0]}")"
mv "$work/away"/*.img "${first[0]}"

forget
ok "rebuild from the library" "$varve" rebuild "$archive"
ok "check of it" clean_check
ok "mount" "$varve" mount "$archive" "$mnt"
ok "... the resident copies were taken over" lists premigrated
ok "... nothing was put into lost+found" test ! -e "$mnt/lost+found"
ok "... the same tree" same_tree "$src" "$mnt"
ok "umount" "$varve" umount "$mnt"
forget
ok "rebuild once more" "$varve" rebuild "$archive"
ok "mount" "$varve" mount "$archive" "$mnt"
ok "... still nothing in lost+found" test ! -e "$mnt/lost+found"
ok "... the same tree" same_tree "$src" "$mnt"
ok "umount" "$varve" umount "$mnt"
forget all
ok "rebuild --from all images but one" "$varve" rebuild "$archive" --from "${discs[@]:1}"
ok "mount" "$varve" mount "$archive" "$mnt"
ok "... all files are on discs only" lists migrated
ok "recall --wait" "$varve" recall "$mnt" --wait
ok "... the same tree" same_tree "$src" "$mnt"
ok "a new file can be archived" eval 'echo new >"$mnt/new" && "$varve" archive "$mnt/new" --wait'
ok "check finds that a disc is missing" says 'set repair 1' exits 1 "$varve" check "$archive"
ok "set repair" "$varve" set repair 1 --wait --archive "$archive"
ok "check" clean_check
ok "umount" "$varve" umount "$mnt"
finish_tap

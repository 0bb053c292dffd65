#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whenever the daemon is killed, what was fsynced or sealed is there after the next mount, the work
# goes on by itself to its end, no disc is wasted, and `varve check` finds nothing.
# usage: crash.sh VARVE [ROUNDS]   (TAP; SEED in the environment repeats the moments of a round)
set -u
varve=$(realpath "$1") || exit 1
rounds=${2:-1}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work crash
archive=$work/archive mnt=$work/mnt list=$work/synced
before_cleanup() {
    ! is_mounted "$mnt" || "$varve" umount "$mnt" || umount -l "$mnt"
}
unmount_at_exit "$mnt"
mkdir "$mnt"
RANDOM=${SEED:-$$}
echo "# seed ${SEED:-$$}"
: >"$list"
sets=0 # that must be sealed by now

make_archive() {
    "$varve" init "$archive" --library virtual --media 24MiB --slots $((rounds * 15 + 5)) --drives 2 --set 2+1 && set_key head 10K &&
        "$varve" mount "$archive" "$mnt"
}
write_synced() { "$lib/write-synced" "$mnt/$1" "$2" "$3" "$list"; }
some_seconds() { printf '0.%03d\n' $((RANDOM % ${1:-1000})); } # below MILLISECONDS

# What was synced last of each file is what is there now.
synced_is_there() {
    tac "$list" | awk '!seen[$2]++ && $1 != "unknown"' >"$work/latest"
    sha256sum --quiet -c "$work/latest"
}
all_in_state() { # all_in_state DIR STATE...
    local dir=$1 states
    shift
    states=$("$varve" ls -R "$dir" --json | jq -r '.files[] | select(.type == "file") | .state' | sort -u | xargs)
    [ "$states" = "$*" ]
}
at_rest() { status_of '.sets.planned + .sets.burning + .in_line.files + .jobs.running + .jobs.queued' | grep -qx 0; }
no_disc_wasted() {
    equal "$((sets * 3)) sealed, 0 others" \
        "$(status_of '"\(.discs.sealed) sealed, \(([.discs[]] | add) - .discs.sealed - .discs.blank) others"')"
}
remount() {
    "$varve" umount "$mnt" && "$varve" mount "$archive" "$mnt"
}
# after_crash WORDS: the end of each trial.
after_crash() {
    local failed_before=$tap_failed
    ok "$1: mount again" remount
    ok "$1: the work ends by itself" until_true 60 at_rest
    ok "$1: all that was synced is there" synced_is_there
    ok "$1: no disc was wasted" no_disc_wasted
    ok "$1: check finds nothing" clean_check
    [ $tap_failed -eq "$failed_before" ] || tail -n 12 "$archive/varve.log" | sed 's/^/# log: /'
}
# killed_in REGEX NTH MILLISECONDS VERB...: the daemon dies at that moment of a verb's work; whatever
# the verb says then.
killed_in() {
    local regex=$1 nth=$2 most=$3 watcher verb status
    shift 3
    "$lib/kill-when" "$archive" "$regex" "$nth" "$(some_seconds "$most")" >"$work/moment" &
    watcher=$!
    until_true 10 grep -q watching "$work/moment"
    "$varve" "$@" >"$work/verb" 2>&1 &
    verb=$!
    wait $watcher
    status=$?
    wait $verb
    return $status
}
# Too short to be watched: killed blindly, 5 to 45 ms after it was asked for.
killed_in_release() {
    local pid verb
    pid=$(status_of .pid)
    "$varve" release "$mnt" >"$work/verb" 2>&1 &
    verb=$!
    sleep "$(some_seconds 40)" 0.005
    kill -KILL "$pid"
    wait $verb
    echo "$(grep -c . "$work/verb") lines: $(tail -n 1 "$work/verb")" >"$work/moment"
}
moment() { echo "# at '$(tail -n 1 "$work/moment")'"; }
dies_in_copy() {
    local pid
    pid=$(status_of .pid)
    write_synced "$1" 3000 200000 >"$work/writer" 2>&1 &
    local writer=$!
    until_true 20 test -s "$list"
    sleep "$(some_seconds 900)"
    kill -KILL "$pid"
    ! wait $writer
}
# dies_again MILLISECONDS: the daemon that goes on with the work dies too.
dies_again() {
    local pid
    remount || return 1
    pid=$(status_of .pid)
    sleep "$(some_seconds "$1")"
    kill -KILL "$pid"
}
dies_in_archive() { # WORDS DIR REGEX NTH MILLISECONDS [again]
    ok "$1: files are written" write_synced "$2" 12 3000000
    ok "$1: the daemon is killed" killed_in "$3" "$4" "$5" archive "$mnt/$2" --wait
    moment
    sets=$((sets + 1))
    [ -z "${6:-}" ] || ok "$1: and its successor too" dies_again 700
    after_crash "$1"
    ok "$1: the set is sealed" all_in_state "$mnt/$2" premigrated
}
ok "an archive" make_archive
for ((round = 1; round <= rounds; round++)); do
    r="round $round"
    ok "$r, copy-in: the daemon is killed" dies_in_copy "$round-copy"
    echo "# $(wc -l <"$list") files were synced"
    after_crash "$r, copy-in"
    dies_in_archive "$r, parity" "$round-parity" 'computing parity|burning disc 1' 1 150
    dies_in_archive "$r, burning" "$round-burn" 'burning disc' $((RANDOM % 3 + 1)) 60
    dies_in_archive "$r, burning late" "$round-late" 'burning disc' $((RANDOM % 3 + 1)) 400 again
    dies_in_archive "$r, reading back" "$round-back" 'reading back disc' $((RANDOM % 3 + 1)) 60
    ok "$r, release: killed" killed_in_release
    moment
    after_crash "$r, release"
    ok "$r, release: done again" fails "$varve" release "$mnt" # those never archived make it fail
    for part in parity burn late back; do
        ok "$r, release: $part is migrated" all_in_state "$mnt/$round-$part" migrated
    done
    ok "$r, recall: killed" killed_in '^recall: reading' 1 150 recall "$mnt"
    moment
    after_crash "$r, recall"
    ok "$r, recall: done again" "$varve" recall "$mnt" --wait
    ok "$r, recall: all is back" synced_is_there
    ok "$r, recall: check finds nothing" clean_check
done
ok "umount" "$varve" umount "$mnt"
ok "check without a daemon" clean_check
finish_tap

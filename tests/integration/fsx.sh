#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whatever programs do with files, at random, in every tier state and while files change it, the mount
# shows what a model in memory says; and the checker finds nothing on the filesystem below.
# usage: fsx.sh VARVE FSX [ROUNDS]   (TAP; SEED in the environment begins with another one; OPTIONS: of the
# mount; SHARE: rounds of who share pages beside moving files, 5000)
set -u
varve=$(realpath "$1") fsx=$(realpath "$2") || exit 1
rounds=${3:-1}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work fsx
archive=$work/archive mnt=$work/mnt churn=
export VARVE=$varve ARCHIVE=$archive MNT=$mnt # for fsx-tier
before_cleanup() {
    [ -z "$churn" ] || kill "$churn" 2>/dev/null
    ! is_mounted "$mnt" || "$varve" umount "$mnt" || umount -l "$mnt"
}
unmount_at_exit "$mnt"
mkdir "$mnt"

# O_DIRECT where the tiers can do it.
direct=--direct
dd if=/dev/zero of="$work/probe" bs=4096 count=1 oflag=direct status=none 2>/dev/null || direct=

make_archive() {
    "$varve" init "$archive" --library virtual --media 16MiB --slots 240 --drives 2 --set 1+1 || return 1
    sed -i 's/^policy_interval *=.*/policy_interval = 365d/' "$archive/varve.conf"
    cat >>"$archive/varve.conf" <<'RULES'

[rule down]
from  = ssd
to    = hdd
where = size >= 0

[rule up]
from  = hdd
to    = ssd
where = size >= 0
RULES
    "$varve" mount ${OPTIONS:+-o "$OPTIONS"} "$archive" "$mnt"
}
# checker DIR ARGUMENTS: in a fresh directory
checker() {
    local dir=$1
    shift
    rm -rf "$dir" && mkdir "$dir" && "$fsx" "$dir" --seed "$seed" $direct "$@"
}
with_tiers() { checker "$mnt/tiers" --ops "$1" --tier "$lib/fsx-tier" --remounts; }
start_churn() {
    mkdir -p "$mnt/churn" || return 1
    "$lib/fsx-tier" churn "$mnt/churn" >"$work/churn" 2>&1 &
    churn=$!
}
stop_churn() {
    kill "$churn" && { wait "$churn" || true; } 2>/dev/null
    churn=
    until_true 60 status_is '.jobs.running + .jobs.queued' 0
}
enough_blanks() { [ "$(status_of .discs.blank)" -ge 60 ]; }
new_archive() {
    "$varve" umount "$mnt" && rm -rf "$archive" && make_archive
}

first=${SEED:-$((RANDOM + 1))}
echo "# seed $first"
ok "an archive" make_archive
for ((seed = first; seed < first + rounds; seed++)); do
    ok "seed $seed: new archive, as blanks run out" eval 'enough_blanks || new_archive'
    # tmpfs does not time what is written through mappings
    [ "$(stat -f -c %T "$work")" = tmpfs ] ||
        ok "seed $seed: the checker finds nothing on the filesystem below" checker "$work/plain" --ops 3000
    ok "seed $seed: random operations on resident files" checker "$mnt/plain" --ops 3000
    ok "seed $seed: each has its pieces of shared pages, with mappings" checker "$mnt/share" --share 5000
    ok "seed $seed: random operations, archiving, releasing, recalling, moving, remounts and crashes" \
        with_tiers 300
    ok "seed $seed: begin to move files about" start_churn
    ok "seed $seed: several at once, each with files of its own" checker "$mnt/churn/own" --ops 1500 --workers 3
    ok "seed $seed: appending to one file loses and mixes nothing" checker "$mnt/churn/append" --append 500 --rest "$archive.rest"
    ok "seed $seed: each has its pieces of shared pages, with mappings" checker "$mnt/churn/share" --share "${SHARE:-5000}" --rest "$archive.rest"
    ok "seed $seed: end of moving" stop_churn
    ok "seed $seed: check finds nothing" clean_check
done
ok "umount" "$varve" umount "$mnt"
finish_tap

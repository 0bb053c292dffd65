#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that was told to go is gone when `varve` returns, and one that was killed is replaced.
# usage: daemon.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
if [ ! -w /dev/fuse ]; then
    echo "1..0 # SKIP no /dev/fuse"
    exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
make_work daemon
before_cleanup() { ! is_mounted "$work/mnt" || "$varve" umount "$work/mnt"; }
unmount_at_exit "$work/mnt"
cd "$work" || exit 1

not() { ! "$@"; }
pid() {
    "$varve" status a --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}
# ends PID: waits until the process is gone, at most 20 s.
ends() {
    for _ in $(seq 200); do
        # A zombie holds nothing any more; who reaps it is the caller's init.
        [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status" && return 0
        sleep 0.1
    done
    return 1
}

mkdir mnt
ok "init" "$varve" init a --media 4MiB --slots 3 --drives 1 --set 1+1
ok "mount, with the file limit of a login" bash -c "ulimit -S -n 1024; '$varve' mount a mnt"
ok "the mount answers at once" touch mnt/file
ok "status says where it is mounted" grep -q "$work/mnt" <("$varve" status a)
ok "from inside too" bash -c "cd mnt && '$varve' ls file"

first=$(pid)
ok "it may open as many files as the hard limit allows" \
    awk '/^Max open files/ { same = $4 == $5 } END { exit !same }' "/proc/$first/limits"
kill -HUP "$first"
sleep 0.5
ok "SIGHUP is told of and does no harm" grep -q "SIGHUP" a/varve.log
ok "still there" test -e mnt/file

exec 9< mnt/file
ok "umount is refused while a file is open" not "$varve" umount mnt
ok "and nothing changed" test -e mnt/file
exec 9<&-
ok "umount" "$varve" umount mnt
ok "the daemon is gone when it returns" ends "$first"
ok "so is its socket" not test -e a/varve.sock
ok "status works without it" grep -q "^mounted *no" <("$varve" status a)

ok "mount again" "$varve" mount a mnt
second=$(pid)
kill -KILL "$second"
ok "kill -9" ends "$second"
ok "it left its socket" test -S a/varve.sock
ok "a verb says that no daemon is there" grep -q "no daemon serves" <("$varve" flush a 2>&1)
ok "so does the mount" grep -q "is gone" <("$varve" status mnt 2>&1)
ok "a mount over the dead one is refused" not "$varve" mount a mnt
ok "umount of the dead one" "$varve" umount mnt
ok "mount in its place" "$varve" mount a mnt
ok "the file is there" test -e mnt/file
third=$(pid)
kill -TERM "$third"
ok "SIGTERM ends it" ends "$third"
ok "and unmounts" not mountpoint -q mnt

"$varve" mount a mnt --foreground > fg 2>&1 &
fourth=$!
for _ in $(seq 100); do
    mountpoint -q mnt && break
    sleep 0.1
done
ok "in the foreground it is the process itself" test "$(pid)" -eq "$fourth"
ok "umount of it" "$varve" umount mnt
wait "$fourth"
ok "it ends well" test $? -eq 0
ok "and logs to stderr" grep -q "serving" fg
finish_tap

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
dir=$(mktemp -d "${TMPDIR:-/tmp}/varve-daemon.XXXXXX") || exit 1
finish() {
    mountpoint -q "$dir/mnt" && "$varve" umount "$dir/mnt" > /dev/null 2>&1
    rm -rf "$dir"
}
trap finish EXIT
cd "$dir" || exit 1

count=0
failed=0
check() { # NAME COMMAND...
    local name=$1
    shift
    count=$((count + 1))
    if "$@" > out 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# /' out
        failed=1
    fi
}
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
check "init" "$varve" init a --media 4MiB --slots 3 --drives 1 --set 1+1
check "mount, with the file limit of a login" bash -c "ulimit -S -n 1024; '$varve' mount a mnt"
check "the mount answers at once" touch mnt/file
check "status says where it is mounted" grep -q "$dir/mnt" <("$varve" status a)
check "from inside too" bash -c "cd mnt && '$varve' ls file"

first=$(pid)
check "it may open as many files as the hard limit allows" \
    awk '/^Max open files/ { same = $4 == $5 } END { exit !same }' "/proc/$first/limits"
kill -HUP "$first"
sleep 0.5
check "SIGHUP is told of and does no harm" grep -q "SIGHUP" a/varve.log
check "still there" test -e mnt/file

exec 9< mnt/file
check "umount is refused while a file is open" not "$varve" umount mnt
check "and nothing changed" test -e mnt/file
exec 9<&-
check "umount" "$varve" umount mnt
check "the daemon is gone when it returns" ends "$first"
check "so is its socket" not test -e a/varve.sock
check "status works without it" grep -q "^mounted *no" <("$varve" status a)

check "mount again" "$varve" mount a mnt
second=$(pid)
kill -KILL "$second"
check "kill -9" ends "$second"
check "it left its socket" test -S a/varve.sock
check "a verb says that no daemon is there" grep -q "no daemon serves" <("$varve" flush a 2>&1)
check "so does the mount" grep -q "is gone" <("$varve" status mnt 2>&1)
check "a mount over the dead one is refused" not "$varve" mount a mnt
check "umount of the dead one" "$varve" umount mnt
check "mount in its place" "$varve" mount a mnt
check "the file is there" test -e mnt/file
third=$(pid)
kill -TERM "$third"
check "SIGTERM ends it" ends "$third"
check "and unmounts" not mountpoint -q mnt

"$varve" mount a mnt --foreground > fg 2>&1 &
fourth=$!
for _ in $(seq 100); do
    mountpoint -q mnt && break
    sleep 0.1
done
check "in the foreground it is the process itself" test "$(pid)" -eq "$fourth"
check "umount of it" "$varve" umount mnt
wait "$fourth"
check "it ends well" test $? -eq 0
check "and logs to stderr" grep -q "serving" fg
echo "1..$count"
exit $failed

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What programs see on a mount is what they see on ext4: results, errors and states of the same operations.
# posix.sh [SEED [COUNT]]: COUNT random sequences of 60 operations more (docs/testing.md).
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
[ -w /dev/fuse ] || skip_all "needs /dev/fuse"
needs python3 mkfs.ext4
mountvfs=${VARVE_MOUNTVFS:?names the program tests/lib/mountvfs}
handles=${POSIX_HANDLES:?names the program made of posix/handles.c}
directories=${POSIX_DIRECTORIES:?names the program made of posix/directories.c}

make_work posix
chmod 755 "$work" # the users of the test pass through it
m=$work/mnt plain=$work/plain
mkdir "$m" "$plain"
unmount_at_exit "$plain"
unmount_at_exit "$m"
truncate -s 512M "$work/image" && mkfs.ext4 -q -b 4096 -O ea_inode "$work/image" &&
    mount -o loop,relatime "$work/image" "$plain" 2>"$work/loop.log" || skip_all "no ext4 to compare with: $(tail -n 1 "$work/loop.log")"
start() { # start [OPTION]
    "$mountvfs" "$work/archive" "$m" "$@" 2>"$work/server.log" &
    server=$!
    until_true 20 is_mounted "$m"
}
again() { umount "$m" && wait "$server" && start "$@"; }
start || skip_all "cannot mount"
mkdir "$m/a" "$plain/a"

# pass_on PROGRAM ARGUMENTS: its TAP lines are ours.
pass_on() {
    local ended=no
    "$@" >"$work/tap"
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            tap_count=$((tap_count + 1))
            [ "${line%% *}" = ok ] || tap_failed=$((tap_failed + 1))
            sed "s/^\(ok\|not ok\) [0-9]*/\1 $tap_count/" <<<"$line"
            ;;
        "1.."*) ended=yes ;;
        *) echo "$line" ;;
        esac
    done <"$work/tap"
    ok "${1##*/} came to its end" equal yes $ended
}
for table in "$here"/posix/*.cases; do
    pass_on "$here/posix/differ.py" "$m/a" "$plain/a" table "$table"
done
pass_on "$here/posix/differ.py" "$m/a" "$plain/a" random "${1:-1}" "${2:-40}"
# The same where the kernel does not read and write the files by itself.
ok "is mounted without passthrough" again nopassthrough
for table in acls attributes names; do # data: holes of what is open for writing are not told then
    pass_on "$here/posix/differ.py" "$m/a" "$plain/a" table "$here/posix/$table.cases"
done
pass_on "$here/posix/differ.py" "$m/a" "$plain/a" random "${1:-1}" "$((${2:-40} / 3))"
ok "is mounted as before" again
mkdir "$m/directory" && pass_on "$directories" "$m/directory"

handles_survive() {
    mkdir -p "$m/h/d" && echo text >"$m/h/d/file" && echo gone >"$m/h/gone" && ln -s x "$m/h/link" &&
        mkfifo "$m/h/fifo" && echo moved >"$m/h/old" &&
        "$handles" save "$work/handles" "$m/h" "$m/h/d" "$m/h/d/file" "$m/h/gone" "$m/h/fifo" "$m/h/old" &&
        "$handles" open "$m" "$work/handles" >"$work/before" && cat "$work/before" &&
        grep -q '^file: [0-9]* 100000 text$' "$work/before" && again &&
        "$handles" open "$m" "$work/handles" | diff "$work/before" - &&
        rm "$m/h/gone" && mv "$m/h/old" "$m/h/d/new" &&
        "$handles" open "$m" "$work/handles" >"$work/after" && grep -qx 'gone: ESTALE' "$work/after" &&
        grep -q '^old: .* moved$' "$work/after" && again && echo new >"$m/h/gone" &&
        "$handles" open "$m" "$work/handles" | tee "$work/later" && grep -qx 'gone: ESTALE' "$work/later" &&
        grep -q '^old: .* moved$' "$work/later"
}
numbers_stay() { # inode numbers and places in directories, over mounts
    find "$m" -printf '%i %p\n' | sort -k 2 >"$work/numbers" && again &&
        find "$m" -printf '%i %p\n' | sort -k 2 | cmp - "$work/numbers"
}
blocks_of() { stat -c %b "$1"; }
blocks_tell_the_truth() {
    truncate -s 64M "$m/hole" && head -c 1M /dev/urandom >"$m/full" && cp "$m/full" "$m/part" &&
        truncate -s 64M "$m/part" && [ "$(blocks_of "$m/hole")" -le 8 ] &&
        [ "$(blocks_of "$m/full")" -ge 2048 ] && [ "$(blocks_of "$m/full")" -le 2100 ] &&
        [ "$(blocks_of "$m/part")" -ge 2048 ] && [ "$(blocks_of "$m/part")" -le 2100 ] &&
        fallocate -p -l 512K "$m/full" && [ "$(blocks_of "$m/full")" -le 1100 ] &&
        fallocate -n -l 8M "$m/full" && [ "$(blocks_of "$m/full")" -ge 16384 ] && again &&
        [ "$(blocks_of "$m/hole")" -le 8 ] && [ "$(blocks_of "$m/part")" -le 2100 ] &&
        [ "$(blocks_of "$m/full")" -ge 16384 ] && cp --sparse=auto "$m/part" "$m/copy" &&
        [ "$(blocks_of "$m/copy")" -le 2100 ] && cmp "$m/part" "$m/copy" &&
        tar -C "$m" -Scf "$work/sparse.tar" part hole && [ "$(stat -c %s "$work/sparse.tar")" -lt 2000000 ]
}
appends_from_processes() {
    python3 - "$m/log" <<'PY'
import os, sys
for writer in range(8):
    if os.fork() == 0:
        fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for i in range(400):
            line = b"%d %d %s\n" % (writer, i, b"x" * (i % 90))
            assert os.write(fd, line) == len(line)
        os._exit(0)
assert all(os.wait()[1] == 0 for _ in range(8))
lines = open(sys.argv[1], "rb").read().split(b"\n")
assert lines.pop() == b"" and len(lines) == 3200 and len(set(lines)) == 3200
assert all(len(line.split()[2:] and line.split()[2] or b"") == int(line.split()[1]) % 90 for line in lines)
PY
}
big_copies() { # longer than one request copies at a time
    head -c 40M /dev/urandom >"$m/big" && python3 - "$m/big" <<'PY' && cmp -n 41943040 "$m/big" "$m/big.copy"
import os, sys
a, b = os.open(sys.argv[1], os.O_RDWR), os.open(sys.argv[1] + ".copy", os.O_RDWR | os.O_CREAT)
left = os.fstat(a).st_size
while left:
    done = os.copy_file_range(a, b, left)
    assert 0 < done <= left
    left -= done
assert os.copy_file_range(a, a, 1 << 20, 0, 40 << 20) == 1 << 20
assert os.pread(a, 1 << 20, 40 << 20) == os.pread(a, 1 << 20, 0)
PY
}
no_files_without_names_after_a_crash() {
    python3 - "$m" "$server" <<'PY' 2>/dev/null
import os, sys
for _ in range(5):
    fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"x" * 100000)
    os.fsync(fd)
os.kill(int(sys.argv[2]), 9)
PY
    { wait "$server" || true; } 2>/dev/null
    umount -l "$m" && start && umount "$m" && wait "$server" &&
        python3 - "$work/archive" <<'PY'
import os, sqlite3, sys
catalog = sqlite3.connect(sys.argv[1] + "/catalog.sqlite")
assert catalog.execute("SELECT count(*) FROM inode WHERE nlink = 0").fetchone()[0] == 0
named = {row[0] for row in catalog.execute("SELECT file FROM content WHERE file <> 0")}
for tier in ("ssd", "hdd"):  # empty ones were made ahead; a daemon with an engine sweeps those
    for directory, _, files in os.walk(sys.argv[1] + "/" + tier + "/objects"):
        for name in files:
            assert int(name, 16) in named or os.path.getsize(directory + "/" + name) == 0, name
PY
}
ok "file handles are good after a restart, and stale once the file is gone" handles_survive
ok "inode numbers are the same after a restart" numbers_stay
ok "st_blocks tells holes from data, before and after a restart" blocks_tell_the_truth
ok "eight appending processes lose no byte" appends_from_processes
ok "copies longer than a request, and within a file" big_copies
ok "files without a name are gone after kill -9, with their bytes" no_files_without_names_after_a_crash
finish_tap

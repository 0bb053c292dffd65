#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who looks at the beginning of a migrated file moves no disc and waits for nothing; who reads more
# gets it in the order asked for, can be interrupted, and is held up by nobody's storm.
# usage: cold.sh VARVE SLOWMOUNT   (TAP)
set -u
varve=$(realpath "$1") || exit 1
slowmount=$(realpath "$2") || exit 1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/archive.sh"
needs_mounts
needs setpriv python3 getfattr
# Other users read in the mount: they must get there.
setpriv --reuid 1234 --regid 1234 --clear-groups test -x "${TMPDIR:-/tmp}" || TMPDIR=/tmp
make_work cold
chmod 755 "$work"
archive=$work/a
mnt=$work/mnt
src=$work/src
mkdir "$mnt" "$src"
unmount_at_exit "$mnt"
MOVE_MS=300 READ_MS=10 # of a disc; of a cluster

# --- an archive whose files lie on discs of their own ---
make_tree() {
    mkdir -p "$src"/{movie,mail,grep1,grep2,other,away}
    head -c 6000000 /dev/urandom >"$src/movie/film"
    printf '\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x01\x00\x08\x02\x00\x00\x00' >"$src/movie/picture"
    head -c 900000 /dev/urandom >>"$src/movie/picture"
    for i in $(seq 100); do head -c $((i * 300)) /dev/urandom >"$src/mail/$i"; done
    for i in 1 2; do
        for j in 1 2 3 4 5 6 7; do head -c 400000 /dev/urandom | base64 -w 70 >"$src/grep$i/$j"; done
    done
    head -c 1000000 /dev/urandom >"$src/other/file"
    head -c 700000 /dev/urandom >"$src/away/file"
}
make_archive() {
    local dir
    "$varve" init "$archive" --media 16MiB --slots 14 --drives 1 --set 1+1 &&
        "$varve" mount "$archive" "$mnt" && cp -a "$src/." "$mnt/" || return 1
    "$varve" archive "$mnt/movie" "$mnt/mail" --wait || return 1
    for dir in "$mnt"/{grep?,other,away}; do
        "$varve" archive "$dir" --wait || return 1
    done
    "$varve" release "$mnt" && "$varve" umount "$mnt"
}
serve() { # serve [MOVE_MS]: with nothing in the drive yet
    "$slowmount" "$archive" "$mnt" "${1:-$MOVE_MS}" $READ_MS 2>"$work/log" &
    server=$!
    until_true 20 is_mounted "$mnt"
}
stop() {
    umount "$mnt" && wait "$server"
}
moves() { wc -l <"$archive/moves"; }
# still COMMAND...: it succeeds and no disc moved meanwhile.
still() {
    local before
    before=$(moves)
    "$@" || return 1
    equal "$before moves" "$(moves) moves"
}
state_is() { equal "$1" "$(getfattr --only-values -n user.varve.state "$2")"; }
as() { # as UID COMMAND...
    local uid=$1
    shift
    setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# within MS COMMAND...
within() {
    local limit=$1 from to
    shift
    from=$(milliseconds)
    "$@" || return 1
    to=$(milliseconds)
    echo "took $((to - from)) ms of at most $limit"
    [ $((to - from)) -le "$limit" ]
}

before_cleanup() { [ -z "${server:-}" ] || kill "$server" 2>/dev/null; }
make_tree
ok "an archive, all on discs" make_archive
ok "as slow as hardware" serve
ok "nothing is resident" state_is migrated "$mnt/mail/1"

# --- the head cache ---
same_head() { # same_head FILE BYTES
    cmp <(head -c "$2" "$src/$1") <(head -c "$2" "$mnt/$1")
}
ok "ls -lR moves no disc" still ls -lR "$mnt"
ok "the first 200,000 bytes neither" still same_head movie/film 200000
ok "... up to the end of the head" still same_head movie/film 262144
ok "all of what is smaller than a head neither" still diff -r "$src/mail" "$mnt/mail"
if command -v file >/dev/null; then
    ok "file(1), which asks for more, neither" still grep -q PNG <(file "$mnt/movie/picture")
fi
mapped() {
    python3 - "$mnt/movie/film" "$src/movie/film" <<'END'
import mmap, sys
got, want = (open(name, "rb") for name in sys.argv[1:])
pages = mmap.mmap(got.fileno(), 0, prot=mmap.PROT_READ)
sys.exit(pages[:4096] != want.read(4096) or pages[65536:65540] != (want.seek(65536), want.read(4))[1])
END
}
ok "a mapping of the first page neither" still mapped
fast_heads() {
    python3 - "$mnt/mail" <<'END'
import os, statistics, sys, time
took = []
for name in sorted(os.listdir(sys.argv[1])):
    path = os.path.join(sys.argv[1], name)
    begun = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    os.pread(fd, 4096, 0)
    took.append((time.perf_counter() - begun) * 1000)
    os.close(fd)
took.sort()
print("open + read of a head: median %.3f ms, 90%% %.3f ms, most %.3f ms"
      % (statistics.median(took), took[len(took) * 9 // 10], took[-1]))
sys.exit(statistics.median(took) >= 2)
END
}
ok "open and read of a head take less than 2 ms (median of 100)" still fast_heads
fast_heads | sed 's/^/# /'
ok "all is migrated still" state_is migrated "$mnt/movie/film"

# --- estimates ---
eta() { getfattr --only-values -n user.varve.eta "$1"; }
eta_is_number() { eta "$1" | grep -Eqx '[1-9][0-9]*'; }
ok "user.varve.eta is a number of seconds" still eta_is_number "$mnt/movie/film"

# --- the order asked for ---
end_first() { # the recall is not over when a piece near the end is there, nor when one of the middle is
    python3 - "$src/movie/film" "$mnt/movie/film" <<'END'
import os, sys
want, got = (os.open(name, os.O_RDONLY) for name in sys.argv[1:])
for offset in 5000000, 2500000:
    assert os.pread(got, 65536, offset) == os.pread(want, 65536, offset)
    assert os.getxattr(sys.argv[2], "user.varve.state") == b"migrated", offset
END
}
ok "bytes near the end come before those in the middle have been read" end_first
whole() { cmp "$src/movie/film" "$mnt/movie/film"; }
ok "then the rest" whole
ok "a whole file is resident" until_true 5 state_is premigrated "$mnt/movie/film"
ok "... and has no estimate" fails eta "$mnt/movie/film"

# --- interruption, with an arm that takes its time ---
interrupted() { "$lib/interrupt" 0.3 1 "$@"; } # two moves take 2.4 s
reread() { # of the same file, while another reader is interrupted
    cmp "$src/other/file" "$mnt/other/file" &
    local other=$!
    interrupted cat "$mnt/other/file" >/dev/null && wait $other
}
serve_slowly() { stop && serve 1200; }
ok "a slower arm" serve_slowly
ok "SIGINT ends a write that waits" interrupted dd if=/dev/zero of="$mnt/grep1/1" bs=10 count=1 seek=40000 conv=notrunc status=none
ok "... a truncation" interrupted truncate -s 300000 "$mnt/grep2/1"
ok "... and nothing was changed" equal "$(stat -c %s "$src/grep1/1") $(stat -c %s "$src/grep2/1")" \
    "$(stat -c %s "$mnt/grep1/1") $(stat -c %s "$mnt/grep2/1")"
ok "... a read; another reader of the file gets it all the same" reread
ok "open with O_TRUNC needs no disc" still dd if=/dev/null of="$mnt/movie/picture" status=none
ok "what nobody waits for any more is not brought" sh -c "sleep 3; getfattr --only-values -n user.varve.state '$mnt/grep2/1' | grep -qx migrated"
mapped_end() { # a page fault beyond the head can be killed, not interrupted
    local reader from
    python3 -c 'import mmap, sys
file = open(sys.argv[1])
pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sys.exit(pages[390000] < 0)' "$mnt/grep2/3" &
    reader=$!
    sleep 0.4
    from=$(milliseconds)
    kill -KILL $reader || return 1
    wait $reader
    [ $(($(milliseconds) - from)) -lt 1000 ]
}
ok "SIGKILL ends a page fault that waits" mapped_end

# --- one user's storm ---
storm() { # user 1234 greps through fourteen files on two discs, eight at a time; user 1235 wants one file
    local storm from
    from=$(milliseconds)
    as 1234 bash -c 'ls "$1"/grep*/* | xargs -P 8 -n 1 grep -c nothing' _ "$mnt" >"$work/storm" 2>&1 &
    storm=$!
    sleep 1
    as 1235 cmp "$src/away/file" "$mnt/away/file" || return 1
    to=$(milliseconds)
    echo "the other user had his file after $((to - from)) ms"
    kill -0 $storm 2>/dev/null || { echo "the storm was over before" && return 1; }
    wait $storm
    echo "the storm was over after $(($(milliseconds) - from)) ms"
    equal 14 "$(grep -c '^0$' "$work/storm")"
}
serve_limited() { set_key recalls_per_user 2 && serve 500; }
release_again() { # by the real daemon
    stop && "$varve" mount "$archive" "$mnt" && "$varve" release "$mnt"/{grep?,away,other,mail} "$mnt/movie/film" &&
        "$varve" umount "$mnt"
}
ok "all on discs again" release_again
ok "two recalls at a time for each user" serve_limited
ok "a storm of one user holds up no other" storm

# --- rules ---
serve_rules() { release_again && set_key recall again && set_key recall_users 1236 && set_key scan_commands grep && serve; }
refused() { # refused WORDS COMMAND...
    local words=$1
    shift
    ! "$@" >/dev/null 2>"$work/why" && cat "$work/why" && grep -q "$words" "$work/why"
}
opens() { getfattr --only-values -n user.varve.opens "$mnt/mail/50"; }
scans_leave() {
    local before
    before=$(opens)
    for _ in 1 2 3; do grep -c nothing "$mnt/mail/50"; done
    equal "$before" "$(opens)" && cat "$mnt/mail/50" >/dev/null && equal $((before + 1)) "$(opens)"
}
ok "recall = again, but for user 1236; grep only scans" serve_rules
ok "a stranger gets EAGAIN, and no disc moves" still refused 'temporarily unavailable' as 1234 cat "$mnt/other/file"
ok "... though he may see the head" still as 1234 head -c 100000 "$mnt/other/file"
ok "... and a write is refused too" still refused 'Permission\|temporarily' as 1234 dd if=/dev/zero of="$mnt/other/file" conv=notrunc bs=1 count=1
ok "who scans heats nothing" still scans_leave
ok "the listed user waits" as 1236 cmp "$src/other/file" "$mnt/other/file"
ok "root may always" cmp "$src/movie/film" "$mnt/movie/film"
serve_deny() { stop && sed -i 's/^recall = .*/recall = deny/' "$archive/varve.conf" && serve; }
ok "recall = deny" serve_deny
ok "a stranger gets EACCES" still refused 'Permission denied' as 1234 cat "$mnt/away/file"

# --- discs that are elsewhere ---
export_away() {
    local disc
    stop && "$varve" mount "$archive" "$mnt" || return 1
    for disc in $(discs_where ".set == $(getfattr --only-values -n user.varve.set "$mnt/away/file")"); do
        "$varve" library export "$disc" --archive "$archive" || return 1
    done
}
ok "the discs of a set are taken out" export_away
ok "the estimate says what is where" says 'offline: disc VRV[0-9]+ .*exported' eta "$mnt/away/file"
ok "so does ls --json" says 'offline: disc' "$varve" ls "$mnt/away" --json
ok "a read says so at once" within 1500 refused 'No route to host' cat "$mnt/away/file"
ok "... and the log says which disc" grep -q 'read of inode .* fails: .*disc VRV' "$archive/varve.log"
ok "the head is there all the same" same_head away/file 262144
ok "status counts the heads" status_is '.heads.files > 100' true
ok "check finds nothing" clean_check
lose_heads() { # a start after a crash looks for what is missing
    kill -KILL "$(status_of .pid)" && "$varve" umount "$mnt" &&
        find "$archive/ssd/heads" -type f -delete && "$varve" mount "$archive" "$mnt"
}
ok "heads that somebody deleted" lose_heads
ok "... are forgotten" until_true 30 status_is .heads.files 0
ok "... and the files are read from discs" cmp "$src/mail/7" "$mnt/mail/7"
ok "check finds nothing" clean_check
clean_check() { "$varve" check "$archive" --json | jq -e '.report.findings == 0' >/dev/null; }
ok "umount" "$varve" umount "$mnt"
ok "check finds nothing without a daemon" clean_check
finish_tap

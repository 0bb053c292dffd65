#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mount behaves as any Linux filesystem does, for trees of real files and the programs people use.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"

[ "$(id -u)" -eq 0 ] || skip_all "needs root"
[ -w /dev/fuse ] || skip_all "needs /dev/fuse"
needs rsync git make cc setfattr getfattr python3
mountvfs=${VARVE_MOUNTVFS:?names the program tests/lib/mountvfs}

make_work fs-posix
m=$work/mnt
mkdir "$m" "$work/plain"
unmount_at_exit "$m"
server=
archive=$work/archive

start() {
    # shellcheck disable=SC2086 # words
    "$mountvfs" "$archive" "$m" ${VARVE_MOUNT_OPTIONS:-} 2>"$work/server.log" &
    server=$!
    until_true 20 is_mounted "$m"
}
stop() {
    umount "$m" && wait "$server"
}

# What `stat` says of a path, without names and numbers that differ between filesystems.
facts() { stat -c '%F %a %U:%G %h %s %Y' "$1"; }

copies_a_tree() {
    local source=/usr/share/perl
    [ -d $source ] || source=/usr/share
    cp -a $source "$m/tree" &&
        [ -z "$(rsync -aHAXcni --delete $source/ "$m/tree/")" ] &&
        diff -r --no-dereference $source "$m/tree"
}
tar_round_trip() {
    tar -C "$m" -cf "$work/plain/tree.tar" tree && mkdir "$m/untar" &&
        tar -C "$m/untar" -xpf "$work/plain/tree.tar" &&
        [ -z "$(rsync -aHXcni --delete "$m/tree/" "$m/untar/tree/")" ]
}
git_works() {
    mkdir "$m/repo" && cd "$m/repo" || return 1
    export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
    git init -q . && cp -a "$m/tree/." . && git add -A && git commit -qm one &&
        git mv "$(git ls-files | head -n 1)" moved && git commit -qam two &&
        git gc -q && git fsck --full && [ -z "$(git status --porcelain)" ] &&
        git checkout -q HEAD~1 && git clone -q . ../clone && git -C ../clone fsck --full
}
builds_c() {
    mkdir "$m/build" && cd "$m/build" || return 1
    for i in 1 2 3 4 5 6 7 8; do
        echo "int f$i(void) { return $i; }" >"f$i.c"
    done
    printf 'int f1(void); int f8(void); int main(void) { return f1() + f8() - 9; }\n' >main.c
    printf 'OBJ = main.o f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o\nprog: $(OBJ)\n\tcc -o $@ $(OBJ)\n' \
        >Makefile
    make -s -j4 && ./prog && touch f3.c && make -n | grep -q 'f3.c' && ! make -n | grep -q 'f4.c'
}
hard_links() {
    cd "$m" && echo one >l1 && ln l1 l2 && echo two >>l2 && equal "one two" "$(xargs <l1)" &&
        equal 2 "$(stat -c %h l1)" && equal "$(stat -c %i l1)" "$(stat -c %i l2)" && rm l1 &&
        equal 1 "$(stat -c %h l2)" && equal "one two" "$(xargs <l2)"
}
symlinks() {
    local long
    long=$(printf 'x%.0s' {1..1000})
    cd "$m" && ln -s "$long" s1 && equal "$long" "$(readlink s1)" && ln -s l2 s2 &&
        equal "one two" "$(xargs <s2)" && ! ln -s other s2
}
special_files() {
    cd "$m" && mkfifo fifo && mknod dev c 1 3 && equal "1 3" "$(stat -c '%t %T' dev)" &&
        equal fifo "$(stat -c %F fifo)" && { echo through >fifo & } && equal through "$(cat fifo)"
}
xattrs() {
    cd "$m" && echo x >xa && setfattr -n user.a -v 1 xa && setfattr -n user.b -v 0x00ff xa &&
        equal 1 "$(getfattr --only-values -n user.a xa)" &&
        equal "user.a user.b" "$(getfattr xa | grep -v '^#' | grep -v varve | sort | xargs)" &&
        setfattr -x user.a xa && ! getfattr -n user.a xa &&
        equal resident "$(getfattr --only-values -n user.varve.state xa)" &&
        ! setfattr -n user.varve.state -v sealed xa
}
xattr_sizes() {
    python3 - "$m/xa" <<'PY'
import os, sys
path = sys.argv[1]
os.setxattr(path, "user.big", b"v" * 60000)
assert os.getxattr(path, "user.big") == b"v" * 60000
os.setxattr(path, "user.empty", b"")
assert os.getxattr(path, "user.empty") == b""
for flag, name, want in ((os.XATTR_CREATE, "user.big", 17), (os.XATTR_REPLACE, "user.no", 61)):
    try:
        os.setxattr(path, name, b"x", flag)
        sys.exit("flag was ignored")
    except OSError as error:
        assert error.errno == want, error
PY
}
renames() {
    cd "$m" && mkdir -p r/a r/b/full && echo 1 >r/f1 && echo 2 >r/f2 && mv r/f1 r/f2 &&
        equal 1 "$(cat r/f2)" && [ ! -e r/f1 ] && mv -T r/a r/c && [ -d r/c ] &&
        ! mv -T r/c r/b && ! mv r r/b/inside && python3 - "$m/r" <<'PY'
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    return 0 if libc.renameat2(-100, a, -100, b, flags) == 0 else ctypes.get_errno()
open("x", "w").write("x"); open("y", "w").write("y")
assert rename2(b"x", b"y", 1) == 17          # RENAME_NOREPLACE: EEXIST
assert rename2(b"x", b"y", 2) == 0           # RENAME_EXCHANGE
assert open("x").read() == "y" and open("y").read() == "x"
assert rename2(b"x", b"b", 2) == 0           # file with directory
assert os.path.isdir("x") and os.path.isfile("b")
assert rename2(b"none", b"z", 0) == 2
PY
}
ranges() { # the same operations on the mount and beside it give the same bytes and sizes
    python3 - "$m/ranges" "$work/plain/ranges" <<'PY'
import ctypes, hashlib, os, random, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
def run(path):
    rng = random.Random(7)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    log = []
    for _ in range(400):
        op = rng.randrange(7)
        at, size = rng.randrange(1 << 20), rng.randrange(1, 1 << 17)
        if op <= 2: os.pwrite(fd, rng.randbytes(size), at)
        elif op == 3: os.ftruncate(fd, at)
        elif op == 4: libc.fallocate(fd, 3, at, size)   # PUNCH_HOLE | KEEP_SIZE
        elif op == 5: libc.fallocate(fd, 0, at, size)
        else: log.append(hashlib.sha256(os.pread(fd, size, at)).hexdigest())
        log.append(os.fstat(fd).st_size)
    os.lseek(fd, 0, 0)
    log.append(hashlib.sha256(os.read(fd, 1 << 24)).hexdigest())
    os.close(fd)
    return log
a, b = run(sys.argv[1]), run(sys.argv[2])
assert a == b, next((i, x, y) for i, (x, y) in enumerate(zip(a, b)) if x != y)
PY
}
holes() {
    cd "$m" && truncate -s 8M sparse && printf x | dd of=sparse bs=1 seek=4194304 conv=notrunc &&
        python3 - "$m/sparse" "$work/plain/sparse" <<'PY'
import errno, os, sys
with open(sys.argv[1], "rb") as f:
    fd = f.fileno()
    assert os.lseek(fd, 0, os.SEEK_DATA) <= 4 << 20
    assert os.lseek(fd, 4 << 20, os.SEEK_DATA) == 4 << 20
    assert os.lseek(fd, 4 << 20, os.SEEK_HOLE) <= 8 << 20
    try:
        os.lseek(fd, 8 << 20, os.SEEK_DATA)
        sys.exit("data behind the end")
    except OSError as error:
        assert error.errno == errno.ENXIO
PY
}
appends() {
    cd "$m" && : >log && for writer in 1 2 3 4; do
        (for i in $(seq 500); do echo "$writer $i" >>log; done) &
        pids[writer]=$!
    done && wait "${pids[@]}" && equal 2000 "$(wc -l <log)" && equal 2000 "$(sort -u log | wc -l)"
}
unlinked_open() {
    cd "$m" && python3 - <<'PY'
import os
fd = os.open("gone", os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b"before"); os.unlink("gone"); os.write(fd, b" after")
assert os.pread(fd, 100, 0) == b"before after" and os.fstat(fd).st_nlink == 0
os.ftruncate(fd, 3); assert os.fstat(fd).st_size == 3
assert not os.path.exists("gone"); os.close(fd)
PY
}
maps() {
    cd "$m" && python3 - <<'PY'
import mmap, os
fd = os.open("mapped", os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(fd, 65536)
with mmap.mmap(fd, 65536) as area:
    area[5000:5004] = b"mmap"; area.flush()
assert os.pread(fd, 4, 5000) == b"mmap"
os.close(fd)
PY
}
copies_ranges() {
    cd "$m" && head -c 3000000 /dev/urandom >c1 && python3 - <<'PY' && cmp c1 c2
import os
a, b = os.open("c1", os.O_RDONLY), os.open("c2", os.O_RDWR | os.O_CREAT, 0o600)
left = os.fstat(a).st_size
while left:
    done = os.copy_file_range(a, b, left)
    assert done > 0
    left -= done
PY
}
modes() {
    cd "$m" && (umask 027 && : >m1 && mkdir m2) && equal 640 "$(stat -c %a m1)" &&
        equal 750 "$(stat -c %a m2)" && chmod 4751 m1 && equal 4751 "$(stat -c %a m1)" &&
        chown 1:1 m1 && equal "1:1" "$(stat -c %u:%g m1)" && touch -d '2001-02-03 04:05:06.789' m1 &&
        equal 789000000 "$(stat -c %.9Y m1 | cut -d. -f2)" && touch -h -d @1 s1 && equal 1 "$(stat -c %Y s1)"
}
setuid_goes() { # an unprivileged write strips it, as on any filesystem
    cd "$m" && echo x >su && chmod 6777 su &&
        setpriv --reuid 1 --regid 1 --clear-groups sh -c 'echo y >>su' && equal 777 "$(stat -c %a su)"
}
permissions() {
    cd "$m" && echo secret >p && chmod 600 p && mkdir -m 1777 sticky && echo x >sticky/mine &&
        not_as_nobody cat p && not_as_nobody touch new-at-root && not_as_nobody rm -f sticky/mine &&
        setpriv --reuid 1 --regid 1 --clear-groups sh -c 'echo 1 >sticky/his' &&
        equal "1:1" "$(stat -c %u:%g sticky/his)" && mkdir -m 2777 sgid && chgrp 7 sgid &&
        chmod g+s sgid && : >sgid/f && equal 7 "$(stat -c %g sgid/f)" && mkdir sgid/d &&
        equal 2 "$(stat -c %a sgid/d | cut -c1)"
}
not_as_nobody() { ! setpriv --reuid 1 --regid 1 --clear-groups "$@"; }
errors() {
    cd "$m" && python3 - <<'PY'
import errno, os
def wants(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == number, (call, arguments, error)
        return
    raise SystemExit("%s%s went well" % (call, arguments))
os.mkdir("e"); open("e/f", "w").close()
wants(errno.ENOTEMPTY, os.rmdir, "e")
wants(errno.EEXIST, os.mkdir, "e")
wants(errno.ENOTDIR, os.rmdir, "e/f")
wants(errno.ENOTDIR, os.open, "e/f/x", os.O_RDONLY)
wants(errno.EISDIR, os.unlink, "e")
wants(errno.ENOENT, os.stat, "e/none")
wants(errno.EISDIR, os.open, "e", os.O_WRONLY)
wants(errno.EEXIST, os.open, "e/f", os.O_CREAT | os.O_EXCL)
wants(errno.ENAMETOOLONG, os.mkdir, "n" * 256)
wants(errno.EPERM, os.link, "e", "e2")
os.mkdir("n" * 255); os.rmdir("n" * 255)
PY
}
link_counts() {
    cd "$m" && mkdir -p d/a d/b && equal 4 "$(stat -c %h d)" && rmdir d/a && equal 3 "$(stat -c %h d)"
}
statfs_makes_sense() {
    df -P "$m" && [ "$(stat -f -c %b "$m")" -gt 0 ] && [ "$(stat -f -c %a "$m")" -gt 0 ] &&
        equal fuse.varve "$(findmnt -n -o FSTYPE "$m")" && equal "$work/archive" "$(findmnt -n -o SOURCE "$m")"
}
many_files() {
    mkdir "$m/many" && cd "$m/many" && seq 20000 | xargs touch && equal 20000 "$(ls | wc -l)" &&
        equal 20000 "$(ls -lR . | grep -c '^-')" && seq 1 2 20000 | xargs rm &&
        equal 10000 "$(find . -type f | wc -l)" && rm -r "$m/many"
}
# The kernel keeps listings: each change of a name must show in the next one, and in one read from its beginning again.
listings_follow() {
    mkdir "$m/listed" "$m/beside" && cd "$m/listed" && python3 - <<'PYTHON'
import os
def names(): return sorted(os.listdir("."))
names()
for change, wanted in (
    (lambda: open("a", "w").close(), ["a"]),
    (lambda: os.link("a", "b"), ["a", "b"]),
    (lambda: os.rename("b", "c"), ["a", "c"]),
    (lambda: os.mkdir("d"), ["a", "c", "d"]),
    (lambda: os.symlink("x", "e"), ["a", "c", "d", "e"]),
    (lambda: os.rename("c", "../beside/c"), ["a", "d", "e"]),
    (lambda: os.rmdir("d"), ["a", "e"]),
    (lambda: os.rename("e", "a"), ["a"]),
    (lambda: os.unlink("a"), []),
):
    change()
    assert names() == wanted == names(), (names(), wanted)
folder = os.open(".", os.O_RDONLY)
assert os.listdir(folder) == []
open("again", "w").close()
assert os.listdir(folder) == ["again"]  # os.listdir rewinds
assert os.listdir("../beside") == ["c"]
PYTHON
}
removes_while_listing() {
    mkdir "$m/list" && cd "$m/list" && seq 3000 | xargs touch && python3 - <<'PY'
import os
seen = set()
for entry in os.scandir("."):
    assert entry.name not in seen
    seen.add(entry.name)
    os.unlink(entry.name)
assert len(seen) == 3000 and os.listdir(".") == []
PY
}
parallel_writers() {
    mkdir "$m/par" && for i in 1 2 3 4; do
        (for j in $(seq 200); do echo "$i $j" >"$m/par/$i-$j" || exit 1; done) &
        pids[i]=$!
    done && for i in 1 2 3 4; do wait "${pids[i]}" || return 1; done &&
        equal 800 "$(ls "$m/par" | wc -l)" && equal "3 77" "$(cat "$m/par/3-77")"
}
remount_keeps() {
    cd / && manifest "$m" >"$work/before" && stop && start && manifest "$m" >"$work/after" &&
        cmp "$work/before" "$work/after"
}
# Whatever was fsynced before the kill is there after it, with these bytes.
survives_kill() {
    cd / && python3 - "$m" <<'PY' || return 1
import os, sys
os.mkdir(sys.argv[1] + "/synced")
for i in range(50):
    path = "%s/synced/%d" % (sys.argv[1], i)
    fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT, 0o640)
    os.write(fd, b"%d" % i * 5000); os.fsync(fd); os.close(fd)
    os.rename(path + ".tmp", path)
d = os.open(sys.argv[1] + "/synced", os.O_RDONLY); os.fsync(d); os.close(d)
PY
    for i in $(seq 100); do echo "$i" >"$m/unsynced-$i"; done
    manifest "$m/synced" >"$work/synced"
    kill -9 "$server" && { wait "$server" || true; } 2>/dev/null
    ! stat "$m" 2>/dev/null && umount -l "$m" && start &&
        manifest "$m/synced" | cmp - "$work/synced" && [ -d "$m/tree" ] &&
        diff -r --no-dereference "$m/tree" "$m/untar/tree"
}
second_mount_is_refused() {
    local output
    ! output=$("$mountvfs" "$work/other" "$m" 2>&1) && grep -q 'is in use' <<<"$output"
}
sigterm_stops() {
    cd / && kill -TERM "$server" && wait "$server" && ! is_mounted "$m"
}
# In an archive of its own: a kill leaves files that only the engine's check sweeps up.
no_backing_files_left() {
    archive=$work/archive2
    start && cp -a /usr/share/perl "$m/tree" && echo x >"$m/f" && cp "$m/f" "$m/f2" && mv "$m/f" "$m/f2" &&
        rm -rf "$m/tree" "$m/f2" && stop &&
        equal 0 "$(find "$archive/ssd/objects" "$archive/hdd/objects" -type f | wc -l)"
}

ok "mounts" start
ok "cp -a of a real tree gives an equal tree" copies_a_tree
ok "tar out and in gives an equal tree" tar_round_trip
ok "git init, commit, gc, fsck, clone" git_works
ok "make and cc, rebuilding only what changed" builds_c
ok "hard links are one file" hard_links
ok "symlinks" symlinks
ok "fifos and devices" special_files
ok "extended attributes, and those of varve are read-only" xattrs
ok "extended attributes of all sizes, with their flags" xattr_sizes
ok "rename replaces, refuses, exchanges" renames
ok "writes, truncates, holes and preallocation as beside the mount" ranges
ok "SEEK_DATA and SEEK_HOLE" holes
ok "four appending writers lose no line" appends
ok "an unlinked file lives until it is closed" unlinked_open
ok "shared mappings reach the file" maps
ok "copy_file_range" copies_ranges
ok "modes, owners, times" modes
ok "a write strips setuid" setuid_goes
ok "permissions, sticky and setgid directories" permissions
ok "errors are those of POSIX" errors
ok "link counts of directories" link_counts
ok "df and the mount table say what it is" statfs_makes_sense
ok "20,000 files in one directory" many_files
ok "a listing shows every change before it" listings_follow
ok "removing while listing sees every name once" removes_while_listing
ok "parallel writers" parallel_writers
ok "a second mount at the same place is refused" second_mount_is_refused
ok "unmounting and mounting again shows the same" remount_keeps
ok "kill -9 loses nothing that was synced" survives_kill
ok "SIGTERM unmounts" sigterm_stops
ok "removed files leave nothing on the tiers" no_backing_files_left
[ $tap_failed -eq 0 ] || sed 's/^/# /' "$work/server.log"
finish_tap

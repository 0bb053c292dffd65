#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs we did not write, and that check what they do themselves, find nothing wrong with the mount:
# on fresh files and on files that were archived and released before.
# usage: judges-fs.sh VARVE SOURCE [SECONDS [JUDGE...]]   (TAP)
# SOURCE: this repository, for git and the compiler. SECONDS: for each that can run on (2); 30 is a campaign.
# JUDGE: only these of: fio stress dbench git tar rsync build sqlite
set -u
varve=$(realpath "$1") source=$(realpath "$2") || exit 1
seconds=${3:-2}
judges=("${@:4}")
[ ${#judges[@]} -gt 0 ] || judges=(fio stress dbench git tar rsync build sqlite)
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work judges-fs
archive=$work/archive mnt=$work/mnt
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt" || umount -l "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt"
export GIT_CONFIG_GLOBAL=$work/gitconfig GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
printf '[safe]\n\tdirectory = *\n' >"$GIT_CONFIG_GLOBAL"

# judge PROGRAM WORDS COMMAND...: skipped, and says so, where the program is not installed.
judge() {
    local program=$1
    shift
    if command -v "$program" >/dev/null; then
        ok "$@"
    else
        tap_count=$((tap_count + 1))
        echo "ok $tap_count - $1 # SKIP $program is not installed"
    fi
}
make_archive() {
    "$varve" init "$archive" --library virtual --media 64MiB --slots 60 --drives 2 --set 2+1 || return 1
    sed -i 's/^policy_interval *=.*/policy_interval = 365d/' "$archive/varve.conf"
    "$varve" mount "$archive" "$mnt"
}
archive_and_release() { # archive_and_release PATH: all of it that has bytes is only on discs then
    # What a program has just closed may be on its way to us still.
    sync -f "$1" && "$varve" archive "$1" --wait && until_true 10 "$varve" release "$1" || return 1
    "$varve" ls -R "$1" --json |
        jq -e '[.files[] | select(.type == "file" and .size > 0 and .state != "migrated")] == []' >/dev/null
}
remount() { "$varve" umount "$mnt" && "$varve" mount "$archive" "$mnt"; }

# --- fio ---
fio_on() { # fio_on ENGINE DIRECT MORE...
    local engine=$1 direct=$2
    shift 2
    mkdir -p "$mnt/fio" && timeout $((seconds * 20 + 60)) fio --name="$engine-$direct" --directory="$mnt/fio" \
        --filesize=8m --io_size=$((seconds * 4))m --rw=randrw --bsrange=512-64k --ioengine="$engine" --direct="$direct" \
        --verify=crc32c --verify_fatal=1 --verify_backlog=64 --iodepth=8 --numjobs=2 --randseed=7 "$@"
}
fio_written() { # then to be verified by fio_verified, with the same options
    timeout 120 fio --name=later --directory="$mnt/fio" --size=8m --rw=randwrite --bs=4k --ioengine=psync \
        --verify=crc32c --randseed=11 --minimal "$@"
}
judge_fio() {
    local engine
    for engine in psync sync mmap libaio; do
        judge fio "fio: random reads and writes by $engine" fio_on $engine 0
    done
    for engine in psync libaio; do
        judge fio "fio: random reads and writes by $engine, O_DIRECT" fio_on $engine 1 --bs=4k
    done
    judge fio "fio: written, not looked at" fio_written --do_verify=0
    judge fio "fio: ... archived and released" archive_and_release "$mnt/fio"
    judge fio "fio: ... verified from the discs" fio_written --verify_only
    judge fio "fio: ... released again" archive_and_release "$mnt/fio"
    judge fio "fio: ... random reads and writes on what is only on discs" fio_on psync 0
}

# --- stress-ng: one worker of each, all at the same time; what is not listed has no file, needs a device or goes to
# all filesystems of the machine (getdent, io). fiemap and verity are what no FUSE filesystem has.
stress() { # stress STRESSOR...
    local options=() name
    for name in "$@"; do
        options+=("--$name" 1)
    done
    mkdir -p "$mnt/stress" && timeout -k 5 $((seconds + 60)) stress-ng "${options[@]}" --temp-path "$mnt/stress" --verify \
        --timeout $((seconds + 1))s --hdd-bytes 16m --iomix-bytes 16m --readahead-bytes 16m --seek-size 16m \
        --fallocate-bytes 16m --sync-file-bytes 16m --mmap-bytes 8m --dirdeep-inodes 500 --dentries 500 --mmap-file
}
judge_stress() {
    judge stress-ng "stress-ng: attributes" stress access chmod chown fcntl file-ioctl fstat handle inode-flags utime xattr
    judge stress-ng "stress-ng: names" stress chdir dentry dir dirdeep dirmany dnotify filename inotify link mknod open \
        rename symlink touch
    judge stress-ng "stress-ng: bytes" stress aio copy-file fallocate fpunch fsize hdd iomix readahead seek sendfile \
        splice sync-file
    judge stress-ng "stress-ng: mappings" stress fault mmap msync msyncmany rmap
    judge stress-ng "stress-ng: locks" stress flock lease locka lockf lockofd
    judge stress-ng "stress-ng: leaves nothing" equal "" "$(find "$mnt/stress" -mindepth 1 2>/dev/null)"
}

# --- dbench ---
judge_dbench() {
    local load=/usr/share/dbench/client.txt
    mkdir -p "$mnt/dbench"
    judge dbench "dbench: 4 clients" timeout $((seconds + 120)) dbench -t "$seconds" -D "$mnt/dbench" -c "$load" 4
    judge dbench "dbench: 2 clients that fsync, with extended attributes" timeout $((seconds + 120)) \
        dbench -F -x -t "$seconds" -D "$mnt/dbench" -c "$load" 2
}

# --- git ---
# A checkout that is a release has no history: it gets one.
make_repository() {
    git -C "$source" rev-parse HEAD >/dev/null 2>&1 && git clone -q --no-hardlinks --bare "$source" "$work/repository" ||
        { git init -q "$work/plain" && cp -a "$source"/{docs,src,include,fs,tests} "$work/plain/" &&
            git -C "$work/plain" add -A && git -C "$work/plain" commit -qm all &&
            git clone -q --bare "$work/plain" "$work/repository"; }
}
is_clean() { git -C "$1" fsck --full && equal "" "$(git -C "$1" status --porcelain)"; }
git_gc() { git -C "$mnt/git" gc -q --prune=now && is_clean "$mnt/git"; }
git_goes_on() {
    git -C "$mnt/git" checkout -q -b other && echo more >>"$mnt/git/docs/style.md" && git -C "$mnt/git" commit -qam more &&
        git -C "$mnt/git" checkout -q - && git -C "$mnt/git" merge -q other && is_clean "$mnt/git"
}
judge_git() {
    judge git "git: a repository" make_repository
    judge git "git: clone" git clone -q --no-local "$work/repository" "$mnt/git"
    judge git "git: fsck, status" is_clean "$mnt/git"
    judge git "git: gc" git_gc
    judge git "git: archived and released" archive_and_release "$mnt/git"
    judge git "git: fsck, status from the discs" is_clean "$mnt/git"
    judge git "git: commit and merge on it" git_goes_on
}

# --- tar and rsync, of a tree with everything in it ---
hostile_tree() {
    [ -d "$work/source" ] || { mkdir "$work/source" && real_files "$work/source/usr" 400 && hostile_files "$work/source"; }
}
tar_in() { tar -C "$work/source" --xattrs -cf "$work/in.tar" . && mkdir "$mnt/tar" && tar -C "$mnt/tar" --xattrs -xpf "$work/in.tar"; }
tar_compares() { tar -C "$mnt/tar" --xattrs -df "$work/in.tar"; }
tar_out() { tar -C "$mnt/tar" --xattrs -cf "$work/out.tar" . && tar -C "$work/source" --xattrs -df "$work/out.tar"; }
judge_tar() {
    ok "tar: a tree" hostile_tree
    judge tar "tar: extracted" tar_in
    judge tar "tar: d finds no difference" tar_compares
    judge tar "tar: created from the mount, the same" tar_out
    judge tar "tar: archived and released" archive_and_release "$mnt/tar"
    judge tar "tar: d finds no difference on the discs" tar_compares
}
rsync_to() { rsync -aHAX "$1/" "$2/" && equal "" "$(rsync -aHAXni --checksum --delete "$1/" "$2/")"; }
rsync_again() { # what is only on discs is changed by rsync's own way, in place and by rename
    find "$work/source/usr" -type f -size +20k | head -n 5 | while IFS= read -r file; do echo "changed" >>"$file"; done
    rsync -aHAX --inplace --no-whole-file "$work/source/" "$mnt/rsync/" &&
        find "$work/source/usr" -type f -size +10k | tail -n 5 | while IFS= read -r file; do echo "changed" >>"$file"; done &&
        rsync_to "$work/source" "$mnt/rsync"
}
judge_rsync() {
    ok "rsync: a tree" hostile_tree
    judge rsync "rsync: into the mount" rsync_to "$work/source" "$mnt/rsync"
    judge rsync "rsync: out of it" rsync_to "$mnt/rsync" "$work/rsync-out"
    judge rsync "rsync: archived and released" archive_and_release "$mnt/rsync"
    judge rsync "rsync: changes on what is only on discs" rsync_again
}

# --- a compiler: some of this program is built inside the mount ---
build() {
    mkdir "$mnt/build" && (cd "$source" && tar -cf - --exclude=.git --exclude='build*' .) | tar -C "$mnt/build" -xf - &&
        cd "$mnt/build" && CCACHE_DISABLE=1 meson setup out . >"$work/meson" && CCACHE_DISABLE=1 ninja -C out "$@" &&
        ninja -C out -n "$@" | grep -q 'no work to do'
}
build_after_change() { # only what depends on it, with the rest on discs
    touch "$mnt/build/src/base/text.c" && CCACHE_DISABLE=1 ninja -v -C "$mnt/build/out" src/base/libvarve_base.a >"$work/ninja" &&
        grep -q 'base/text.c' "$work/ninja" && ! grep -q 'base/crc' "$work/ninja"
}
judge_build() {
    local targets=(src/base/libvarve_base.a)
    [ "$seconds" -le 5 ] || targets+=(src/disc/libvarve_disc.a src/catalog/libvarve_catalog.a tools/varve)
    judge meson "compiler: meson, ninja, and nothing left to do" build "${targets[@]}"
    judge meson "compiler: archived and released" archive_and_release "$mnt/build"
    judge meson "compiler: builds again what changed" build_after_change
}

# --- SQLite: several processes; killed writers; a killed daemon ---
sqlite_judge() { "$lib/sqlite-judge" "$@"; }
sqlite_daemon_dies() { # sqlite_daemon_dies JOURNAL: what was committed before is there afterwards
    local pid
    sqlite_judge write "$mnt/sqlite/$1" "$work/rows-$1" "$1" "$seconds" >"$work/sqlite-out" &
    pid=$!
    sleep 0.7
    kill -KILL "$(status_of .pid)"
    wait $pid # however they end
    umount -l "$mnt"
    until_true 10 "$varve" mount "$archive" "$mnt" && sqlite_judge check "$mnt/sqlite/$1" "$work/rows-$1"
}
judge_sqlite() {
    local journal
    mkdir -p "$mnt/sqlite"
    for journal in WAL DELETE; do
        judge python3 "SQLite, $journal: several processes" sqlite_judge write "$mnt/sqlite/$journal" "$work/rows-$journal" $journal "$seconds"
        judge python3 "SQLite, $journal: writers are killed" sqlite_judge kill "$mnt/sqlite/$journal" "$work/rows-$journal" $journal "$seconds"
        judge python3 "SQLite, $journal: all is there" sqlite_judge check "$mnt/sqlite/$journal" "$work/rows-$journal"
        judge python3 "SQLite, $journal: the daemon is killed" sqlite_daemon_dies $journal
        judge python3 "SQLite, $journal: archived and released" archive_and_release "$mnt/sqlite"
        judge python3 "SQLite, $journal: all is there, from the discs" sqlite_judge check "$mnt/sqlite/$journal" "$work/rows-$journal"
        judge python3 "SQLite, $journal: goes on" sqlite_judge write "$mnt/sqlite/$journal" "$work/rows-$journal" $journal 1
        judge python3 "SQLite, $journal: all is there" sqlite_judge check "$mnt/sqlite/$journal" "$work/rows-$journal"
    done
}

ok "an archive" make_archive
for name in "${judges[@]}"; do
    began=$SECONDS
    "judge_$name"
    echo "# $name: $((SECONDS - began)) s"
done
ok "mounted again" remount
ok "check finds nothing" clean_check
ok "umount" "$varve" umount "$mnt"
finish_tap

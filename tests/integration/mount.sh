#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mount(8), fstab(5), umount(8) and mount.fuse(8) do with an archive what they do with any
# filesystem, and every option of the mount is true of what programs see.
# usage: mount.sh VARVE   (TAP)
#
# In a mount namespace of its own with the helpers laid over /sbin, which is where mount(8) looks.
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
needs unshare setpriv findmnt python3
if [ "${2:-}" != inside ]; then
    unshare --mount --propagation private true 2>/dev/null || skip_all "no mount namespaces here"
    exec unshare --mount --propagation private "$0" "$varve" inside
fi

make_work mount
cd "$work" || exit 1
chmod 755 .
mnt=$work/mnt
sbin=$(realpath /sbin)
before_cleanup() {
    ! mountpoint -q "$mnt" || umount "$mnt" || umount -l "$mnt"
    umount -l /run/mount
    umount -l "$sbin"
    umount -l over
}
mkdir over
mount -t tmpfs tmpfs over && mkdir over/up over/work
mount -t overlay -o "lowerdir=$sbin,upperdir=over/up,workdir=over/work" overlay "$sbin" 2>/dev/null ||
    skip_all "no overlay filesystem to lay the helpers over $sbin"
for name in varve mount.varve mount.fuse.varve umount.varve umount.fuse.varve; do
    ln -sf "$varve" "$sbin/$name"
done
# umount(8) keeps its table here.
mkdir -p /run/mount table && mount --bind table /run/mount
archive=$work/archive
mkdir "$mnt"
"$varve" init "$archive" --media 4MiB --slots 4 --drives 1 --set 1+1 >/dev/null || exit 1

# mounts OPTIONS: as type varve.
mounts() { mount -t varve -o "$1" "$archive" "$mnt"; }
unmounts() { umount "$mnt"; }
mounted_with() { findmnt -n -o OPTIONS "$mnt" | tr , '\n' | grep -qx "$1"; }
daemon_pid() { status_of .pid; }
# A zombie holds nothing any more, once its last thread is one; who reaps it is the caller's init.
gone() {
    [ ! -e "/proc/$1" ] ||
        { grep -q '^State:.*Z' "/proc/$1/status" && [ "$(ls "/proc/$1/task")" = "$1" ]; }
}
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
atime() { stat -c %x "$1"; }
# The read time that a read leaves: kept, or moved.
read_moves() { # read_moves PATH
    local before
    before=$(atime "$1")
    sleep 0.02
    if [ -d "$1" ]; then ls "$1" >/dev/null; else cat "$1" >/dev/null; fi
    [ "$before" != "$(atime "$1")" ]
}
read_keeps() { fails read_moves "$1"; }
make_old() { touch -a -d "$1" "$2"; } # make_old DATE PATH

# --- the types ---
ok "mount -t fuse.varve" mount -t fuse.varve "$archive" "$mnt"
ok "it is of that type" equal fuse.varve "$(findmnt -n -o FSTYPE "$mnt")"
ok "its device is the archive" equal "$archive" "$(findmnt -n -o SOURCE "$mnt")"
ok "read-write, with the defaults of mount(8)" mounted_with rw
not_ok "so not nosuid" mounted_with nosuid
not_ok "nor nodev" mounted_with nodev
mkdir "$work/second"
ok "a second daemon is refused, with the process that has the archive" \
    says "locked by process $(daemon_pid)" mount -t varve "$archive" "$work/second"
ok "so is a second mount over it" says "in use|already mounted" mount -t varve "$archive" "$mnt"
echo hello >"$mnt/file"
pid=$(daemon_pid)
ok "umount" umount "$mnt"
ok "umount(8) returned when the daemon was gone" gone "$pid"
ok "and the archive's lock free, the catalog whole" clean_check
ok "mount -t varve" mount -t varve "$archive" "$mnt"
ok "what was written is there" grep -q hello "$mnt/file"
unmounts
ok "mount -t fuse varve#ARCHIVE, through mount.fuse" mount -t fuse "varve#$archive" "$mnt"
ok "is a mount of varve" grep -q hello "$mnt/file"
unmounts
until_true 10 "$varve" check "$archive"

# --- plain fuse ---
ok "nosubtype" mounts nosubtype
ok "shows plain fuse" equal fuse "$(findmnt -n -o FSTYPE "$mnt")"
ok "status finds it" says "mounted *at $mnt " "$varve" status "$mnt"
ok "a remount finds it" mount -o remount,ro "$mnt"
ok "and works" says "Read-only" touch "$mnt/new"
pid=$(daemon_pid)
ok "varve umount finds it" "$varve" umount "$mnt"
ok "and ends it" gone "$pid"

# --- words that are refused or skipped ---
ok "an unknown option is named" says "unknown mount option 'rainbow'" mounts ro,rainbow
ok "with a hint where one is near" says "did you mean 'noatime'" mounts noatme
not_ok "and nothing is mounted" mountpoint -q "$mnt"
ok "nor does a daemon run" clean_check
ok "-f mounts nothing" mount -f -t varve "$archive" "$mnt"
not_ok "really" mountpoint -q "$mnt"
not_ok "but looks whether it could" mount -f -t varve "$work" "$mnt"
ok "-s skips what is unknown; -n and -v do no harm" \
    mount -s -n -v -t varve -o rainbow "$archive" "$mnt"
ok "mounted" mountpoint -q "$mnt"
unmounts

# --- fstab ---
mkdir "$work/user"
cat >fstab <<END
$archive $mnt varve noauto,user,exec,noatime,_netdev,nofail,x-systemd.automount,x-systemd.requires=a.service,comment=of-films 0 0
END
ok "a line of fstab" mount -T fstab "$mnt"
ok "with its options" mounted_with noatime
ok "user gives nosuid and nodev" mounted_with nosuid
not_ok "but exec was asked for" mounted_with noexec
unmounts
sed -i 's/ varve noauto/ fuse.varve noauto/' fstab
ok "with the other name of the type" mount -T fstab "$mnt"
ok "remount by that line" mount -T fstab -o remount,ro "$mnt"
ok "changes what was asked" mounted_with ro
ok "and keeps the line's options" mounted_with noatime
unmounts

# An ordinary user, by a line with `user`: mount(8) gives up root before it calls the helper.
chmod 1777 "$work/user"
if [ -u "$(command -v mount)" ] && [ -u "$(command -v fusermount3)" ] && [ -w /etc/fstab ]; then
    as_nobody "$varve" init "$work/user/a" --media 4MiB --slots 4 --drives 1 --set 1+1 >/dev/null
    as_nobody mkdir "$work/user/m"
    echo "$work/user/a $work/user/m fuse.varve noauto,user 0 0" >fstab
    mount --bind fstab /etc/fstab
    unmount_at_exit "$work/user/m"
    ok "an ordinary user mounts by fstab" as_nobody mount "$work/user/m"
    ok "and uses it" as_nobody sh -c "echo mine >'$work/user/m/file'"
    ok "the daemon is the user's" equal 65534 \
        "$(stat -c %u "/proc/$("$varve" status "$work/user/a" --json | jq .pid)")"
    ok "the user unmounts it" as_nobody umount "$work/user/m"
    ok "suid is not for users" says "only root" as_nobody \
        "$varve" mount -o suid "$work/user/a" "$work/user/m"
    umount /etc/fstab
fi

# --- exec, suid, dev ---
mounts defaults
printf '#!/bin/sh\necho ran\n' >"$mnt/script"
cp "$(command -v id)" "$mnt/id"
chmod 755 "$mnt/script"
chmod 4755 "$mnt/id"
mknod -m 666 "$mnt/null" c 1 3
ok "exec: programs run" says ran "$mnt/script"
ok "suid: with the rights of their owner" equal 0 "$(as_nobody "$mnt/id" -u)"
ok "dev: devices work" dd if="$mnt/null" count=1
ok "remount,noexec,nosuid,nodev" mount -o remount,noexec,nosuid,nodev "$mnt"
ok "noexec: programs don't run" says "denied" "$mnt/script"
ok "nodev: devices don't work" says "denied" dd if="$mnt/null" count=1
ok "remount,exec" mount -o remount,exec "$mnt"
ok "nosuid: nobody's rights" equal 65534 "$(as_nobody "$mnt/id" -u)"
unmounts
ok "varve mount has nosuid and nodev unless it is told" "$varve" mount "$archive" "$mnt"
ok "nosuid" mounted_with nosuid
"$varve" umount "$mnt"
"$varve" mount "$archive" "$mnt" -o suid,noexec
not_ok "told" mounted_with nosuid
ok "and else as before" mounted_with nodev
"$varve" mount x "$mnt" -o remount,noatime
ok "its remount keeps what it does not name" mounted_with noexec
ok "and sets what it does" mounted_with noatime
"$varve" umount "$mnt"

# --- read times ---
mounts relatime
echo read me >"$mnt/read"
mkdir -p "$mnt/dir/below"
make_old 2001-01-01 "$mnt/read"
make_old 2001-01-01 "$mnt/dir"
ok "relatime: the first read after a change moves the time" read_moves "$mnt/read"
ok "the second does not" read_keeps "$mnt/read"
ok "of a directory too" read_moves "$mnt/dir"
exec 7<"$mnt/read"
mount -o remount,noatime "$mnt"
make_old 2001-01-01 "$mnt/read"
make_old 2001-01-01 "$mnt/dir"
ok "noatime by remount: no read moves it" read_keeps "$mnt/read"
before=$(atime "$mnt/read")
cat <&7 >/dev/null
ok "nor one through a file that was open before" equal "$before" "$(atime "$mnt/read")"
exec 7<&-
ok "nor one of a directory" read_keeps "$mnt/dir"
mount -o remount,strictatime,nodiratime "$mnt"
ok "strictatime: every read moves it" read_moves "$mnt/read"
ok "every one" read_moves "$mnt/read"
ok "nodiratime: but not of directories" read_keeps "$mnt/dir"
mount -o remount,ro,strictatime,diratime "$mnt"
ok "ro: nothing moves" read_keeps "$mnt/read"
ok "nothing" read_keeps "$mnt/dir"
unmounts
mounts noatime
ok "noatime from the start" read_keeps "$mnt/read"
unmounts

# --- ro, and back, with files open ---
mounts rw
head -c 100000 /dev/urandom >"$mnt/old"
exec 7<"$mnt/old" 8>>"$mnt/log"
pid=$(daemon_pid)
head -c 50000 <&7 >part
ok "remount,ro while a file is open for writing is refused" says "open for writing" \
    mount -o remount,ro "$mnt"
ok "and changes nothing" sh -c "echo still >>'$mnt/log'"
exec 8>&-
ok "remount,ro" mount -o remount,ro "$mnt"
ok "status tells" says "$mnt \\(ro," "$varve" status "$archive"
for change in "touch $mnt/new" "rm $mnt/old" "chmod 600 $mnt/old" "mkdir $mnt/d" "truncate -s 0 $mnt/old"; do
    ok "EROFS: ${change%% *}" says "Read-only file system" bash -c "$change"
done
ok "who reads goes on" sh -c 'cat <&7 >>part'
ok "and gets it all" cmp part "$mnt/old"
exec 7<&-
ok "the archive works on: files go to discs" "$varve" archive "$mnt/old" --wait
ok "release" "$varve" release "$mnt/old"
ok "and come back" cmp part "$mnt/old"
ok "remount,rw" mount -o remount,rw "$mnt"
ok "writes work again" sh -c "echo new >'$mnt/new'"
ok "by the same daemon" equal "$pid" "$(daemon_pid)"
unmounts
mounts ro
ok "ro from the start" says "Read-only file system" touch "$mnt/never"
unmounts

# --- sync, dirsync: what was answered survives the daemon, less than a second later ---
killed() { # killed OPTIONS COMMAND: runs it on a mount, then kills the daemon at once
    mounts "$1" || return 1
    local pid
    pid=$(daemon_pid)
    (cd "$mnt" && bash -c "$2; kill -KILL $pid")
    until_true 10 gone "$pid"
    umount -l "$mnt"
    mounts defaults
}
ok "dirsync" killed dirsync "mkdir made; mv read renamed; mkfifo pipe; ln -s x link; rmdir dir/below"
ok "keeps names" test -d "$mnt/made" -a -e "$mnt/renamed" -a -p "$mnt/pipe" -a -L "$mnt/link"
not_ok "and their removal" test -e "$mnt/dir/below"
unmounts
ok "sync" killed sync "echo bytes >written; chmod 640 renamed; setfattr -n user.x -v y renamed"
ok "keeps bytes" grep -q bytes "$mnt/written"
ok "modes" equal 640 "$(stat -c %a "$mnt/renamed")"
ok "and xattrs" equal y "$(getfattr --absolute-names --only-values -n user.x "$mnt/renamed")"
unmounts

# --- threads ---
threads_under_load() { # threads_under_load OPTIONS
    local pid
    mounts "$1" || return 1
    pid=$(daemon_pid)
    for i in 1 2 3 4 5 6 7 8; do
        (for ((n = 0; n < 300; n++)); do touch "$mnt/t$i.$n"; done) &
    done
    wait
    find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l
    unmounts
}
one=$(threads_under_load max_threads=1,nouring)
many=$(threads_under_load max_threads=16,nouring)
ok "max_threads=1 has fewer threads ($one) than 16 ($many)" test "$one" -lt "$many"
ok "0 is refused" says "at least one" mounts max_threads=0

# --- the ways to unmount ---
mounts defaults
exec 7<"$mnt/file"
ok "umount while a file is open: busy" says "in use" umount "$mnt"
ok "nothing changed" test -e "$mnt/file"
pid=$(daemon_pid)
ok "umount -l" umount -l "$mnt"
not_ok "the mount is gone" mountpoint -q "$mnt"
ok "who has a file open reads on" sh -c 'grep -q hello <&7'
ok "a new mount has to wait for that" says "in use" mounts defaults
exec 7<&-
ok "the daemon ends with the last close" until_true 10 gone "$pid"
mounts defaults
pid=$(daemon_pid)
ok "fusermount3 -u" fusermount3 -u "$mnt"
ok "ends the daemon" until_true 10 gone "$pid"
mounts defaults
pid=$(daemon_pid)
exec 7<"$mnt"
umount -f "$mnt" 2>/dev/null
not_ok "umount -f cuts off who is still there" sh -c 'ls /proc/self/fd/7/ <&7'
exec 7<&-
umount -l "$mnt" 2>/dev/null
ok "and ends the daemon" until_true 10 gone "$pid"
mounts defaults
echo kept >"$mnt/kept"
ok "umount(8) waits, so that the archive can be copied then" umount "$mnt"
mv "$archive" original
cp -a original "$archive"
ok "the copy is whole" clean_check
mounts defaults
ok "and has what was written last" grep -q kept "$mnt/kept"
unmounts

# --- what a killed daemon leaves ---
mounts defaults
kill -KILL "$(daemon_pid)"
until_true 10 fails stat "$mnt"
ok "a dead mount is told of, with what to do" says "is gone.*|varve umount" mounts defaults
ok "umount takes it away" umount "$mnt"
ok "and the archive mounts again" mounts defaults
pid=$(daemon_pid)
kill -TERM "$pid"
ok "SIGTERM ends the daemon" until_true 10 gone "$pid"
not_ok "and the mount" mountpoint -q "$mnt"
ok "cleanly" clean_check

# --- systemd ---
cat >notify.py <<'END'
import os, socket, subprocess, sys
path = "notify.sock"
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(path)
listener.settimeout(20)
daemon = subprocess.Popen(sys.argv[1:], env={**os.environ, "NOTIFY_SOCKET": os.path.abspath(path)})
word = listener.recv(100)
ready = os.path.ismount(sys.argv[-1])
daemon.terminate()
sys.exit(not (word == b"READY=1" and ready and daemon.wait(20) == 0))
END
ok "a service manager is told when the mount is there, and SIGTERM ends it with status 0" \
    python3 notify.py "$varve" mount --foreground "$archive" "$mnt"
finish_tap

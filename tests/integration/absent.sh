#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An archive whose library is not there when it is mounted is mounted all the same: resident files and
# heads serve, files on discs fail at once and say why, no disc is lost, and all goes on by itself when
# the library is back.
# usage: absent.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
make_work absent
archive=$work/archive mnt=$work/mnt src=$work/source
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$mnt"
mkdir "$mnt" "$src"
head -c 3000001 /dev/urandom >"$src/one"
head -c 2000000 /dev/urandom >"$src/two"

library_is() { equal "$1" "$("$varve" library list "$archive" --json | jq -r '.libraries[0].condition')"; }
why_has() { "$varve" library list "$archive" --json | jq -r '.libraries[0].why' | grep -F -- "$1"; }
fails_at_once() { # fails_at_once FILE: EHOSTUNREACH, no waiting
    ! timeout 20 cat "$1" >"$work/out" 2>"$work/err" && grep "No route to host" "$work/err"
}
head_serves() { cmp <(head -c 4096 "$mnt/one") <(head -c 4096 "$src/one"); }
away() { "$varve" umount "$mnt" && mv "$archive/library" "$work/elsewhere"; }
none_lost() { equal 0 "$(discs_where '.state == "lost" or .state == "suspect"' | wc -l)"; }

"$varve" init "$archive" --name absent --library virtual --media 16MiB --slots 8 --drives 2 --set 2+1 >/dev/null || bail "init"
"$varve" mount "$archive" "$mnt" || bail "mount"
cp "$src/one" "$src/two" "$mnt/"
"$varve" archive "$mnt" --wait >/dev/null || bail "archive"
"$varve" release "$mnt" >/dev/null || bail "release"

ok "the library's folder is moved away" away
ok "... the archive is mounted all the same" "$varve" mount "$archive" "$mnt"
ok "... the library is offline" library_is offline
ok "... for this reason" why_has "No such file or directory"
ok "... status says what to do" grep -F "library 'main' is offline: open virtual library" <("$varve" status "$archive")
ok "... in one sentence" grep -F "put right, it is opened by itself, at once by 'varve library resume main'" <("$varve" status "$archive")
ok "... so does the log" until_true 20 grep -F "library 'main' is offline" "$archive/varve.log"
ok "a new file is written" cp "$src/two" "$mnt/three"
ok "... and read" cmp "$src/two" "$mnt/three"
ok "a head is read" head_serves
ok "the rest of a file on discs fails at once" fails_at_once "$mnt/one"
ok "... 'varve.eta' says why" grep -F "library 'main', which is offline" <(getfattr --only-values -n user.varve.eta "$mnt/one")
ok "a verb of the library says why" grep -F "is offline" <("$varve" library inventory --archive "$archive" 2>&1)
ok "so does resume" exits 1 "$varve" library resume --archive "$archive"
ok "check looks at the rest" grep -F "its discs were not looked at" <("$varve" check "$archive" 2>&1)
ok "no disc is lost" none_lost
ok "the folder is put back" mv "$work/elsewhere" "$archive/library"
ok "... and the library opens by itself" until_true 90 library_is ready
ok "... reads go on" cmp "$src/one" "$mnt/one"
ok "... burns too" "$varve" archive "$mnt" --wait
ok "... no disc was lost" none_lost
ok "... check finds nothing" clean_check

"$varve" release "$mnt" >/dev/null || bail "release"
"$varve" umount "$mnt"
exec 9<>"$archive/library/library.lock"
flock 9 || bail "flock"
ok "another program holds the library" "$varve" mount "$archive" "$mnt" 9>&-
ok "... which is told" why_has "is locked by process"
exec 9>&-
ok "it lets go: resume opens the library at once" "$varve" library resume --archive "$archive"
ok "... and files are read" cmp "$src/two" "$mnt/two"
"$varve" release "$mnt" >/dev/null || bail "release"
"$varve" umount "$mnt"
echo "now door-force" >"$archive/library/faults.txt"
ok "the changer's door is open" timeout 60 "$varve" mount "$archive" "$mnt"
rm "$archive/library/faults.txt"
ok "... a new file is written" cp "$src/one" "$mnt/four"
ok "... the library is offline" library_is offline
ok "... the door is why" until_true 30 why_has "tray or door open (2/3a/02): close the door"
ok "... closed" "$varve" library virtual event door-close --archive "$archive"
ok "... the library opens by itself" until_true 90 library_is ready
ok "... and files are read" cmp "$src/one" "$mnt/one"
ok "umount" "$varve" umount "$mnt"
echo "unknown = key" >>"$archive/varve.conf"
ok "a mistake in varve.conf is told at the start" exits 1 "$varve" mount "$archive" "$mnt"
finish_tap

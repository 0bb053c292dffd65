#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files that were archived, released or not, obey the same rules as files on ext4.
# usage: posix-tiers.sh VARVE [SEED [COUNT]]   (TAP): COUNT random sequences, archived in the middle (docs/testing.md)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/archive.sh
. "$here/../lib/archive.sh"
needs_mounts
needs python3 mkfs.ext4 setfacl setfattr
make_work posix-tiers
chmod 755 "$work"
archive=$work/archive mnt=$work/mnt plain=$work/plain
mkdir "$mnt" "$plain"
before_cleanup() { ! is_mounted "$mnt" || "$varve" umount "$mnt"; }
unmount_at_exit "$plain"
unmount_at_exit "$mnt"
truncate -s 512M "$work/image" && mkfs.ext4 -q -b 4096 -O ea_inode "$work/image" &&
    mount -o loop,relatime "$work/image" "$plain" 2>"$work/loop.log" ||
    skip_all "no ext4 to compare with: $(tail -n 1 "$work/loop.log")"

mounts() {
    "$varve" init "$archive" --library virtual --media 64MiB --slots 60 --drives 3 --set 2+1 &&
        "$varve" mount "$archive" "$mnt"
}
hook() { # hook STATE COMMANDS: a program that brings all files below $1 into that state
    printf '#!/bin/bash\nset -eu\n%s\n' "$2" >"$work/hook-$1"
    printf 'left=$(find "$1" -type f -size +0 -exec getfattr -h -n user.varve.state {} + 2>/dev/null | grep -c state= || true)\n' >>"$work/hook-$1"
    printf 'good=$(find "$1" -type f -size +0 -exec getfattr -h -n user.varve.state {} + 2>/dev/null | grep -c "state=.%s" || true)\n' "$1" >>"$work/hook-$1"
    printf 'echo "# $good of $left files are %s" >&2\n[ "$good" -eq "$left" ]\n' "$1" >>"$work/hook-$1"
    chmod +x "$work/hook-$1"
}
# What does not fit into one set waits for the next.
archive_all="for _ in 1 2 3; do '$varve' archive \"\$1\" --wait >/dev/null; done"
hook premigrated "$archive_all"
hook migrated "$archive_all; '$varve' release \"\$1\" >/dev/null"

judge() { # judge STATE SEED COUNT: runs the differ; its lines are ours
    local ended=no
    mkdir "$mnt/$1" "$plain/$1"
    "$here/posix/differ.py" "$mnt/$1" "$plain/$1" staged "$work/hook-$1" "$2" "$3" "$here/posix/tiers.staged" >"$work/tap"
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            tap_count=$((tap_count + 1))
            [ "${line%% *}" = ok ] || tap_failed=$((tap_failed + 1))
            sed "s/^\(ok\|not ok\) [0-9]* - /&$1: /; s/^\(ok\|not ok\) [0-9]*/\1 $tap_count/" <<<"$line"
            ;;
        "1.."*) ended=yes ;;
        *) echo "$line" ;;
        esac
    done <"$work/tap"
    ok "$1: came to the end" equal yes $ended
}
# Everything that an inode can carry, on discs and back by a rebuild.
carries_much() {
    mkdir -p "$mnt/much/d" && echo 1 >"$mnt/much/f" && cd "$mnt/much" &&
        setfacl -m u:61001:rw,g:61050:r f && setfacl -d -m u:61002:rwx,m::rx d && setfacl -m g:61051:rwx d &&
        echo 2 >d/inherits && mkdir -m 2750 d/below && setfattr -n user.big -v "$(printf 'v%.0s' {1..60000})" f &&
        python3 - f <<'PY' && chmod 6755 f && touch -d '2001-02-03 04:05:06.000000007' f
import os, sys
os.setxattr(sys.argv[1], "user.64k", bytes(range(256)) * 256)
for i in range(40):
    os.setxattr(sys.argv[1], "trusted.%d" % i, b"t" * (i * 97))
PY
}
facts_of_much() {
    (cd "$mnt/much" && find . | sort | xargs getfacl --numeric && find . | sort |
        xargs getfattr -hd -m '^(user\.[^v]|trusted|system)' -e hex &&
        find . -printf '%P %i %m %U %G %s %T@\n' | sort) 2>/dev/null
}
rebuild_brings_it_back() {
    facts_of_much >"$work/much" && grep -q user:61001:rw- "$work/much" && grep -q user.64k "$work/much" &&
        "$varve" umount "$mnt" && "$varve" rebuild "$archive" && "$varve" mount "$archive" "$mnt" &&
        facts_of_much | diff "$work/much" - | cut -c 1-200 && cmp <(facts_of_much) "$work/much" &&
        touch "$mnt/much/d/new" && getfacl --numeric "$mnt/much/d/new" | grep -q '^user:61002:rwx'
}
ok "an archive is mounted" mounts
ok "files with ACLs and great xattrs" carries_much
judge premigrated "${2:-1}" "${3:-10}"
judge migrated "${2:-1}" "${3:-10}"
ok "the archive is clean" clean_check
ok "is archived" "$varve" archive "$mnt/much" --wait
ok "a rebuild brings back ACLs and xattrs" rebuild_brings_it_back
ok "unmounts" "$varve" umount "$mnt"
finish_tap

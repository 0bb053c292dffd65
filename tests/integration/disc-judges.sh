#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every tool that knows UDF opens our images and reads what was put in: 7-Zip, udftools, udfclient
# and libudfread. MKDISC and UDFCAT are the programs of tests/lib.
set -u
number=0
failed=0
ok() { # ok WORDS COMMAND...: the command succeeds
    words=$1
    shift
    number=$((number + 1))
    if "$@" >"$work/out" 2>&1; then
        echo "ok $number - $words"
    else
        echo "not ok $number - $words"
        tail -20 "$work/out" | sed 's/^/# /'
        failed=1
    fi
}
for tool in 7z udfinfo udfdump sha256sum; do
    command -v "$tool" >/dev/null || {
        echo "1..0 # SKIP $tool is not installed"
        exit 0
    }
done
work=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
# Names are bytes: what the tools print and unpack must not depend on who runs the test.
LC_ALL=C.UTF-8
export LC_ALL

tree=$work/tree
mkdir -p "$tree/projects/film/empty" "$tree/文件夹" "$tree/varve" "$tree/many"
head -c 3000001 /dev/urandom >"$tree/projects/film/reel-01.mov"
ln "$tree/projects/film/reel-01.mov" "$tree/hard link.mov"
ln -s film/reel-01.mov "$tree/projects/link"
mkfifo "$tree/pipe"
: >"$tree/empty file"
echo user >"$tree/varve/file"
echo wide >"$tree/文件夹/文件.txt"
echo latin >"$tree/é.txt"
echo smile >"$tree/😀"
echo quote >"$tree/a \"quote\""
echo backslash >"$tree/a\\b"
printf raw >"$tree/$(printf 'not\377utf')"
printf raw >"$tree/$(printf 'new\nline')"
printf long >"$tree/$(printf '%0250d' 0).txt"
i=0
while [ $i -lt 700 ]; do
    echo "$i" >"$tree/many/a file with a rather long name, number $i"
    i=$((i + 1))
done

ok "images are made" "$MKDISC" "$tree" "$work/data.img" "$work/parity.img"
sed 's/^/# /' "$work/out"
for image in data parity; do
    file=$work/$image.img
    index=000
    [ $image = parity ] && index=001
    info() { udfinfo "$file" 2>/dev/null | grep -qx "$1"; }
    ok "$image: 7z finds no fault" 7z t "$file"
    ok "$image: 7z gives no warning" sh -c "! 7z t '$file' | grep -Ei 'warning|error'"
    ok "$image: 7z unpacks it" 7z x -y -o"$work/$image" "$file"
    ok "$image: SHA256SUMS is right" sh -c "cd '$work/$image' && sha256sum --strict -c varve/SHA256SUMS"
    ok "$image: udfinfo shows the label" info "label=judge-0001-$index"
    ok "$image: udfinfo shows UDF 2.50" info "udfrev=2.50"
    ok "$image: udfinfo finds it closed" info "integrity=closed"
    ok "$image: udfdump lists the tree" sh -c "udfdump -t -b 2048 '$file' | grep -q Rootdir/varve/README.txt"
    (cd "$work/$image" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) | sort >"$work/by-7z"
    ok "$image: libudfread opens every file" sh -c "'$UDFCAT' '$file' | sort >'$work/by-udfread'"
    ok "$image: libudfread and 7z read the same" cmp "$work/by-7z" "$work/by-udfread"
done
ok "all user files are there" sh -c "[ \$(find '$work/data' -type f -printf x | wc -c) = \$((\$(find '$tree' -type f -printf x | wc -c) + 6)) ]"
ok "kept names and contents" diff -r "$tree/projects/film" "$work/data/projects/film"
ok "wide names" cmp "$tree/文件夹/文件.txt" "$work/data/文件夹/文件.txt"
ok "names beyond the first plane" cmp "$tree/😀" "$work/data/😀"
ok "a user's varve gives way" cmp "$tree/varve/file" "$work/data/varve~1/file"
ok "a hard link is there twice" cmp "$work/data/hard link.mov" "$work/data/projects/film/reel-01.mov"
ok "parity of one disc is that disc" cmp "$work/data.img" "$work/parity/varve/parity.bin"
ok "the same tree gives the same bytes" sh -c "'$MKDISC' '$tree' '$work/again.img' && cmp '$work/data.img' '$work/again.img'"
echo "1..$number"
exit $failed

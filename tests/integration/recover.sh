#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# varve-recover gives back every file with all that belongs to it from the discs of a set, whatever
# within the parity is lost, and names what it cannot give. Usage: recover.sh VARVE-RECOVER MKSET
set -u
recover=$(realpath "$1") mkset=$(realpath "$2")
count=0 failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/varve-recover-XXXXXX") || exit 99
trap 'chmod -R u+rwx "$dir"; rm -rf "$dir"' EXIT

ok() { # NAME COMMAND...: succeeds
    local name=$1
    shift
    count=$((count + 1))
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# /' "$dir/log" | head -20
        failed=1
    fi
}
status() { # WANTED COMMAND...: exits with this status; its output is in $dir/out and $dir/err
    local wanted=$1
    shift
    "$@" >"$dir/out" 2>"$dir/err"
    local got=$?
    [ "$got" = "$wanted" ] || { echo "status $got instead of $wanted"; cat "$dir/out" "$dir/err"; return 1; }
}
says() { grep -qF -- "$1" "$dir/out" "$dir/err" || { echo "'$1' is not in:"; cat "$dir/out" "$dir/err"; return 1; }; }
# Names, types, modes, owners, times, link counts and targets of a tree.
describe() { (cd "$1" && find . -printf '%p|%y|%m|%U|%G|%T@|%n|%l\n' | LC_ALL=C sort); }
# Whole trees: attributes, contents, xattrs, and which names are one file.
same_tree() {
    diff <(describe "$1") <(describe "$2") || return 1
    diff <(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) \
         <(cd "$2" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) || return 1
    if command -v getfattr >/dev/null; then
        diff <(cd "$1" && getfattr -Rhd -m - . 2>/dev/null) <(cd "$2" && getfattr -Rhd -m - . 2>/dev/null) || return 1
    fi
    [ "$2/a/link" -ef "$2/a/b/small" ]
}

tree=$dir/tree
mkdir -p "$tree/a/b" "$tree/empty dir" "$dir/set"
head -c 3000001 /dev/urandom >"$tree/a/split.bin"
head -c 700000 /dev/urandom >"$tree/a/b/middle.bin"
echo small >"$tree/a/b/small"
ln "$tree/a/b/small" "$tree/a/link"
ln -s ../../etc/passwd "$tree/a/symlink"
mkfifo -m 640 "$tree/a/fifo"
truncate -s 3M "$tree/a/sparse"
: >"$tree/a/nothing"
printf x >"$tree/a/"$'new\nline \xff \\'
for i in $(seq 100); do echo "file $i" >"$tree/a/b/f$i"; done
command -v setfattr >/dev/null && setfattr -n user.colour -v blue "$tree/a/b/small" 2>/dev/null
chmod 4751 "$tree/a/b/small"
touch -d '2001-02-03 04:05:06.123456789' "$tree/a/split.bin" "$tree/a/b"
touch -h -d '1969-12-31 23:59:58.5' "$tree/a/symlink"
chmod 555 "$tree/empty dir"
"$mkset" "$tree" "$dir/set" 3 2 || { echo "Bail out! mkset"; exit 99; }
mkdir "$dir/unsplit"
"$mkset" "$tree" "$dir/unsplit" 2 1 4M || { echo "Bail out! mkset"; exit 99; }
cd "$dir/set" || exit 99

ok "list of a whole set succeeds" status 0 "$recover" list ./*.img
ok "list says that all discs are here" says 'all discs of the set are here'
ok "list names the files" says 'a/split.bin'
ok "list keeps control characters from the terminal" says 'new\x0aline'
ok "list --json is JSON" bash -c '"$0" list --json ./*.img | python3 -c "
import json,sys
d=json.load(sys.stdin); s=d[\"sets\"][0]
assert s[\"data_discs\"]==3 and len(s[\"discs\"])==5 and all(x[\"present\"] for x in s[\"discs\"])
assert any(f.get(\"path\")==\"a/split.bin\" and f[\"size\"]==3000001 for f in d[\"files\"])"' "$recover"
ok "list of one disc succeeds" status 0 "$recover" list 1.img
ok "... tells how many are missing" says '4 of 5 discs are missing; parity covers 2'
ok "... by label" says 'tests-0007-002'
ok "... and whose files it cannot know" says 'data discs 0 2 are not here'
ok "list of three discs knows all files" status 0 "$recover" list 1.img 3.img 4.img
ok "... of the missing ones too" says 'a/b/f100'

ok "verify of a whole set succeeds" status 0 "$recover" verify ./*.img
ok "extract from all discs succeeds" status 0 "$recover" extract ./*.img --to "$dir/x1"
ok "... and gives the same tree" same_tree "$tree" "$dir/x1"
ok "a sparse file stays sparse" test "$(stat -c %b "$dir/x1/a/sparse")" -lt 100
ok "extract from parity and one data disc succeeds" status 0 "$recover" extract 4.img 1.img 3.img --to "$dir/x2"
ok "... and gives the same tree" same_tree "$tree" "$dir/x2"
ok "extract does not overwrite" status 1 "$recover" extract ./*.img --to "$dir/x2"
ok "... and names the files" says "a/split.bin: make 'split.bin': File exists"
ok "... and they stay as they were" same_tree "$tree" "$dir/x2"

ok "extract of one disc alone succeeds" status 0 "$recover" extract ../unsplit/0.img --to "$dir/x8"
ok "... with all of its files" test "$(find "$dir/x8" -type f | wc -l)" -gt 30
ok "extract of a disc with half a file goes on" status 1 "$recover" extract 0.img --to "$dir/x3"
ok "... and names the file whose other part is elsewhere" says 'a/split.bin: its bytes from'
ok "... and leaves no half file" test ! -e "$dir/x3/a/split.bin"

ok "rebuild of two missing discs succeeds" status 0 "$recover" rebuild 1.img 2.img 4.img --to "$dir/r1"
ok "the data disc is the same to the byte" cmp 0.img "$dir/r1/tests-0007-000.img"
ok "the parity disc made anew serves" status 0 "$recover" verify "$dir/r1/tests-0007-003.img" 0.img 1.img
mkdir "$dir/mixed"
ok "... to rebuild others" status 0 "$recover" rebuild 1.img "$dir"/r1/*.img --to "$dir/mixed"
ok "... to the byte" cmp 2.img "$dir/mixed/tests-0007-002.img"
ok "rebuild of a good set writes nothing" status 0 "$recover" rebuild ./*.img --to "$dir/r2"
ok "... and says so" says 'nothing to rebuild'

mkdir "$dir/bad"
cp ./*.img "$dir/bad"
cd "$dir/bad" || exit 99
hurt() { dd if=/dev/urandom of="$1" bs=2048 seek="$2" count="$3" conv=notrunc status=none; }
lba=$(python3 - 0.img <<'P'
import json,sys
data=open(sys.argv[1],'rb').read()
at=json.loads(data[:2044])['inodes']
for line in data[at['lba']*2048:at['lba']*2048+at['bytes']].split(b'\n'):
    if line and json.loads(line).get('bytes', 0) > 1000000: print(int(json.loads(line)['lba'])); break
P
)
hurt 0.img "$lba" 3
hurt 1.img 0 700
ok "verify finds damage" status 1 "$recover" verify ./*.img
ok "... names the file" says 'damaged, parity repairs it: a/'
ok "... names the clusters" says "  clusters $((lba / 32))"
ok "... of the other disc as a range" says '  clusters 0-21'
ok "... and says what to do" says 'the discs at hand can repair them all'
ok "verify --json tells the same" bash -c '"$0" verify --json ./*.img | python3 -c "
import json,sys
d=json.load(sys.stdin)
assert not d[\"good\"] and [x[\"damaged\"]>0 for x in d[\"discs\"]]==[True,True,False,False,False]
assert d[\"discs\"][0][\"bad_files\"] and d[\"discs\"][0][\"lost\"]==0"' "$recover"
ok "verify of the damaged disc alone finds it lost" status 1 "$recover" verify 0.img
ok "... by name" says 'lost: a/'
ok "extract reads around the damage" status 0 "$recover" extract ./*.img --to "$dir/x4"
ok "... to the same tree" same_tree "$tree" "$dir/x4"
ok "extract of the damaged disc alone names the file" status 1 "$recover" extract 0.img --to "$dir/x5"
ok "... and gives the rest" bash -c 'n=$(find "$0" -type f | wc -l); echo "$n files"; test "$n" -gt 30' "$dir/x5"
ok "rebuild writes the damaged discs anew" status 0 "$recover" rebuild ./*.img --to "$dir/r3"
ok "... the first to the byte" cmp ../set/0.img "$dir/r3/tests-0007-000.img"
ok "... the second, whose beginning was gone, too" cmp ../set/1.img "$dir/r3/tests-0007-001.img"
ok "... and no other" test "$(ls "$dir/r3" | wc -l)" = 2
ok "sources were not written to" cmp 2.img ../set/2.img

head -c 3000000 ../set/2.img >2.img
ok "a truncated image is told of" status 1 "$recover" verify 2.img 3.img 4.img ../set/0.img
ok "... with numbers" says "'2.img' is cut off"
head -c 1000000 /dev/urandom >foreign.img
ok "a foreign image is told of, the others go on" status 1 "$recover" list foreign.img ../set/0.img
ok "... by name" says "'foreign.img'"
ok "only foreign images: nothing can be done" status 2 "$recover" list foreign.img

cp ../set/1.img blind.img
hurt blind.img 0 400
hurt blind.img $(($(stat -c %s blind.img) / 2048 - 400)) 400
ok "a disc without anchors is taken at the operator's word" status 0 \
    "$recover" extract ../set/0.img ../set/3.img --as 1=blind.img --to "$dir/x6" ../set/2.img
ok "... to the same tree" same_tree "$tree" "$dir/x6"
ok "... but not as another disc" status 2 "$recover" list ../set/0.img ../set/3.img --as 2=blind.img

mkdir "$dir/x7"
ln -s "$dir/outside" "$dir/x7/a"
mkdir "$dir/outside"
ok "extract follows no symlink" status 1 "$recover" extract ../set/*.img --to "$dir/x7"
ok "... and writes nothing outside" test -z "$(ls "$dir/outside")"

ok "--help succeeds" status 0 "$recover" --help
ok "... and names every verb" bash -c 'for v in list verify extract rebuild; do grep -q "varve-recover $v" "$0" || exit 1; done' "$dir/out"
ok "no verb is an error" status 2 "$recover"
ok "an unknown verb is an error" status 2 "$recover" burn ../set/0.img
ok "extract without --to is an error" status 2 "$recover" extract ../set/0.img
ok "... that says so" says '--to DIR is missing'
ok "a missing file is told of" status 2 "$recover" list /nonexistent.img
ok "... by name" says "/nonexistent.img"
echo "1..$count"
exit $failed

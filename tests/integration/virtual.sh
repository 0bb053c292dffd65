#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `varve library virtual` makes a library, shows it, and lets things happen to it: in its folder, and through the
# daemon that has it open.
# usage: virtual.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
make_work virtual
before_cleanup() { ! is_mounted "$work/mnt" || "$varve" umount "$work/mnt"; }
unmount_at_exit "$work/mnt"
cd "$work" || exit 1

virtual() { "$varve" library virtual "$@"; }
# says EXPRESSION ARGUMENT...: the JSON `s` that `show` prints makes it true.
says() {
    local expression=$1
    shift
    virtual show --json "$@" | python3 -c "import json, sys; s = json.load(sys.stdin); sys.exit(not ($expression))"
}
# refuses WORDS ARGUMENT...: the verb fails and says these words.
refuses() {
    local words=$1
    shift
    if virtual "$@" > told 2>&1; then
        echo "it was taken"
        return 1
    fi
    grep -qF -- "$words" told || { cat told; return 1; }
}

ok "create" virtual create lib --slots 6 --drives 3 --magazine 3 --media 4MiB --kind DVD+R --barcode T --arm gantry
ok "it is as wished" says "s['slots'] == 6 and s['drives'] == 3 and s['arm'] == 'gantry' and len(s['discs']) == 6 \
    and len(s['magazines']) == 2 and s['discs'][0]['kind'] == 'DVD+R'" --folder lib
ok "a second one in the same folder" refuses "it is there already" create lib
ok "a wrong kind" refuses "no kind of blank disc is 'tape'" create lib2 --kind tape
ok "a wrong shape" refuses "neither carousel nor gantry" create lib2 --arm tree
ok "events" virtual event magazine-out 1, swap 1024 1025, take 1026 --folder lib
ok "they happened" says "s['magazines'][1]['out'] and len(s['discs']) == 5 \
    and {d['element']: d['barcode'] for d in s['discs']}[1024] == 'T00002'" --folder lib
ok "what cannot happen" refuses "element 1026 is empty" event take 1026 --folder lib
ok "what is no event" refuses "line 1: 'dance' stands where an action should" event dance --folder lib
ok "blanks of another kind" virtual add-blanks 1 --kind BD-RE --media 4MiB --folder lib
ok "they are there" says "any(d['kind'] == 'BD-RE' and d['element'] == 1026 for d in s['discs'])" --folder lib
head -c 65536 /dev/urandom > image
ok "insert" virtual insert image OLD-1 --folder lib
ok "it is closed" says "any(d['barcode'] == 'OLD-1' and d['closed'] for d in s['discs'])" --folder lib
printf 'seed 4\nquirk no-dvcid\non drive any write chance 1/100: sense 3/0C/00 # now and then\n' > script
ok "inject" virtual inject script --folder lib
ok "it is taken at each opening" says "s['quirks'][0]['quirk'] == 'no-dvcid' \
    and s['rules'][0]['rule'] == 'on drive any write chance 1/100: sense 3/0C/00'" --folder lib
printf 'quirk no-dvcid\n\nquirk soft\n' > wrong
ok "a wrong script" refuses "'wrong': fault script, line 3: 'soft' stands where the name of a quirk should" \
    inject wrong --folder lib
ok "from standard input" bash -c "echo 'quirk tur-busy drive 1' | '$varve' library virtual inject - --folder lib"
ok "it was added" says "len(s['quirks']) == 2 and s['quirks'][1]['drive'] == 1" --folder lib
ok "calm" virtual calm --folder lib
ok "nothing waits" says "s['quirks'] == [] and s['rules'] == []" --folder lib
ok "show for people" bash -c "'$varve' library virtual show --folder lib | grep -q 'gantry arm, door closed'"

if [ -w /dev/fuse ]; then
    mkdir mnt
    ok "an archive with a virtual library" "$varve" init a --media 4MiB --slots 3 --drives 2 --set 1+1
    ok "mount" "$varve" mount a mnt
    ok "its folder is taken" refuses "no --folder" show --folder a/library
    ok "the daemon shows it" says "s['slots'] == 3 and s['drives'] == 2" --archive a
    ok "and lets events happen" virtual event door-force, door-close --archive a
    ok "and takes scripts" bash -c \
        "echo 'on changer move always: sense 4/44/00' | '$varve' library virtual inject - --archive a | grep -q 'sense 4/44/00'"
    ok "which then act" bash -c "! '$varve' library load VRV00001 0 --archive a > said 2>&1 && grep -q 4/44/00 said"
    ok "the disc is back home" says "s['discs'][0]['element'] == 1024" --archive a
    ok "calm" virtual calm --archive a
    ok "insert" virtual insert image OLD-2 --archive a
    ok "the engine sees it" bash -c "'$varve' library inventory --archive a | grep -q OLD-2"
    ok "umount" "$varve" umount mnt

    rm -rf a/library
    ok "a library of two-sided discs" virtual create a/library --slots 3 --drives 2 --media 4MiB --two-sided
    ok "mount" "$varve" mount a mnt
    ok "side B of a disc is loaded" "$varve" library load VRV00002.B 1 --archive a
    ok "by turning it over" says "[d['inverted'] for d in s['discs'] if d['barcode'] == 'VRV00002'] == [True]" --archive a
    ok "it goes home" "$varve" library unload 1 --archive a
    ok "as it was" says "not any(d['inverted'] for d in s['discs'])" --archive a
    ok "umount" "$varve" umount mnt
fi
finish_tap

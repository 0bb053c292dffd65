#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad input to `varve` gives one clear error and an exit code that is not 0, and changes nothing.
# usage: cli-errors.sh VARVE   (TAP)
set -u
varve=$(realpath "$1") || exit 1
if [ ! -w /dev/fuse ]; then
    echo "1..0 # SKIP no /dev/fuse"
    exit 0
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/varve-cli.XXXXXX") || exit 1
mounted=no
finish() {
    [ "$mounted" = yes ] && "$varve" umount "$dir/mnt" > /dev/null 2>&1
    rm -rf "$dir"
}
trap finish EXIT
cd "$dir" || exit 1

# Rows of a catalog: SQLite writes counters of its own into the file whenever it is opened, and the
# table `number` is where each start puts numbers aside that will never be used again.
rows() {
    python3 - "$1" << 'END'
import hashlib, sqlite3, sys
lines = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).iterdump()
dump = "\n".join(line for line in lines if not line.startswith('INSERT INTO "number"'))
print(hashlib.sha256(dump.encode()).hexdigest(), sys.argv[1])
END
}

# Names and bytes of everything, but for what SQLite and locks leave behind when a file is read.
picture() {
    local catalog
    for catalog in "$dir"/*/catalog.sqlite; do
        [ -e "$catalog" ] && rows "$catalog"
    done
    find "$dir" -path "$dir/mnt" -prune -o -type f \
        ! -name catalog.sqlite ! -name '*-wal' ! -name '*-shm' ! -name '*.lock' ! -name lock ! -name varve.log \
        ! -path "$dir/out" ! -path "$dir/err" -print0 | sort -z | xargs -0 sha256sum
    find "$dir" -path "$dir/mnt" -prune -o -type d -print | sort
}

count=0
failed=0
report() { # ok|not-ok name detail
    count=$((count + 1))
    if [ "$1" = ok ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        echo "# $3"
        sed 's/^/# /' "$dir/err"
        failed=1
    fi
}

# refuses NAME CODE PATTERN VARVE-ARGUMENTS...
refuses() {
    local name=$1 code=$2 pattern=$3 got before
    shift 3
    before=$(picture)
    timeout 60 "$varve" "$@" > out 2> err
    got=$?
    if [ $got -ne "$code" ]; then
        report not-ok "$name" "exit code $got, not $code"
    elif [ "$(grep -c '^varve: ' err)" -ne 1 ] || [ "$(grep -vc '^hint: ' err)" -ne 1 ]; then
        report not-ok "$name" "not one error"
    elif ! grep -Eq "$pattern" err; then
        report not-ok "$name" "the error does not say: $pattern"
    elif [ -s out ]; then
        report not-ok "$name" "something on standard output"
    elif [ "$(picture)" != "$before" ]; then
        report not-ok "$name" "something changed: $(diff <(echo "$before") <(picture) | tail -n +2 | head -3)"
    else
        report ok "$name" ""
    fi
}

works() { # NAME VARVE-ARGUMENTS...
    local name=$1
    shift
    if timeout 60 "$varve" "$@" > out 2> err; then
        report ok "$name" ""
    else
        report not-ok "$name" "exit code $?"
    fi
}

refuses "unknown verb" 2 "unknown verb 'stauts'" stauts
grep -q "^hint: did you mean 'varve status'" err && report ok "a hint with it" "" ||
    report not-ok "a hint with it" "no hint"
refuses "no verb" 2 "no verb given"
refuses "half a verb" 2 "'disc' needs one word more" disc
refuses "unknown option" 2 "unknown option '--meida'" init a --meida 64MiB
refuses "option without its value" 2 "'--media' needs SIZE" init a --media
refuses "missing word" 2 "something is missing: DIR" init
refuses "bad media" 2 "is no medium" init a --media floppy
refuses "media too small" 2 "too small" init a --media 1MiB
refuses "bad set" 2 "is no set" init a --set 4
refuses "a set that does not fit the library" 2 "needs 12 discs.* 5 slots" init a --set 10+2 --slots 5
refuses "a library of no known kind" 2 "use --library virtual, scsi or none" init a --library /dev/sg3
refuses "a SCSI library without devices" 2 "needs --changer and at least one --drive" init a --library scsi
refuses "a changer that is no device" 2 "names no device" init a --library scsi --changer sg3 --drive /dev/sg1
refuses "devices for a virtual library" 2 "belong to --library scsi" init a --changer /dev/sg3
refuses "a tier directory that is missing" 1 "no-such-tier" init a --ssd no-such-tier
refuses "no tier at all" 2 "files need a place" init a --ssd none --hdd none
mkdir -p taken/library
refuses "init where a library is" 1 "taken/library' exists" init taken
refuses "no slots" 2 "at least 1" init a --slots 0

works "init" init a --media 4MiB --slots 6 --drives 1 --set 2+1
refuses "init where an archive is" 1 "is an archive already" init a
mkdir mnt plain
refuses "status of what is no archive" 3 "not in a mounted archive" status plain
refuses "mount of a directory that is missing" 1 "No such file" mount missing mnt
refuses "mount of what is no archive" 3 "is no archive" mount plain mnt
refuses "mount at a directory that is missing" 1 "No such file" mount a missing
refuses "mount at a file" 1 "Not a directory" mount a a/varve.conf
refuses "mount inside the archive" 1 "inside the archive" mount a a/ssd
refuses "unknown mount option" 2 "unknown mount option 'rainbow'" mount a mnt -o rainbow
refuses "verb without a daemon" 3 "no daemon serves" flush a
refuses "path outside of any mount" 3 "not in a mounted archive" archive plain
refuses "path that is missing" 1 "No such file" archive plain/nothing
refuses "umount of what is no mount" 3 "no mount of varve" umount plain
refuses "which archive" 3 "which archive" flush

# The first start marks tiers and libraries; from here on nothing may change.
works "mount" mount a mnt
works "umount" umount mnt
cp a/varve.conf conf.good
sed 's/^seal_after/seal_aftre/' conf.good > a/varve.conf
refuses "unknown key" 1 "varve.conf:[0-9]+:.*seal_aftre" policy check a
refuses "unknown key at mount" 1 "varve.conf:[0-9]+:.*seal_aftre" mount a mnt
printf '[rule cool]\nfrom = ssd\nto = hdd\nwhere = siez > 3\n' | cat conf.good - > a/varve.conf
refuses "bad predicate" 1 "cool.*siez" policy check a
refuses "bad predicate at mount" 1 "cool.*siez" mount a mnt
cp conf.good a/varve.conf
mv a/hdd hdd.away
refuses "missing tier directory" 1 "hdd" mount a mnt
mv hdd.away a/hdd

works "mount again" mount a mnt
mounted=yes
mkdir mnt2
works "init of another" init b --media 4MiB --slots 3 --set 1+1
works "mount of another" mount b mnt2
works "umount of another" umount mnt2
refuses "second daemon" 1 "process [0-9]+" mount a mnt2
refuses "mount point in use" 1 "mnt" mount b mnt
refuses "rebuild under a daemon" 1 "process [0-9]+" rebuild a
refuses "unknown job" 1 "77" job 77 --archive a
refuses "job that is no number" 2 "is not a number" job x --archive a
refuses "unknown disc" 1 "NONE" disc show NONE --archive a
refuses "unknown set" 1 "99" set show 99 --archive a
refuses "unknown rule" 1 "hot" policy run hot --archive a
refuses "bad duration" 2 "is not a duration" pin mnt --for long

timeout 60 "$varve" stauts --json > out 2> /dev/null
if [ $? -eq 2 ] && grep -q '"kind": "invalid"' out && grep -q '"hint": "did you mean' out; then
    report ok "--json tells errors as JSON" ""
else
    report not-ok "--json tells errors as JSON" "$(cat out)"
fi

works "umount again" umount mnt
mounted=no
if [ -e a/varve.sock ]; then
    report not-ok "the socket is gone" "a/varve.sock is there"
else
    report ok "the socket is gone" ""
fi
echo "1..$count"
exit $failed

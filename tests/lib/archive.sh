# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# archive.sh - sourced by tests that use whole archives through the program, after common.sh: a
# source tree with everything a tree can have, comparing trees, asking varve. The caller sets
# $varve, $archive and $mnt.

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

needs_mounts() {
    [ "$(id -u)" -eq 0 ] || skip_all "needs root"
    [ -w /dev/fuse ] || skip_all "needs /dev/fuse"
    command -v jq >/dev/null || skip_all "needs jq"
}

# real_files DIR COUNT: that many files of /usr of at most 256 KiB each, with the symlinks and
# directories around them.
real_files() {
    local dir
    mkdir -p "$1"
    for dir in /usr/share/perl /usr/lib/python3* /usr/include /usr/share/doc; do
        [ -d "$dir" ] && find "$dir" -xdev \( -type f -size -512 -o -type l \) -print0
    done | head -z -n "$2" | sed -z 's,^/usr/,,' |
        tar -C /usr --null --files-from=- -cf - | tar -C "$1" -xpf -
}

# hostile_files DIR: what is rare, and what has gone wrong somewhere.
hostile_files() {
    local d=$1 long
    mkdir -p "$d/varve" "$d/odd/empty" "$d/odd/deep/er/and/deeper" "$d/odd/文件夹"
    long=$(printf 'n%.0s' {1..255})
    echo of the user >"$d/varve/SHA256SUMS"
    echo readme >"$d/varve/README.txt"
    : >"$d/odd/nothing"
    echo long >"$d/odd/$long"
    mkdir "$d/odd/deep/${long//n/d}"
    echo below >"$d/odd/deep/${long//n/d}/$long"
    echo newline >"$d/odd/"$'new\nline'
    echo raw >"$d/odd/"$'not \xff\xfe utf'
    echo quotes >"$d/odd/it's a \"quote\" \\ and \$(dollar) *"
    echo wide >"$d/odd/文件夹/文件 😀"
    echo dash >"$d/odd/-rf"
    echo spaces >"$d/odd/ two  spaces "
    head -c 70001 /dev/urandom >"$d/odd/linked"
    ln "$d/odd/linked" "$d/odd/deep/other name"
    ln "$d/odd/linked" "$d/third name"
    ln -s ../../nowhere "$d/odd/dangling"
    ln -s "$(printf 'x/%.0s' {1..500})" "$d/odd/long target"
    ln -s deep "$d/odd/to-directory"
    mkfifo -m 640 "$d/odd/fifo"
    mknod "$d/odd/null" c 1 3
    head -c 65536 /dev/urandom >"$d/odd/one cluster"
    head -c 65537 /dev/urandom >"$d/odd/one cluster and a byte"
    echo attributes >"$d/odd/attributes"
    setfattr -n user.colour -v blue "$d/odd/attributes"
    setfattr -n user.bytes -v 0x00ff0a00 "$d/odd/attributes"
    setfattr -n user.directory -v too "$d/odd/deep"
    setfattr -n trusted.varve-test -v root "$d/odd/attributes"
    truncate -s 3M "$d/odd/sparse"
    echo island | dd of="$d/odd/sparse" bs=1 seek=1500000 conv=notrunc status=none
    echo modes >"$d/odd/modes"
    chown 1234:5678 "$d/odd/modes"
    chmod 6751 "$d/odd/modes"
    chmod 1777 "$d/odd/empty"
    chown -h 4321:8765 "$d/odd/dangling"
    touch -d '1969-12-31 23:59:58.5' "$d/odd/nothing"
    touch -d '2038-01-19 03:14:08.000000001' "$d/odd/modes"
    touch -h -d '2001-02-03 04:05:06.123456789' "$d/odd/dangling" "$d/odd/fifo"
    touch -d '1999-12-31 23:59:59.999999999' "$d/odd/deep" "$d/odd"
}

# same_tree WANTED GOT [OPTIONS of describe-tree]
same_tree() {
    local wanted=$1 got=$2
    shift 2
    diff <("$lib/describe-tree" "$wanted" "$@") <("$lib/describe-tree" "$got" "$@") >"$work/difference" ||
        { cut -c 1-300 "$work/difference" && return 1; }
}

status_of() { "$varve" status "$archive" --json | jq -r "$1"; }
status_is() { equal "$2" "$(status_of "$1")"; } # status_is QUERY WANTED
# set_key KEY VALUE: in [archive] of the configuration.
set_key() { sed -i "/^\[archive\]/a $1 = $2" "$archive/varve.conf"; }
# files_in_state STATE: their number.
files_in_state() { status_of ".states.$1.files"; }
# discs_where JQ-CONDITION: bar codes.
discs_where() { "$varve" disc list "$archive" --json | jq -r ".discs[] | select($1) | .barcode"; }
image_of() { echo "$archive/library/discs/$1.img"; }
clean_check() { # no finding, with a daemon and without
    "$varve" check "$archive" --json | tee /dev/stderr | jq -e '.report.findings == 0' >/dev/null
}
# exits CODE COMMAND...
exits() {
    local wanted=$1 got
    shift
    "$@"
    got=$?
    equal "exit $wanted" "exit $got"
}
# says PATTERN COMMAND...: on any output, whatever it exits with.
says() {
    local pattern=$1 out
    shift
    out=$("$@" 2>&1)
    grep -Eq -- "$pattern" <<<"$out" || {
        echo "nothing like '$pattern' in: $out"
        return 1
    }
}

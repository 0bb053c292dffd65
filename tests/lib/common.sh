# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# common.sh - sourced by shell tests and by ./quickstart: a temporary directory that cleans up
# after itself, TAP lines, manifests of trees. Needs bash, `set -u`; no output of its own.

tap_count=0
tap_failed=0

# ok WORDS COMMAND...: one TAP line; the command's output is shown only if it fails. It runs in this
# shell, so that it may set variables and start servers; where it goes to does not matter.
ok() {
    local words=$1 log status home=$PWD
    shift
    tap_count=$((tap_count + 1))
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null
    status=$?
    cd "$home" || exit 1
    if [ $status -eq 0 ]; then
        echo "ok $tap_count - $words"
    else
        echo "not ok $tap_count - $words"
        tail -n 20 "$log" | sed 's/^/# /'
        tap_failed=$((tap_failed + 1))
    fi
    rm -f "$log"
}

# not_ok WORDS COMMAND...: as ok, for what must fail.
not_ok() {
    local words=$1
    shift
    ok "$words" fails "$@"
}
fails() { ! "$@"; }

# skip_all WHY: for tests that cannot run here at all.
skip_all() {
    echo "1..0 # SKIP $*"
    exit 0
}
# needs PROGRAM...: skips the whole test where one of them is not installed.
needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip_all "$program is not installed"
    done
}
finish_tap() {
    echo "1..$tap_count"
    [ $tap_failed -eq 0 ]
}

equal() { # equal WANTED GOT
    [ "$1" = "$2" ] || {
        printf 'wanted: %s\ngot:    %s\n' "$1" "$2"
        return 1
    }
}

# until_true SECONDS COMMAND...: tries ten times a second.
until_true() {
    local tries=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

# On any exit: calls before_cleanup if the script has one, unmounts what was registered, last first, then removes the temporary directory.
cleanup_mounts=()
cleanup_dir=
cleanup() {
    local i
    if declare -F before_cleanup >/dev/null; then
        before_cleanup || true
    fi
    for ((i = ${#cleanup_mounts[@]} - 1; i >= 0; i--)); do
        if is_mounted "${cleanup_mounts[i]}"; then
            umount "${cleanup_mounts[i]}" 2>/dev/null || umount -l "${cleanup_mounts[i]}"
        fi
    done
    [ -z "$cleanup_dir" ] || rm -rf --one-file-system "$cleanup_dir"
}
is_mounted() { grep -qF " $1 " /proc/self/mountinfo; }
# make_work NAME: sets $work.
make_work() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/varve-$1.XXXXXX")
    cleanup_dir=$work
    trap cleanup EXIT
    trap 'exit 130' INT TERM
}
unmount_at_exit() { cleanup_mounts+=("$1"); }

# manifest TREE: lines for each file: path, type, mode, owner, size, mtime, symlink target or
# SHA-256. Equal trees give equal manifests.
manifest() {
    (
        cd "$1" || exit 1
        find . -mindepth 1 -type d -printf '%P\td\t%m\t%U:%G\t%T@\n'
        find . -mindepth 1 ! -type d ! -type f -printf '%P\t%y\t%m\t%U:%G\t%T@\t%l\n'
        find . -type f -printf '%P\tf\t%m\t%U:%G\t%s\t%T@\n'
        # coreutils' sha256sum does not use the CPU's SHA instructions; openssl does (six times
        # as fast). xargs stops with an error if a file cannot be read.
        find . -type f -print0 | xargs -0 -r -n 500 openssl dgst -sha256 -r |
            sed 's/^\([0-9a-f]*\) \*\.\//sha256 \1 /'
    ) | LC_ALL=C sort
}

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same checks hold for every port that this machine can have: the virtual library, tgt over iSCSI
# with what it is known to lack, and what was recorded of both, played again.
# usage: ports.sh CONFORMANCE   (TAP)
set -u
conformance=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/tgt.sh
. "$here/../lib/tgt.sh"
make_work conformance
before_cleanup() { tgt_kill; }

virtual_lacks=
# passes PROGRAM...: its failed lines are what is shown.
passes() {
    "$@" >"$work/out" 2>&1
    local status=$?
    grep -v '^ok' "$work/out"
    return $status
}
checks() { equal "$1" "$(grep -c '^ok' "$work/out")"; }
other_trace() { # with one answer changed, the suite must see it
    sed '0,/^> 0 a5.* none$/s//> 0 a5000001000200030000ffff none/' "$work/virtual.trace" >"$work/other.trace"
    ! "$conformance" --lacks "$virtual_lacks" --replay "$work/other.trace"
}

ok "virtual library" passes "$conformance" --lacks "$virtual_lacks" --record "$work/virtual.trace" --virtual "$work/virtual"
count=$(grep -c '^ok' "$work/out")
ok "its trace, replayed" passes "$conformance" --lacks "$virtual_lacks" --replay "$work/virtual.trace"
ok "with one check more: that all was asked for" checks $((count + 1))
ok "a trace that differs is seen" other_trace
if [ "$(id -u)" -eq 0 ] && command -v tgtd tgtadm tgtimg >/dev/null; then
    ok "tgt starts" eval 'tgt_make "$work/tgt" 6 2 1 && tgt_start "$work/tgt"'
    ok "tgt over iSCSI" passes "$conformance" --lacks "$tgt_lacks" --record "$work/tgt.trace" "$tgt_changer" "${tgt_drives[@]}"
    ok "its trace, replayed" passes "$conformance" --lacks "$tgt_lacks" --replay "$work/tgt.trace"
else
    ok "tgt # SKIP needs root and Debian's tgt" true
fi
finish_tap

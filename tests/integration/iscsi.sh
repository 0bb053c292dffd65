#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The iSCSI port logs in by CHAP or not at all; a target that hangs gives time-outs, one that is gone
# is waited for; after either the port tells of the new nexus before anything else is sent.
# usage: iscsi.sh SCSICMD   (TAP)
set -u
scsicmd=$(realpath "$1") || exit 1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../lib/common.sh"
# shellcheck source=tests/lib/tgt.sh
. "$here/../lib/tgt.sh"
needs_tgt
make_work iscsi
before_cleanup() {
    cut_stop
    tgt_kill
}
ready=000000000000
# opens PLACE WANTED: what the first line says, as a pattern
opens() {
    local got
    got=$("$scsicmd" "$1" </dev/null | head -n 1)
    grep -Eq -- "$2" <<<"$got" || { echo "nothing like '$2' in: $got" && return 1; }
}
# A port that stays open: say COMMAND WANTED.
begin() {
    coproc PORT { exec "$scsicmd" "$1"; }
    answers open
}
answers() {
    local got
    read -r -t 90 -u "${PORT[0]}" got
    grep -Eq -- "$1" <<<"$got" || { echo "nothing like '$1' in: $got" && return 1; }
}
say() { echo "$1" >&"${PORT[1]}" && answers "$2"; }
end() {
    eval "exec ${PORT[1]}>&-"
    wait "$PORT_PID"
}
with_user() { echo "${tgt_changer/iscsi:\/\//iscsi:\/\/$1@}"; }

ok "tgt starts" eval 'tgt_make "$work/tgt" 4 1 1 && tgt_start "$work/tgt"'
ok "the port opens" opens "$tgt_changer" '^open$'
ok "a drive is a drive" opens "${tgt_drives[0]}" '^open$'
ok "no such logical unit" opens "${tgt_changer%/*}/9" '^error iscsi://.*no device is at this address'
ok "no such target" opens "${tgt_changer%/iqn*}/iqn.2026-01.test:none/1" "^error .*log in to target"

# --- time-outs (fault 34) and a target that comes back (fault 30) ---
ok "open" begin "$tgt_changer"
ok "the news of the login come first" say "9000 $ready" 'sense 06/29/0'
ok "ready" say "9000 $ready" 'good 0'
tgt_stop
ok "a target that hangs: no answer" say "300 a50000100400000100000000" 'silence iscsi://.*: no answer in 300 ms'
tgt_go
ok "the same session goes on: nothing was sent again" say "9000 b81204000001000000ff0000 in 255" 'good [1-9]'
tgt_stop
say "300 $ready" 'silence' >/dev/null
ok "two time-outs in a row end the session" say "300 $ready" 'silence'
tgt_go
ok "the next command is told of the new one, and not sent" say "9000 $ready" 'sense 06/29/07'
ok "and of whatever else the target has to tell" say "9000 $ready" 'sense 06/29/00'
ok "then work goes on" say "9000 $ready" 'good 0'
tgt_kill
start_later() {
    sleep 1.5
    tgt_start "$work/tgt" >/dev/null
}
start_later &
later=$!
ok "a target that was killed is waited for; the command is not sent" say "9000 $ready" 'sense 06/29/07'
wait $later
ok "then work goes on" say "9000 b81204000001000000ff0000 in 255" 'sense 06/29/00'
ok "end" end

# --- CHAP ---
demand_chap() {
    tgt_adm --mode account --op new --user varve --password 'top%secret12' &&
        tgt_adm --mode account --op bind --tid 1 --user varve
}
ok "the target demands CHAP" demand_chap
ok "without it nobody gets in" opens "$tgt_changer" '^error .*log in'
ok "nor with a wrong password" opens "$(with_user varve%wrongsecret12)" '^error .*log in'
ok "the password is in no message" eval '! opens "$(with_user varve%wrongsecret12)" wrongsecret'
ok "the right one opens" opens "$(with_user 'varve%top%secret12')" '^open$'
finish_tap

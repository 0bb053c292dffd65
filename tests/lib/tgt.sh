# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# tgt.sh - a changer with DVD drives that somebody else wrote, over iSCSI on loopback: Debian's tgtd
# as a plain process with a control socket and a port of its own. Sourced after common.sh; needs root.
#
#   tgt_make DIR SLOTS DRIVES MAIL   blank DVD+R discs DISC_000, ... in all slots but the last
#   tgt_start DIR                    runs it; the discs are in their slots, whatever was before
#   tgt_kill, tgt_stop, tgt_go       SIGKILL, SIGSTOP, SIGCONT
#   $tgt_changer, ${tgt_drives[@]}   their URLs, the same after each start
#
# What tgt does otherwise than hardware is in docs/testing.md.

# What the conformance suite is told that tgt lacks.
# shellcheck disable=SC2034
tgt_lacks=counts,whole-answers,drive-serials,address-sense,exchange,changer-lock,load-attention,next-address
tgt_lacks=$tgt_lacks,write-order,append,blank-read,bd

tgt_dir=
needs_tgt() {
    [ "$(id -u)" -eq 0 ] || skip_all "tgtd needs root"
    needs tgtd tgtadm tgtimg
}
tgt_adm() { TGT_IPC_SOCKET=$tgt_dir/control tgtadm -C 1 --lld iscsi "$@"; }
tgt_lun() { tgt_adm --mode logicalunit --op "$1" --tid 1 --lun "$2" "${@:3}"; }
tgt_set() { tgt_lun update "$tgt_changer_lun" --params "$1"; }

tgt_make() {
    tgt_dir=$1
    mkdir -p "$1/media" || return 1
    printf 'slots=%s drives=%s mail=%s serial=%s\n' "$2" "$3" "$4" "V$$$((RANDOM % 90 + 10))" >"$1/layout"
    head -c 1024 /dev/zero >"$1/changer"
    local i
    for ((i = 0; i < $2 - 1; i++)); do
        tgtimg --op new --device-type cd --type dvd+r --file "$1/media/$(printf 'DISC_%03d' "$i")" || return 1
    done
}

tgt_portal() { tgt_adm --mode portal --op show 2>/dev/null | sed -n 's/^Portal: \([0-9.:]*\),.*/\1/p' | grep .; }

# The kernel chooses the port at the first start; later starts take it again.
tgt_launch() {
    local port=0
    [ ! -e "$tgt_dir/port" ] || port=$(cat "$tgt_dir/port")
    TGT_IPC_SOCKET=$tgt_dir/control tgtd -f -C 1 --iscsi "portal=127.0.0.1:$port" >"$tgt_dir/log" 2>&1 &
    echo $! >"$tgt_dir/pid"
    until_true 10 tgt_portal || { cat "$tgt_dir/log" && return 1; }
    tgt_portal | sed 's/.*://' >"$tgt_dir/port"
}

tgt_start() {
    local slots drives mail serial i
    tgt_dir=$1
    # shellcheck disable=SC2046
    local $(cat "$tgt_dir/layout")
    tgt_changer_lun=$((drives + 1))
    rm -f "$tgt_dir/control"*
    tgt_launch || return 1
    tgt_target=iqn.2026-01.test.varve:$serial
    tgt_adm --mode target --op new --tid 1 -T "$tgt_target" || return 1
    for ((i = 1; i <= drives; i++)); do
        tgt_lun new "$i" -Y cd || return 1
        tgt_lun update "$i" --params "vendor_id=IET,product_id=DVD-DRIVE,product_rev=0001,scsi_sn=${serial}D$i,removable=1"
    done
    tgt_lun new "$tgt_changer_lun" -b "$tgt_dir/changer" --device-type=changer || return 1
    tgt_set "vendor_id=IET,product_id=CHANGER,product_rev=0001,scsi_sn=${serial}C,removable=1"
    tgt_set "element_type=4,start_address=1,quantity=$drives"
    for ((i = 1; i <= drives; i++)); do tgt_set "element_type=4,address=$i,tid=1,lun=$i"; done
    tgt_set element_type=1,start_address=16,quantity=1
    tgt_set "media_home=$tgt_dir/media"
    tgt_set "element_type=2,start_address=1024,quantity=$slots"
    [ "$mail" -eq 0 ] || tgt_set "element_type=3,start_address=32,quantity=$mail"
    i=1024
    for disc in "$tgt_dir"/media/*; do
        tgt_set "element_type=2,address=$i,barcode=$(basename "$disc"),sides=1" || return 1
        i=$((i + 1))
    done
    tgt_adm --mode target --op bind --tid 1 -I ALL || return 1
    tgt_urls "127.0.0.1:$(cat "$tgt_dir/port")"
}
# tgt_urls PORTAL: what leads there, perhaps through something in between.
tgt_urls() {
    local i
    tgt_drives=()
    for ((i = 1; i < tgt_changer_lun; i++)); do tgt_drives+=("iscsi://$1/$tgt_target/$i"); done
    # shellcheck disable=SC2034
    tgt_changer=iscsi://$1/$tgt_target/$tgt_changer_lun
}

tgt_pid() { cat "$tgt_dir/pid"; } # in a file: a subshell may have started it
tgt_is_gone() { ! kill -0 "$(tgt_pid)" 2>/dev/null; }
tgt_kill() {
    [ -e "$tgt_dir/pid" ] || return 0
    kill -9 "$(tgt_pid)"
    wait "$(tgt_pid)" 2>/dev/null
    until_true 10 tgt_is_gone
    rm -f "$tgt_dir/pid"
}
tgt_stop() { kill -STOP "$(tgt_pid)"; }
tgt_go() { kill -CONT "$(tgt_pid)"; }

# --- a link that can be cut, see iscsi-cut ---
cut_pid=
cut_start() { # cut_start DIR: afterwards the URLs lead through it
    cut_dir=$1
    mkdir -p "$cut_dir" && rm -f "$cut_dir/port"
    "$(dirname "${BASH_SOURCE[0]}")/iscsi-cut" "$(cat "$tgt_dir/port")" "$cut_dir" >"$cut_dir/log" 2>&1 &
    cut_pid=$!
    until_true 10 test -e "$cut_dir/port" || return 1
    tgt_urls "127.0.0.1:$(cat "$cut_dir/port")"
}
cut_stop() {
    [ -n "$cut_pid" ] || return 0
    kill -9 "$cut_pid"
    wait "$cut_pid" 2>/dev/null
    cut_pid=
}
cut_rule() { echo "$*" >"$cut_dir/rule.new" && mv "$cut_dir/rule.new" "$cut_dir/rule"; } # cut_rule before|after OPCODE [NTH]
cut_count() { # cut_count N: so many commands were cut
    local got=0
    [ ! -e "$cut_dir/cuts" ] || got=$(wc -l <"$cut_dir/cuts")
    [ ! -e "$cut_dir/rule" ] && [ "$got" -eq "$1" ]
}

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `varve library probe` shows what sysfs and udev know of changers and drives under names that stay,
# tells which drive of somebody else's changer is which, and never names one for another.
#   probe.sh VARVE    the first half needs umockdev (a sysfs and udev of our making), the second tgt
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
. "$here/../lib/tgt.sh"
varve=$1
needs jq
make_work probe
before_cleanup() { tgt_kill; }
ask() { jq -r "$1" "$work/probe.json"; }
# missing WORDS: one of the lines of what is missing has them.
missing() { ask '.missing[]' | grep -qF -- "$1"; }

# --- a sysfs of our making ---

# fake SED-SCRIPT: probes the devices of devices.umockdev after an edit.
fake() {
    sed -e "/^#/d; 3{/^$/d}" -e "$1" "$here/../lib/devices.umockdev" >"$work/devices" &&
        ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 umockdev-run -d "$work/devices" -- \
            "$varve" library probe --json >"$work/probe.json"
}
devices() { ask '.devices[] | "\(.kind) \(.sg) \(.block // .changer) \(.serial) \(.name)"'; }
all_found() {
    fake '' && equal "changer /dev/sg0 /dev/sch0 LABCHG01 serial:LABCHG01
drive /dev/sg1 /dev/sr0 LABDRV01 serial:LABDRV01
drive /dev/sg2 /dev/sr1 LABDRV02 serial:LABDRV02
drive /dev/sg6 /dev/sr2 000000000001 /dev/disk/by-path/pci-0000:00:14.0-usb-0:6:1.0-scsi-0:0:0:0
drive /dev/sg7 /dev/sr3 000000000001 /dev/disk/by-path/pci-0000:00:14.0-usb-0:7:1.0-scsi-0:0:0:0" "$(devices)"
}
renumbered() {
    fake 's/\bsg0\b/sg12/; s/\bsg1\b/sg0/; s/\bsr0\b/sr8/' && equal "changer /dev/sg12 /dev/sch0 LABCHG01 serial:LABCHG01
drive /dev/sg0 /dev/sr8 LABDRV01 serial:LABDRV01" "$(devices | head -n 2)"
}
twins() {
    fake 's/LABDRV02/LABDRV01/; s/4C41424452563032/4C41424452563031/' &&
        equal "/dev/disk/by-path/pci-0000:03:00.0-sas-lun-1
/dev/disk/by-path/pci-0000:03:00.0-sas-lun-2" "$(ask '.devices[1, 2].name')"
}
without_sg() {
    fake '/scsi_generic/,/^$/d' && equal null "$(ask '.devices[0].sg')" &&
        missing "it has no generic node (/dev/sgN): modprobe sg"
}
leaves() { fake '' && equal "true false" "$(ask '"\(.devices[1].udisks_leaves) \(.devices[2].udisks_leaves)"')"; }
hostile() { # what a device says of itself gets neither into a path nor onto the terminal
    fake 's/^A: vendor=LAB .*/H: vendor=1B5B33316D3B0A/; s|^\(E: DEVLINKS=\)/dev/tape/by-id.*|\1/dev/tape/by-path/\x1b[0m|' &&
        equal "[null,null,null]" "$(jq -c '.devices[0] | [.vendor, .by_id, .by_path]' "$work/probe.json")"
}
if command -v umockdev-run >/dev/null; then
    ok "changer and drives are found, disks are not" all_found
    ok "a name stays when nodes get other numbers" renumbered
    ok "a serial number that two drives have names neither" twins
    ok "devices without a generic node are shown, with what to do" without_sg
    ok "what udisks is told to leave alone is seen" leaves
    ok "control characters of devices are dropped" hostile
fi

# --- somebody else's changer, over iSCSI ---

at_tgt() { "$varve" library probe "${tgt_changer%/*}" --json "$@" >"$work/probe.json" 2>"$work/probe.err"; }
drives() { ask '.changers[0].drives[] | "\(.address) \(.drive) \(.proof)"'; }
# tgt cuts what it says of its last drive.
told() {
    at_tgt && equal "1 ${tgt_drives[0]} serial number
2 ${tgt_drives[1]} serial number
3 ${tgt_drives[2]} cut serial number" "$(drives)"
}
looked() {
    at_tgt --load && equal "3 ${tgt_drives[2]} load and look" "$(drives | tail -n 1)" &&
        equal "3 0" "$(ask '.changers[0] | "\(.discs) \([.drives[] | select(.full)] | length)"')"
}
home() { at_tgt && equal "3 0" "$(ask '.changers[0] | "\(.discs) \([.drives[] | select(.full)] | length)"')"; }
pasted() {
    at_tgt --load
    {
        printf '[archive]\nname = t\n[tier hdd]\npath = hdd\n'
        ask .config
    } >"$work/varve.conf"
    equal "${tgt_drives[0]} ${tgt_drives[1]} ${tgt_drives[2]}" \
        "$(sed -n 's/^drive = \([^ ]*\) .*/\1/p' "$work/varve.conf" | xargs)" && "$varve" policy check "$work/varve.conf"
}
used() { # by a daemon, which must hear all unit attentions itself
    "$varve" init "$work/a" --library scsi --changer "$tgt_changer" --drive "${tgt_drives[0]}" \
        --drive "${tgt_drives[1]}" --drive "${tgt_drives[2]}" >/dev/null && mkdir "$work/m" &&
        "$varve" mount "$work/a" "$work/m" || return 1
    at_tgt
    "$varve" umount "$work/m"
    equal false "$(ask '.changers[0].read')" && missing "is in use by process"
}
nobody() { "$varve" library probe iscsi://127.0.0.1:1/iqn.2026-01.test.varve:none >"$work/out" 2>&1; }
no_url() { "$varve" library probe /dev/sg0 2>"$work/out" || grep -q "is no iSCSI target" "$work/out"; }
if [ "$(id -u)" -eq 0 ] && command -v tgtd >/dev/null; then
    tgt_make "$work/tgt" 4 3 1 >/dev/null && tgt_start "$work/tgt" >/dev/null
    ok "what tgt says of its drives proves all but the last" told
    ok "a disc that is put into it proves that one" looked
    ok "and is home again" home
    ok "the lines for varve.conf are a configuration, in the order of the elements" pasted
    if [ -c /dev/fuse ]; then
        unmount_at_exit "$work/m"
        ok "what a daemon has open is left alone" used
    fi
    not_ok "a target that is not there is an error" nobody
fi
ok "a device is no iSCSI target" no_url
finish_tap

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In the guest, as root: see scsi.sh.
#   scsi-guest.sh BUILD INSTALLED
set -u
source=$PWD/../..
. "$source/tests/lib/common.sh"
. "$source/tests/lib/tgt.sh"
. "$source/tests/vm/scsi-library"
PATH=$1/tools:$PATH
make_work guest

# --- before there is any SCSI ---

nothing_to_find() {
    varve library probe >"$work/none" && grep -q "No changer and no optical drive" "$work/none" &&
        grep -q "iscsi://HOST/TARGET" "$work/none" && ! grep -q "For varve.conf" "$work/none"
}
ok "a machine without SCSI devices is told what to look at" nothing_to_find

# --- plugging in, with our rule and our modprobe options installed ---

cp -r "$2"/. / && udevadm control --reload
modprobe -a sg sr_mod ch iscsi_tcp
ok "the modprobe snippet keeps module ch from counting discs" \
    equal 0 "$(cat /sys/module/ch/parameters/init)"
ok "tgt's library becomes devices of the kernel" library_up 8 2 1
changer=$(sg_of 8 0)
serial=$(sed -n 's/.*serial=//p' "$work/tgt/layout")
drives=("$(sg_of 5 0)" "$(sg_of 5 1)")

group_of() { stat -c '%G %a' "$1"; }
same_group() {
    local node
    for node in "$changer" "${drives[@]}"; do equal "cdrom 660" "$(group_of "$node")" || return 1; done
}
ok "one group may use changer and drives" same_group
property() { udevadm info --query=property --property="$2" --value "$1"; }
kept_out() {
    local node
    for node in /dev/sr0 /dev/sr1; do
        equal 1 "$(property $node UDISKS_IGNORE)" &&
            equal 0 "$(cat /sys/block/${node##*/}/events_poll_msecs)" || return 1
    done
}
ok "udisks leaves the drives alone, and the kernel does not poll them" kept_out

# --- probe ---

probe() { varve library probe --json "$@" >"$work/probe.json" 2>"$work/probe.err"; }
ask() { jq -r "$1" "$work/probe.json"; }
found() {
    probe && equal "changer $changer serial:${serial}C" \
        "$(ask '.devices[] | select(.kind == "changer") | "changer \(.sg) \(.name)"')" &&
        equal "2" "$(ask '[.devices[] | select(.kind == "drive")] | length')" &&
        equal "8 1 7" "$(ask '.changers[0] | "\(.slots) \(.mail_slots) \(.discs)"')"
}
ok "probe finds the changer and both drives" found
# tgt cuts the identifier of its last drive (reference 4.1 a).
proven_by_serial() {
    equal "1 serial:${serial}D1 ${drives[0]} serial number true
2 serial:${serial}D2 ${drives[1]} cut serial number false" \
        "$(ask '.changers[0].drives[] | "\(.address) \(.drive) \(.sg) \(.proof) \(.proven)"')"
}
ok "what the changer says of its drives proves all but the last" proven_by_serial
not_pasted() { ask .config | grep -q '^; drive = ' && ! ask .config | grep -q '^drive = '; }
ok "lines that are not proven are comments" not_pasted
advised() { ask '.missing[]' | grep -q 'drive element 2 is not proven'; }
ok "and what is missing is told" advised

# Neither sr nor udev hears of the discs that come and go while we look.
udevadm monitor --udev --subsystem-match=block >"$work/events" 2>&1 &
monitor=$!
ok "load and look" probe --load
kill $monitor
wait $monitor 2>/dev/null
ok "no program of udev's was run for a disc" fails grep -q ' change ' "$work/events"
proven_by_load() {
    equal "serial:${serial}D2 ${drives[1]} load and look" \
        "$(ask '.changers[0].drives[1] | "\(.drive) \(.sg) \(.proof)"')"
}
ok "a disc proves the last drive" proven_by_load
all_home() { probe && equal "7 0" "$(ask '.changers[0] | "\(.discs) \([.drives[] | select(.full)] | length)"')"; }
ok "the disc is home again" all_home

probe --load
{
    printf '[archive]\nname = vm\n[tier ssd]\npath = ssd\n[tier hdd]\npath = hdd\n'
    ask .config
} >"$work/varve.conf"
ok "the lines for varve.conf are a configuration" varve policy check "$work/varve.conf"

# --- who may, and who is in the way ---

as() { setpriv --reuid 65534 --regid "$1" --clear-groups "${@:2}"; }
chmod 755 "$work"
cp "$(command -v varve)" "$work/varve"
may() { as cdrom "$work/varve" library probe --json >"$work/probe.json" && equal true "$(ask .changers[0].read)"; }
ok "a member of the group needs no privilege" may
may_not() {
    as nogroup "$work/varve" library probe --json >"$work/probe.json" && equal false "$(ask .changers[0].read)" &&
        ask '.missing[]' | grep -q "no permission to use $changer: the user belongs into group 'cdrom'"
}
ok "others are told which group they lack" may_not

python3 -c 'import os, time
fd = os.open("/dev/sr0", os.O_RDONLY | os.O_NONBLOCK | os.O_EXCL)
open("'"$work"'/held", "w").close()
time.sleep(600)' &
holder=$!
until_true 20 test -e "$work/held"
names_holder() {
    probe --load
    ask '.missing[]' | grep -q "(process $holder) has /dev/sr0 open"
}
ok "who else has a drive open is named" names_holder
kill $holder
wait $holder 2>/dev/null

# --- the ports' conformance suite, which writes to the first three discs ---

conforms() {
    # The kernel hears the first unit attention, when it looks at a device that came.
    "$1/tests/conformance/conformance" --lacks "$tgt_lacks,first-attention" \
        "serial:${serial}C" "serial:${serial}D1" "serial:${serial}D2" >"$work/conformance"
    local status=$?
    grep -v '^ok' "$work/conformance"
    return $status
}
ok "the SG_IO port passes the conformance suite" conforms "$1"
echo "# $(grep -c '^ok' "$work/conformance") checks"

# --- an archive on it ---

modprobe fuse
log=$work/archive/varve.log
make_archive() {
    varve init "$work/archive" --set 1+1 --library scsi --changer "serial:${serial}C" \
        --drive "serial:${serial}D1" --drive "serial:${serial}D2" && mkdir "$work/mnt" &&
        varve mount "$work/archive" "$work/mnt"
}
ok "an archive is mounted with it" make_archive
unmount_at_exit "$work/mnt"
burned() {
    cp -r "$source/docs" "$work/mnt/docs" && head -c 2000000 /dev/urandom >"$work/mnt/random" &&
        manifest "$work/mnt" >"$work/before" && timeout 200 varve archive --wait "$work/mnt"
}
ok "a set of 1+1 DVD+R is burned, read back and sealed" burned
grep "sealed" "$log" | sed 's/^/# /'
recalled() {
    varve release "$work/mnt/docs" "$work/mnt/random" && manifest "$work/mnt" >"$work/after" &&
        cmp "$work/before" "$work/after"
}
ok "what was released comes back equal" recalled

not_while_mounted() { # a probe would hear the unit attentions that the daemon waits for
    probe && equal false "$(ask '.changers[0].read')" &&
        ask '.missing[]' | grep -q "changer $changer: .* is in use by process" && ask .config | fails grep -q scsi
}
ok "a probe leaves alone what a daemon has open" not_while_mounted

# --- unplugging: the nodes get other numbers, under the daemon too ---

exec 7<"$changer" 8<"${drives[0]}" # their numbers stay taken
library_logout >/dev/null
ok "the devices go" until_true 20 test ! -e /sys/class/scsi_device/0:0:0:3
ok "the daemon says so" until_true 20 grep -q "library 'main': drive 0 (serial:${serial}D1) is gone" "$log"
ok "and come back" library_login
exec 7<&- 8<&-
other_number() { [ "$(sg_of 8 0)" != "$changer" ] && [ "$(sg_of 5 0)" != "${drives[0]}" ]; }
ok "under other nodes" other_number
again() {
    probe && equal "serial:${serial}C $(sg_of 8 0)" \
        "$(ask '.devices[] | select(.kind == "changer") | "\(.name) \(.sg)"')"
}
ok "with the same names" again
ok "the daemon says where" until_true 20 grep -q "the changer (serial:${serial}C) is back as $(sg_of 8 0)" "$log"
ok "no command of its own failed on the way" fails grep -q "read the inventory after it came back" "$log"
counted() { varve library inventory --refresh --archive "$work/archive" | grep -q DISC_002; }
ok "it drives the changer there" until_true 60 counted
ok "and reads discs in the drives there" recalled
ok "the mount ends" varve umount "$work/mnt"
grep -v "sealed\|burned" "$log" | sed 's/^/# /'

finish_tap

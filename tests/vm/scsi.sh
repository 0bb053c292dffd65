#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A changer and its drives that a Linux kernel shows are found, told apart, protected and used, and
# found again after they were unplugged.
#   scsi.sh BUILD     in a guest (tests/vm/guest), where tgt and the kernel's iSCSI initiator give
#                     /dev/sgN, srN and schN; skipped where no guest can run
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/common.sh"
needs tgtd tgtadm tgtimg iscsid iscsiadm udevadm jq meson
[ -x /lib/systemd/systemd-udevd ] || skip_all "udev is not installed"
make_work vm-scsi
# What is installed, where it is installed: the guest copies it to its root.
meson install -C "$1" --no-rebuild --quiet --destdir "$work/installed" >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    echo "Bail out! meson install failed"
    exit 1
}
VM_SECONDS=${VM_SECONDS:-800} "$here/guest" "$here/scsi-guest.sh" "$1" "$work/installed" >"$work/out"
status=$?
[ $status -ne 77 ] || skip_all "$(cat "$work/out")"
cat "$work/out"
[ $status -eq 0 ] || echo "# the guest ended with $status"
exit $status

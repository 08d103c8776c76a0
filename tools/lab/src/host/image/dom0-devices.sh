#!/bin/busybox sh
# What guests with devices need, and what the others do without: backends, a bridge, a disk. May be
# run again.
set -e
[ -e /sys/class/net/guests ] || {
    for module in /lib/modules/devices/*.ko; do
        insmod "$module"
    done
    brctl addbr guests
    ip addr add 10.77.0.1/24 dev guests
    ip link set guests up
}
# In memory, as long as dom0 is. Empty for each guest that is made.
losetup /dev/loop0 2>/dev/null >&2 && losetup -d /dev/loop0
rm -f /lab/disk
truncate -s 8M /lab/disk
losetup /dev/loop0 /lab/disk

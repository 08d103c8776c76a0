#!/bin/busybox sh
# xl runs this when a guest's disk comes and goes: blkback is told which device of dom0 it is.
# tools/hotplug/Linux/block of Xen does more: it refuses a device that another guest has, which a
# migration to the same host would meet.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$1" in
add)
    device=$(xenstore-read "$XENBUS_PATH/params") && number=$(stat -L -c %t:%T "$device") \
        && xenstore-write "$XENBUS_PATH/physical-device" "$number" "$XENBUS_PATH/hotplug-status" connected && exit
    xenstore-write "$XENBUS_PATH/hotplug-status" error "$XENBUS_PATH/hotplug-error" "$device is no block device"
    exit 1
    ;;
esac

#!/bin/busybox sh
# xl runs this when a guest's network interface comes and goes: it is put on its bridge.
# The environment that it finds: tools/hotplug/Linux/vif-bridge of Xen.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$1" in
online | add)
    bridge=$(xenstore-read "$XENBUS_PATH/bridge") && brctl addif "$bridge" "$vif" && ip link set "$vif" up \
        && xenstore-write "$XENBUS_PATH/hotplug-status" connected && exit
    xenstore-write "$XENBUS_PATH/hotplug-status" error "$XENBUS_PATH/hotplug-error" "$vif is not on its bridge"
    exit 1
    ;;
esac

#!/bin/busybox sh
# dom0's first process: what xl needs and a door for the lab, nothing else.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /dev/shm
mount -t tmpfs -o size=100% lab /lab
echo "lab: first process runs, uptime $(cut -d' ' -f1 /proc/uptime)"
for module in /lib/modules/*.ko; do
    insmod "$module" || echo "lab: $module was refused"
done
mount -t xenfs xenfs /proc/xen
ip link set lo up
for try in 1 2 3 4 5 6 7 8 9 10; do
    [ -e /sys/class/net/eth0 ] && break
    usleep 200000
done
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
echo dom0 > /proc/sys/kernel/hostname
# The one in OCaml, where dom0 has it and the lab asks for it.
case "$(cat /proc/cmdline)" in
    *lab.xenstored=oxenstored*) xenstored=/usr/lib/xen/bin/oxenstored ;;
    *) xenstored=xenstored ;;
esac
$xenstored --pid-file /run/xen/xenstored.pid || echo "lab: $xenstored failed"
/usr/lib/xen/bin/xen-init-dom0 || echo "lab: xen-init-dom0 failed"
xenconsoled --log=all --log-dir=/var/log/xen/console --pid-file=/run/xen/xenconsoled.pid \
    || echo "lab: xenconsoled failed"
# -W: with dropbear's own window of 24 KiB a round trip of 30 ms leaves less than 1 MB/s between two hosts.
dropbear -W 1048576 -r /etc/dropbear/host_key -s -p 22 -E 2>/dev/console
echo "lab: dom0 is up, uptime $(cut -d' ' -f1 /proc/uptime)"
# As the first process it must not end, and it collects the children of others.
while true; do sleep 1000; done

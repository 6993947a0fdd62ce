#!/bin/sh
# Builds the disk of a Debian 12 server in the directory $1: kernel, initrd, disk.raw. Its packages come from the mirror $2;
# without one, from debootstrap's own. Runs in a mount namespace of its own.
set -eu
suite=bookworm
# What Hetzner's image has as far as a first boot is concerned: ifupdown, a DHCP client, a plain resolv.conf, cloud-init.
# debootstrap does not find python3-cffi-backend by itself: python3-cryptography asks for it by a virtual name.
packages=systemd-sysv,udev,dbus,ifupdown,isc-dhcp-client,iproute2,kmod,netbase,openssh-server,cloud-init,python3-cffi-backend,curl,ca-certificates,iputils-ping,nftables,linux-image-cloud-amd64

cd "$1"
mkdir root
# In memory, where dpkg's many calls of fsync cost nothing.
mount -t tmpfs -o size=3G,mode=0755 tmpfs root
debootstrap --variant=minbase --include="$packages" "$suite" root ${2:+"$2"} >debootstrap.log 2>&1 || {
  tail -n 20 debootstrap.log >&2
  exit 1
}
umount root/proc root/sys 2>/dev/null || :
cp root/boot/vmlinuz-* kernel
cp root/boot/initrd.img-* initrd
rm -rf root/boot/* root/var/cache/apt root/var/lib/apt/lists root/usr/share/doc root/usr/share/locale root/usr/share/man
rm -f root/etc/ssh/ssh_host_* root/etc/machine-id root/etc/hostname root/etc/resolv.conf
: >root/etc/machine-id
# The image of a hoster gets its network from cloud-init and nothing else.
printf 'source /etc/network/interfaces.d/*\n' >root/etc/network/interfaces
truncate -s 3G disk.new
mke2fs -q -t ext4 -d root disk.new
umount root
rmdir root
mv disk.new disk.raw

#!/bin/sh
# Boots the root file system $1 with the files of $2 over it, in the control group $3; the first process's pid goes to $4.
# What it writes stays in this host's /run, for the next boot.
set -eu
# shellcheck disable=SC2016 # the inner shell expands it
inner='
set -eu
# The outer /proc is still there: this is the pid as the host counts it.
read -r pid rest </proc/self/stat
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$1,upperdir=/run/machine/files/upper,workdir=/run/machine/files/work" /run/machine/root
cp -a --remove-destination "$2/." /run/machine/root
cd /run/machine/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/net dev/pts dev/shm
: >dev/net/tun
mount --bind /dev/net/tun dev/net/tun
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
echo "$pid" >"$3"
pivot_root . mnt
umount -l /mnt
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
'
mkdir -p /run/machine/root /run/machine/files /run/cgroup
mountpoint -q /run/machine/files || mount -t tmpfs tmpfs /run/machine/files
mkdir -p /run/machine/files/upper /run/machine/files/work
mountpoint -q /run/cgroup || mount -t cgroup2 cgroup2 /run/cgroup
# Left by labs that were killed: their directories are gone.
labs=$(dirname "$(dirname "$(dirname "$2")")")
for group in /run/cgroup/hetznat-lab-*; do
  lab=${group##*/}
  [ ! -d "$group" ] || [ -d "$labs/${lab%-*}" ] || find "$group" -depth -type d -exec rmdir {} + || :
done
mkdir -p "/run/cgroup/$3"
echo $$ >"/run/cgroup/$3/cgroup.procs"
exec unshare --mount --pid --fork --ipc --cgroup --uts --kill-child sh -c "$inner" init "$1" "$2" "$4"

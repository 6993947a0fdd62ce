#!/bin/sh
# Builds the root file system $2 of the release $3 in the directory $1: what all containers have, and these packages: $7...
# Its packages come from the mirror $4, or the release's own where that is empty, signed by a key of the file $5, and debootstrap
# does it as for the release $6. Runs in a mount namespace of its own.
set -eu
place=$1 name=$2 suite=$3 mirror=$4 keys=$5 like=$6
shift 6
# debootstrap does not find python3-cffi-backend by itself: python3-cryptography asks for it by a virtual name.
common=systemd-sysv,udev,dbus,iproute2,kmod,netbase,cloud-init,python3-cffi-backend,curl,ca-certificates,nftables,wireguard-tools,wireguard-go

cd "$place"
if [ ! -d "$suite" ]; then
  mkdir new
  # In memory, where dpkg's many calls of fsync cost nothing.
  mount -t tmpfs -o size=3G,mode=0755 tmpfs new
  components=main
  [ "$like" = "$suite" ] || components=main,universe
  debootstrap --variant=minbase --keyring="$keys" --components="$components" --include="$common" "$suite" new "$mirror" \
    "/usr/share/debootstrap/scripts/$like" >debootstrap.log 2>&1 || {
    tail -n 20 debootstrap.log >&2
    exit 1
  }
  umount new/proc new/sys 2>/dev/null || :
  rm -rf "$suite.new"
  cp -a new "$suite.new"
  umount new
  rmdir new
  mv "$suite.new" "$suite"
fi

mkdir new
mount -t tmpfs -o size=3G,mode=0755 tmpfs new
cp -a "$suite/." new
cp /etc/resolv.conf new/etc/resolv.conf
mount -t proc proc new/proc
printf '#!/bin/sh\nexit 101\n' >new/usr/sbin/policy-rc.d
chmod 755 new/usr/sbin/policy-rc.d
DEBIAN_FRONTEND=noninteractive chroot new apt-get install --yes --quiet=2 --no-install-recommends "$@" >install.log 2>&1 || {
  tail -n 20 install.log >&2
  exit 1
}
umount new/proc
rm -rf new/usr/sbin/policy-rc.d new/var/cache/apt new/var/lib/apt/lists new/usr/share/doc new/usr/share/locale new/usr/share/man
# What resolvers and network managers make at their start stays a link.
[ -L new/etc/resolv.conf ] || rm -f new/etc/resolv.conf
rm -f new/etc/machine-id new/etc/hostname
: >new/etc/machine-id
# The image of a hoster gets its network from cloud-init and nothing else.
[ ! -e new/etc/network/interfaces ] || printf 'source /etc/network/interfaces.d/*\n' >new/etc/network/interfaces
rm -rf "$name.new" "$name"
cp -a new "$name.new"
umount new
rmdir new
mv "$name.new" "$name"

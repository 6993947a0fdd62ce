#!/bin/sh
# hetznat: IPv4 through WireGuard to the home gateway
# Every command may be run again at any time.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# shellcheck source=/dev/null
. /etc/hetznat/conf

# cloud-init itself is Python, so there is one even where no python3 is in the path.
python() {
  "$(command -v python3 || sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$(command -v cloud-init)")" -I "$@"
}

up() {
  ip link show dev "$IF" >/dev/null 2>&1 || ip link add dev "$IF" type wireguard ||
    { modprobe wireguard && ip link add dev "$IF" type wireguard; }
  python /usr/local/lib/hetznat/wgset.py "$IF" "$PORT" /etc/hetznat/wg.key "$PEER" "$ALLOWED"
  ip link set dev "$IF" mtu "$MTU" up
  # No IPv6 address on the interface: the source is the server's own global address.
  ip -6 route replace "$POOL6" dev "$IF"
  ip -6 route replace "$GATEWAY/128" dev "$IF"
  # Without the interface, fail at once instead of asking the data centre.
  ip -6 route replace unreachable "$POOL6" metric 4096
  ip -4 addr replace "$IPV4/32" dev "$IF"
  keep_metadata
  for half in 0.0.0.0/1 128.0.0.0/1; do
    ip -4 route replace "$half" dev "$IF" src "$IPV4" mtu "$MTU"
  done
}

# The metadata service stays on the uplink, if there is an IPv4 default route at all.
keep_metadata() {
  uplink=$(ip -4 route show default | sed -n 's/^default \(via [^ ]* dev [^ ]*\).*/\1 onlink/p; s/^default \(dev [^ ]*\).*/\1/p' |
    grep -v "dev $IF" | head -n 1) || :
  # shellcheck disable=SC2086 # several words
  [ -z "$uplink" ] || ip -4 route replace 169.254.169.254/32 $uplink
}

# DNS64 servers only: resolvers forget which server is which, so plain ones must not be among them.
dns() {
  if systemctl -q is-enabled systemd-resolved 2>/dev/null || systemctl -q is-active systemd-resolved 2>/dev/null; then
    mkdir -p /etc/systemd/resolved.conf.d
    printf '[Resolve]\nDNS=%s\nDomains=~.\nDNSSEC=no\n' "$DNS" | put /etc/systemd/resolved.conf.d/60-hetznat.conf ||
      systemctl --no-block try-restart systemd-resolved
  elif [ -d /etc/NetworkManager/conf.d ]; then
    printf '[global-dns]\n\n[global-dns-domain-*]\nservers=%s\n' "$(echo "$DNS" | tr ' ' ,)" |
      put /etc/NetworkManager/conf.d/60-hetznat-dns.conf || systemctl --no-block try-reload-or-restart NetworkManager
  else
    # ifupdown: the DHCP client, dhclient or dhcpcd, must leave the file alone.
    mkdir -p /etc/dhcp/dhclient-enter-hooks.d
    echo 'make_resolv_conf() { :; }' | put /etc/dhcp/dhclient-enter-hooks.d/hetznat || :
    if [ -e /etc/dhcpcd.conf ] && [ ! -e /etc/dhcpcd.enter-hook ]; then
      # shellcheck disable=SC2016 # dhcpcd expands it
      echo 'skip_hooks="$skip_hooks resolv.conf"' >/etc/dhcpcd.enter-hook
    fi
    # shellcheck disable=SC2086 # several words
    [ -L /etc/resolv.conf ] || { printf 'nameserver %s\n' $DNS && echo 'options timeout:2'; } | put /etc/resolv.conf || :
  fi
}

# Fails if the file had another content before.
put() {
  new=$(cat)
  [ "$new" != "$(cat "$1" 2>/dev/null)" ] || return 0
  printf '%s\n' "$new" >"$1"
  return 1
}

# Until the gateway answers, at most $1 seconds; never fails the boot. A refused connection is an answer too.
wait_for_gateway() {
  python -c '
import socket, sys, time
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try:
        socket.create_connection((sys.argv[1], 53), 2).close()
        break
    except ConnectionRefusedError:
        break
    except OSError:
        time.sleep(1)
else:
    print("the gateway has not connected yet; IPv4 works as soon as it does")
' "$GATEWAY" "$1" || :
}

case ${1:-} in
  up) up ;;
  down) ip link del dev "$IF" ;;
  dns) dns ;;
  refresh) up && dns ;;
  wait) wait_for_gateway "${2:-120}" ;;
  *)
    echo 'usage: hetznat up|down|dns|refresh|wait [SECONDS]' >&2
    exit 2
    ;;
esac

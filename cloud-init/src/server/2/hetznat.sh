#!/bin/sh
# hetznat: IPv4 through WireGuard to the home gateway
# Every command may be run again at any time.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# shellcheck source=/dev/null
. /etc/hetznat/conf
LIB=/usr/local/lib/hetznat
# There while the gateway is silent.
AWAY=/run/hetznat.away
# There from "down" to "up": nothing heals what is meant to be down.
DOWN=/run/hetznat.down

# cloud-init itself is Python, so there is one even where no python3 is in the path.
python() {
  "$(command -v python3 || sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$(command -v cloud-init)")" -I "$@"
}

up() {
  rm -f $DOWN
  device
  python $LIB/wg.py set "$IF" "$PORT" /etc/hetznat/wg.key "$PEER" "$ALLOWED"
  ip link set dev "$IF" mtu "$MTU" up
  ip -6 route replace "$GATEWAY/128" dev "$IF"
  ip -4 addr replace "$IPV4/32" dev "$IF"
  keep_metadata
  # Without a route into the tunnel, fail at once instead of asking the data centre.
  ip -6 route replace unreachable "$POOL6" metric 4096
  ip -4 route replace unreachable default metric 4096 table "$PORT" proto kernel
  [ -e $AWAY ] || routes
  rules
  firewall
  docker_json
}

device() {
  ip link show dev "$IF" >/dev/null 2>&1 || ip link add dev "$IF" type wireguard 2>/dev/null ||
    { modprobe -q wireguard && ip link add dev "$IF" type wireguard; } ||
    { echo "hetznat: Linux $(uname -r) has no WireGuard; use an image with Linux 5.6 or newer: Debian 12, Ubuntu 22.04, Rocky 9" >&2 && exit 1; }
}

routes() {
  # No IPv6 address on the interface: the source is the server's own global address.
  ip -6 route replace "$POOL6" dev "$IF"
  ip -4 route replace default dev "$IF" src "$IPV4" mtu "$MTU" table "$PORT" proto kernel
}

# Whatever the main table knows better than by its default goes there, everything else into the tunnel. In a table of its own,
# because Docker takes no address that a route in the main table covers; networkd leaves alone what claims to be the kernel's.
rules() {
  ip -4 rule add pref 32700 table main suppress_prefixlength 0 protocol kernel 2>/dev/null || :
  ip -4 rule add pref 32701 table "$PORT" protocol kernel 2>/dev/null || :
}

away() {
  : >$AWAY
  ip -6 route del "$POOL6" dev "$IF" 2>/dev/null || :
  ip -4 route del default dev "$IF" table "$PORT" 2>/dev/null || :
}

back() {
  rm -f $AWAY
  routes
}

down() {
  : >$DOWN
  systemctl stop hetznat-refresh.service || :
  ip link del dev "$IF" 2>/dev/null || :
  ip -4 rule del pref 32700 2>/dev/null || :
  ip -4 rule del pref 32701 2>/dev/null || :
}

# The metadata service stays on the uplink, if there is an IPv4 default route at all.
keep_metadata() {
  uplink=$(ip -4 route show default | sed -n 's/^default \(via [^ ]* dev [^ ]*\).*/\1 onlink/p; s/^default \(dev [^ ]*\).*/\1/p' |
    grep -v "dev $IF" | head -n 1) || :
  # shellcheck disable=SC2086 # several words
  [ -z "$uplink" ] || ip -4 route replace 169.254.169.254/32 $uplink
}

# Home answers, but opens no connections here; segments fit into the tunnel; with a guard, only root reads the user data.
# Numbers: names of protocols are in a file that may be missing.
firewall() {
  command -v nft >/dev/null || return 0
  guard='' output=''
  if [ -n "$GUARD" ]; then
    guard='ip daddr 169.254.169.254 reject;'
    output='chain output { type filter hook output priority -10; meta skuid 0 accept
      ip daddr 169.254.169.254 reject; ip6 daddr fe80::a9fe:a9fe reject; }'
  fi
  nft -f - <<RULES
table inet hetznat
delete table inet hetznat
table inet hetznat {
  chain input { type filter hook input priority -10; iifname != "$IF" accept
    ct state established,related accept
    meta l4proto { 1, 58 } limit rate 20/second accept
    drop; }
  chain through { type filter hook forward priority -10; $guard
    oifname "$IF" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    iifname != "$IF" accept
    ct state established,related accept
    drop; }
  $output
}
RULES
}

# Containers get a slice of the server's own network, so that they prefer native IPv6 as the server does.
docker_json() {
  [ -n "$DOCKER" ] && [ ! -e /etc/docker/daemon.json ] || return 0
  slice=$(ip -6 -o addr show scope global | sed -n '/ '"$IF"' /d; s/.* inet6 \([^ ]*\/64\) .*/\1/p' | head -n 1 |
    python -c 'import ipaddress; print(ipaddress.ip_network(input(), False)[0xd0c << 48])' 2>/dev/null) || return 0
  mkdir -p /etc/docker
  # Before Docker 27, ip6tables is an experiment, and without it every port of a container is open to the world.
  printf '{"experimental":true,"ipv6":true,"ip6tables":true,"fixed-cidr-v6":"%s/80","dns":[%s],"mtu":%s}\n' \
    "$slice" "$DOCKER" "$MTU" >/etc/docker/daemon.json
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
    # openresolv writes the file, Debian's resolvconf writes what it links to, and either would name plain resolvers.
    if [ -e /etc/resolvconf.conf ] && ! grep -qx 'resolvconf=NO' /etc/resolvconf.conf; then
      echo 'resolvconf=NO' >>/etc/resolvconf.conf
    fi
    [ ! -L /etc/resolv.conf ] || rm /etc/resolv.conf
    # shellcheck disable=SC2086 # several words
    { printf 'nameserver %s\n' $DNS && echo 'options timeout:2'; } | put /etc/resolv.conf || :
  fi
}

# Fails if the file had another content before.
put() {
  new=$(cat)
  [ "$new" != "$(cat "$1" 2>/dev/null)" ] || return 0
  printf '%s\n' "$new" >"$1"
  return 1
}

# In plain words what is up, what is not, and what to try. Fails if something is not.
status() {
  failed=0
  if ip link show dev "$IF" up 2>/dev/null | grep -q .; then
    good tunnel "up, UDP port $PORT"
  else
    bad tunnel "down; try: hetznat up"
  fi
  last=$(python $LIB/wg.py show "$IF" 2>/dev/null) || :
  if [ -z "$last" ]; then
    bad gateway "has never connected; is it running there, and does the cloud firewall let UDP port $PORT in?"
  elif python $LIB/gateway.py ask "$GATEWAY"; then
    good gateway "answers, handshake ${last%% *} s ago with ${last#* }"
  else
    bad gateway "silent, last handshake ${last%% *} s ago; try there: hetznat-translator status"
  fi
  if [ -e $AWAY ]; then
    bad ipv4 "off until the gateway answers: connections fail at once"
  elif ip -4 route get 192.0.2.1 2>/dev/null | grep -q "dev $IF" && ip -6 route get "${POOL6%/*}" 2>/dev/null | grep -q "dev $IF"; then
    good ipv4 "through the tunnel, as $IPV4"
  else
    bad ipv4 "not through the tunnel; try: hetznat refresh"
  fi
  if python -c 'import socket; socket.getaddrinfo("ipv4only.arpa", 80, socket.AF_INET6)' 2>/dev/null; then
    good names "IPv4-only ones get IPv6 addresses"
  else
    bad names "IPv4-only ones get no IPv6 addresses from $DNS; try: hetznat dns"
  fi
  if nft list table inet hetznat >/dev/null 2>&1; then
    good firewall "home opens no connections to this server"
  else
    bad firewall "none; install nftables, then try: hetznat refresh"
  fi
  exit "$failed"
}

good() {
  printf 'ok   %-8s %s\n' "$1" "$2"
}

bad() {
  failed=1
  printf 'BAD  %-8s %s\n' "$1" "$2"
}

[ "${0##*/}" != hetznat-status ] || set -- status
case ${1:-} in
  up) up ;;
  device) device ;;
  down) down ;;
  away) away ;;
  back) back ;;
  dns) dns ;;
  refresh) up && dns ;;
  status) status ;;
  wait) ! python $LIB/gateway.py wait "$GATEWAY" "${2:-120}" || back ;;
  watch) python $LIB/gateway.py watch "$GATEWAY" "$IF" ;;
  *)
    echo 'usage: hetznat up|down|dns|refresh|status|wait [SECONDS]' >&2
    exit 2
    ;;
esac

#!/bin/sh
# iproute2 on a kernel that may have no WireGuard: wireguard-go takes its place then, which is plain wireguard in Ubuntu 22.04.
case "$*" in
  "link add dev "*" type wireguard")
    /usr/bin/ip "$@" 2>/dev/null || exec "$(command -v wireguard-go || echo wireguard)" "$4"
    ;;
  *) exec /usr/bin/ip "$@" ;;
esac

set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
if [ "$(cat /etc/hetznat/installed 2>/dev/null)" != "$ID" ]; then
umask 077
mkdir -p /etc/hetznat
cat >/etc/hetznat/wg.key <<'END'
{{private_key}}
END
cat >/etc/hetznat/conf <<'END'
# hetznat: peer {{peer}} of gateway {{gateway}}
IF={{interface}}
PORT={{port}}
PEER={{public_key}}
ALLOWED={{pool6}},{{address6}}/128,0.0.0.0/0
GATEWAY={{address6}}
POOL6={{pool6}}
MTU={{mtu}}
IPV4={{ipv4}}
DNS='{{dns}}'
GUARD='{{guard}}'
DOCKER='{{docker}}'
END
umask 022
mkdir -p /usr/local/lib/hetznat /usr/local/sbin /etc/systemd/system /etc/systemd/network
cat >/usr/local/lib/hetznat/wg.py <<'END'
{{wg.py}}
END
cat >/usr/local/lib/hetznat/gateway.py <<'END'
{{gateway.py}}
END
cat >/usr/local/sbin/hetznat <<'END'
{{hetznat.sh}}
END
chmod 755 /usr/local/sbin/hetznat
ln -sf hetznat /usr/local/sbin/hetznat-status
cat >/etc/systemd/system/hetznat.service <<'END'
{{hetznat.service}}
END
cat >/etc/systemd/system/hetznat-wait.service <<'END'
{{hetznat-wait.service}}
END
cat >/etc/systemd/system/hetznat-watch.service <<'END'
{{hetznat-watch.service}}
END
cat >/etc/systemd/system/hetznat-refresh.service <<'END'
{{hetznat-refresh.service}}
END
cat >/etc/systemd/system/hetznat-refresh.timer <<'END'
{{hetznat-refresh.timer}}
END
# Keys may have changed: start clean.
ip link del dev {{interface}} 2>/dev/null
systemctl daemon-reload
# On a kernel without WireGuard the service says so in the journal, and nothing else is changed: neither names nor what boots.
/usr/local/sbin/hetznat device || {
  systemctl start --no-block hetznat.service
  exit 1
}
printf '[Match]\nName={{interface}}\n[Link]\nUnmanaged=yes\n' >/etc/systemd/network/05-hetznat.network
[ ! -d /etc/NetworkManager/conf.d ] ||
  printf '[keyfile]\nunmanaged-devices+=interface-name:{{interface}}\n' >/etc/NetworkManager/conf.d/50-hetznat.conf
/usr/local/sbin/hetznat dns
systemctl -q enable hetznat.service hetznat-watch.service hetznat-refresh.timer
echo "$ID" >/etc/hetznat/installed
# --no-block: cloud-init's network stage comes before sysinit.target, so waiting for a unit here would wait forever.
systemctl start --no-block hetznat-wait.service hetznat-watch.service hetznat-refresh.timer
fi
/usr/local/sbin/hetznat up || echo 'hetznat: not up yet, hetznat.service tries again' >&2
exit 0

set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
umask 077
mkdir -p /etc/hetznat /run/hetznat
cat >/etc/hetznat/group.secret <<'END-OF-MEMBER'
{{secret}}
END-OF-MEMBER
cat >/etc/hetznat/member.py <<'END-OF-MEMBER'
{{member.py}}
END-OF-MEMBER
cat >/etc/hetznat/member.boothook <<'END-OF-MEMBER'
{{boothook}}
END-OF-MEMBER
# cloud-init itself is Python, so there is one even where no python3 is in the path.
python=$(command -v python3 || sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$(command -v cloud-init)")
"$python" -I /etc/hetznat/member.py /etc/hetznat/group.secret {{first}} {{count}} /etc/hetznat/member.boothook \
  >/run/hetznat/boothook && exec sh /run/hetznat/boothook

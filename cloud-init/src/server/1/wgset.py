# hetznat: configures kernel WireGuard over generic netlink, with Python's standard library alone
# usage: wgset.py INTERFACE LISTEN_PORT PRIVATE_KEY_FILE PEER_PUBLIC_KEY ALLOWED[,ALLOWED...]
# Numbers without a name are those of linux/netlink.h, linux/genetlink.h and linux/wireguard.h.
import base64
import ipaddress
import socket
import struct
import sys


def attr(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nest(kind, *attrs):
    return attr(kind | 0x8000, b"".join(attrs))


def call(sock, family, command, body):
    # NLM_F_REQUEST | NLM_F_ACK = 5
    header = struct.pack("=IHHII", 20 + len(body), family, 5, 1, 0)
    sock.send(header + struct.pack("=BBH", command, 1, 0) + body)
    reply = b""
    while True:
        rest = sock.recv(65536)
        while rest:
            length, kind = struct.unpack_from("=IH", rest)
            message, rest = rest[16:length], rest[(length + 3) & ~3:]
            # NLMSG_ERROR; error 0 is the acknowledgement.
            if kind == 2:
                error = struct.unpack_from("=i", message)[0]
                if error:
                    raise OSError(-error, "refused by the kernel")
                return reply
            reply = message


def wireguard_family(sock):
    # GENL_ID_CTRL, CTRL_CMD_GETFAMILY
    reply = call(sock, 16, 3, attr(2, b"wireguard\0"))[4:]
    while reply:
        length, kind = struct.unpack_from("=HH", reply)
        if kind == 1:
            return struct.unpack_from("=H", reply, 4)[0]
        reply = reply[(length + 3) & ~3:]
    raise OSError("the kernel has no WireGuard")


def allowed_ip(index, text):
    net = ipaddress.ip_network(text)
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    return nest(index, attr(1, struct.pack("=H", family)),
                attr(2, net.network_address.packed), attr(3, bytes([net.prefixlen])))


def main(interface, port, key_file, peer, allowed):
    with open(key_file) as file:
        key = base64.b64decode(file.read().strip(), validate=True)
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    sock.bind((0, 0))
    sock.settimeout(5)
    family = wireguard_family(sock)
    ips = [allowed_ip(index, text) for index, text in enumerate(allowed.split(","))]
    # WGPEER_F_REPLACE_ALLOWEDIPS = 2
    peer = [attr(1, base64.b64decode(peer, validate=True)), attr(3, struct.pack("=I", 2)), nest(9, *ips)]
    # Without WGDEVICE_F_REPLACE_PEERS: running again must not drop the live session.
    call(sock, family, 1, attr(2, interface.encode() + b"\0") + attr(3, key)
         + attr(6, struct.pack("=H", int(port))) + nest(8, nest(0, *peer)))


main(*sys.argv[1:])

# hetznat: speaks to kernel WireGuard over generic netlink, with Python's standard library alone
# usage: wg.py set INTERFACE LISTEN_PORT PRIVATE_KEY_FILE PEER_PUBLIC_KEY ALLOWED[,ALLOWED...]
#        wg.py show INTERFACE    the seconds since the last handshake and whom it was with, or nothing
# Numbers without a name are those of linux/netlink.h, linux/genetlink.h and linux/wireguard.h.
import base64
import ipaddress
import socket
import struct
import sys
import time


def attr(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nest(kind, *attrs):
    return attr(kind | 0x8000, b"".join(attrs))


def attrs(data):
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def call(sock, family, flags, command, body):
    header = struct.pack("=IHHII", 20 + len(body), family, flags, 1, 0)
    sock.send(header + struct.pack("=BBH", command, 1, 0) + body)
    reply = b""
    while True:
        rest = sock.recv(65536)
        while rest:
            length, kind = struct.unpack_from("=IH", rest)
            message, rest = rest[16:length], rest[(length + 3) & ~3:]
            # NLMSG_ERROR; error 0 is the acknowledgement.
            if kind == 2 and struct.unpack_from("=i", message)[0]:
                raise OSError(-struct.unpack_from("=i", message)[0], "refused by the kernel")
            # NLMSG_DONE ends a dump.
            if kind in (2, 3):
                return attrs(reply[4:])
            reply = message


def allowed_ip(index, text):
    net = ipaddress.ip_network(text)
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    return nest(index, attr(1, struct.pack("=H", family)),
                attr(2, net.network_address.packed), attr(3, bytes([net.prefixlen])))


def configure(interface, port, key_file, peer, allowed):
    with open(key_file) as file:
        key = base64.b64decode(file.read().strip(), validate=True)
    ips = [allowed_ip(index, text) for index, text in enumerate(allowed.split(","))]
    # WGPEER_F_REPLACE_ALLOWEDIPS = 2
    peer = [attr(1, base64.b64decode(peer, validate=True)), attr(3, struct.pack("=I", 2)), nest(9, *ips)]
    # Without WGDEVICE_F_REPLACE_PEERS: running again must not drop the live session.
    # NLM_F_REQUEST | NLM_F_ACK = 5
    call(sock, family, 5, 1, attr(2, interface.encode() + b"\0") + attr(3, key)
         + attr(6, struct.pack("=H", int(port))) + nest(8, nest(0, *peer)))


def show(interface):
    # NLM_F_REQUEST | NLM_F_DUMP = 0x301
    device = call(sock, family, 0x301, 0, attr(2, interface.encode() + b"\0"))
    peer = attrs(attrs(device[8])[0])
    seconds = struct.unpack_from("=q", peer[6])[0]
    if seconds:
        host = ipaddress.ip_address(peer[4][8:24] if len(peer[4]) > 16 else peer[4][4:8])
        print(max(0, int(time.time()) - seconds), host)


sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
sock.bind((0, 0))
sock.settimeout(5)
# GENL_ID_CTRL, CTRL_CMD_GETFAMILY
family = struct.unpack("=H", call(sock, 16, 5, 3, attr(2, b"wireguard\0"))[1])[0]
{"set": configure, "show": show}[sys.argv[1]](*sys.argv[2:])

# Writes packets into an interface and prints what a translator makes of them: for each case all that comes before the
# answer to its marker, which the translator reads last.
import json
import socket
import sys

interface, file = sys.argv[1:]
plan = json.load(open(file))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
wire.bind((interface, 3))
wire.settimeout(5)


def send(packet):
    packet = bytes.fromhex(packet)
    wire.sendto(packet, (interface, 0x86DD if packet[0] >> 4 == 6 else 0x0800))


def next_packet():
    while True:
        packet, address = wire.recvfrom(65536)
        if address[2] != socket.PACKET_OUTGOING:
            return packet.hex()


came = []
for case in plan["cases"]:
    for packet in case + [plan["marker"]]:
        send(packet)
    came.append(list(iter(next_packet, plan["answer"])))
json.dump(came, sys.stdout)

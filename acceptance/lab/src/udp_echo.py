"""Answers every datagram with itself and the address it came from."""
import socket
import sys

address, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as server:
    server.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        datagram, sender = server.recvfrom(65535)
        server.sendto(datagram + f" from {sender[0]}".encode(), sender)

"""Sends one datagram, and prints what comes back."""
import socket
import sys

address, port, text = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as client:
    client.settimeout(3)
    client.connect((address, int(port)))
    client.send(text.encode())
    print(client.recv(65535).decode())

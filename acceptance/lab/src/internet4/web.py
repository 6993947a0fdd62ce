"""The web server of the lab: a page that says who asks, the files of one directory, the SHA-256 of what is put."""
import functools
import hashlib
import http.server
import socket
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        self.answer(f"hello from {self.server.title}, you are {self.client_address[0]}\n")

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while left > 0 and (block := self.rfile.read(min(left, 1 << 16))):
            digest.update(block)
            left -= len(block)
        self.answer(digest.hexdigest() + "\n")

    def answer(self, text):
        page = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


address, directory, Server.title = sys.argv[1:]
if ":" in address:
    Server.address_family = socket.AF_INET6
server = Server((address, 80), functools.partial(Handler, directory=directory))
print("ready", flush=True)
server.serve_forever()

"""Stands in for Hetzner's metadata service: the paths that cloud-init's data source reads, and 404 for all others."""
import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = os.path.join(sys.argv[1], self.path.removeprefix("/hetzner/v1/").replace("/", "_"))
        found = self.path.startswith("/hetzner/v1/") and os.path.isfile(path)
        body = open(path, "rb").read() if found else b"not found\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("169.254.169.254", 80), Handler)
print("ready", flush=True)
server.serve_forever()

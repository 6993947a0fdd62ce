"""What cloud-init makes of user data, by its own processor: every part after unpacking, and all cloud-config merged.

Reads a JSON object of user data by name, as Hetzner's metadata service would serve each; writes one of results.
"""
import json
import sys
import tempfile

sys.path.insert(0, sys.argv[1])

from cloudinit import handlers, helpers, user_data, util, version
from cloudinit.handlers.cloud_config import CloudConfigPartHandler

try:
    from cloudinit.util import maybe_b64decode
except ImportError:
    from cloudinit.sources.helpers.hetzner import maybe_b64decode


def processed(text):
    paths = helpers.Paths({"cloud_dir": tempfile.mkdtemp(), "run_dir": tempfile.mkdtemp()})
    message = user_data.UserDataProcessor(paths).process(maybe_b64decode(text.encode()))
    merger = CloudConfigPartHandler(paths)
    merger.handle_part(None, handlers.CONTENT_START, None, None, None, None)
    parts = []
    for part in message.walk():
        if user_data.is_skippable(part):
            continue
        kind, payload = part.get_content_type(), util.fully_decoded_payload(part)
        payload = payload if isinstance(payload, str) else payload.decode("utf-8", "backslashreplace")
        parts.append([kind, part.get_filename(), payload])
        if kind in ("text/cloud-config", "text/cloud-config-jsonp"):
            merger.handle_part(None, kind, part.get_filename(), payload, None, dict(part))
    return {"parts": parts, "config": merger.cloud_buf}


given = json.load(sys.stdin)
json.dump({"version": version.version_string(), "results": {name: processed(text) for name, text in given.items()}}, sys.stdout)

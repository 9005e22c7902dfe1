"""An HTTP server on this machine, with ranges and with the faults that servers have."""

import base64
import functools
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class AudioServer:
    """Serves ``files``, ``{"/a.wav": bytes}``.

    ``ranges``, ``tags`` and ``heads`` say whether it serves parts of files, entity tags
    and answers to HEAD; ``index`` whether it serves the indexes of packs. Of the next
    GETs, ``breaks`` end in the middle and ``refusals`` answer with ``refusal``. Parts
    begin ``early`` bytes before what was asked for, where there are any.
    ``login`` is "user:password" or None. ``requests`` lists (method, path, bytes sent).
    """

    def __init__(self):
        self.files, self.requests = {}, []
        self.ranges = self.tags = self.heads = self.index = True
        self.breaks = self.refusals = self.early = 0
        self.refusal, self.login = 503, None
        owner = self

        class Handler(_Handler):
            server_state = owner

        self.http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,)).start()

    def sent(self):
        """Number of bytes of content that were sent."""
        return sum(size for _, _, size in self.requests)

    def close(self):
        """Ends the server."""
        self.http.shutdown()
        self.http.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Is silent of clients that have left."""


@functools.lru_cache(1000)
def _tag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    server_state = None

    def log_message(self, *args):
        """Is silent."""

    def do_HEAD(self):
        self._answer(0)

    def do_GET(self):
        self._answer(1)

    def _answer(self, is_get):
        state, path = self.server_state, urlsplit(self.path).path
        data, parts = state.files.get(path), {}
        code = 200 if data is not None else 404
        login = "Basic " + base64.b64encode((state.login or "").encode()).decode()
        if state.login and self.headers.get("Authorization") != login:
            code = 401
        if not (is_get or state.heads):
            code = 405
        if path.endswith(".index") and not state.index:
            code = 403
        if data and self.headers.get("If-Match", _tag(data)) != _tag(data):
            code = 412
        if is_get and state.refusals:
            state.refusals -= 1
            code = state.refusal
        whole = data
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if code == 200 and asked and state.ranges:
            start, last = int(asked[1]), int(asked[2] or len(data) - 1)
            early = min(state.early, start)
            start, last = start - early, last - early
            data, code = data[start : last + 1], 206
            parts = {"Content-Range": f"bytes {start}-{last}/{len(whole)}"}
            if not data:
                code = 416
        self.send_response(code)
        body = data if code in (200, 206) else b""
        self.send_header("Content-Length", str(len(body)))
        if code in (200, 206) and state.tags:
            self.send_header("ETag", _tag(whole))
        for key, value in parts.items():
            self.send_header(key, value)
        if state.breaks and body and is_get:
            state.breaks -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        body = body if is_get else b""
        state.requests.append((self.command, path, len(body)))
        self.end_headers()
        self.wfile.write(body)

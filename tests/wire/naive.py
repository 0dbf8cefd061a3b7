"""The proxy people write first: it parses every message and writes it out again. The fixture has to notice.

It streams events as they come, keeps their names and ids, and leaves alone what it cannot parse, so a conformance suite finds
nothing wrong with it.
"""

import http.client
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_DROPPED = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))


def rewritten(text: str) -> str:
    """A message, parsed and written out."""
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return text


class NaiveProxy:
    """The proxy on a port of its own, in front of a port."""

    def __init__(self, upstream: int) -> None:
        class Handler(_Handler):
            upstream_port = upstream

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.request_queue_size = 512
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop passing on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream_port = 0
    _is_answered = False

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self) -> None:
        self._is_answered = False
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        server = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED}
        try:
            server.request(self.command, self.path, rewritten(body.decode()).encode() or None, headers)
            response = server.getresponse()
            self._answer(response)
        except (http.client.HTTPException, OSError, ValueError):
            if not self._is_answered:
                self.send_error(502)
            self.close_connection = True
        finally:
            server.close()

    do_GET = do_POST = do_DELETE = _pass_on

    def _answer(self, response: http.client.HTTPResponse) -> None:
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        body = b"" if is_stream else _json(response.read())
        self._is_answered = True
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        self.send_header(*("transfer-encoding", "chunked") if is_stream else ("content-length", str(len(body))))
        self.end_headers()
        if not is_stream:
            self.wfile.write(body)
            return
        for event in _events(response):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")


def _json(body: bytes) -> bytes:
    try:
        return rewritten(body.decode()).encode()
    except UnicodeDecodeError:
        return body


def _events(response: Any) -> Iterator[bytes]:
    """The events of a stream, each written anew."""
    fields: dict[str, str] = {}
    for raw in response:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ") if name != "data" or "data" not in fields else fields["data"] + value
        elif fields:
            if "data" in fields:
                fields["data"] = rewritten(fields["data"])
            yield "".join(f"{name}: {value}\n" for name, value in fields.items() if name).encode() + b"\n"
            fields = {}

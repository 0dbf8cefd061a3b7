"""For tests only: ClickHouse over HTTP on chDB, writes included, so that the way to a real server is walked for real.

``python -m tests.record.writable FOLDER PORT``, with the password of the user ``default`` in TEST_PASSWORD.
"""

import base64
import contextlib
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

_TRANSPORT = {"query", "database", "query_id", "session_id", "wait_end_of_query", "default_format", "buffer_size"}
_TRANSPORT |= {"client_protocol_version", "compress", "decompress", "enable_http_compression"}
_TRANSPORT |= {"send_progress_in_http_headers", "http_headers_progress_interval_ms"}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        wanted = base64.b64encode(f"default:{os.environ['TEST_PASSWORD']}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {wanted}":
            self._answer(403, b"Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)", 516)
            return
        try:
            self._answer(200, self._run(given, body))
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._answer(500, str(error).encode(), int(code[1]) if code else 1001)

    def _run(self, given: dict[str, str], body: bytes) -> bytes:
        parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
        with contextlib.closing(chdb.connect(ENGINE)) as handle:
            if given.get("database"):
                handle.query(f"USE `{given['database']}`")
            for name, value in given.items():
                if name not in _TRANSPORT and not name.startswith("param_"):
                    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
                    handle.query(f"SET {name} = '{escaped}'")
            said = given.get("query", "")
            insert: re.Match[str] | re.Match[bytes] | None = re.match(r"(INSERT INTO .*?) FORMAT (\w+)\s*\Z", said, re.DOTALL)
            if insert is None and (insert := re.match(rb"(INSERT INTO .*?) FORMAT (\w+)\n", body, re.DOTALL)):
                body = body[insert.end() :]
            if insert is None:
                sql = "\n".join(filter(None, [given.get("query", ""), body.decode()]))
                result = handle.query(sql, given.get("default_format", "TabSeparated"), params=parameters)
                return bytes(result.bytes() or b"")
            words = [part.decode() if isinstance(part, bytes) else part for part in insert.groups()]
            with handle.send_insert(words[0], words[1]) as stream:
                stream.append(body)
                stream.finish()
            return b""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, body: bytes, code: int = 0) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


if __name__ == "__main__":
    ENGINE = sys.argv[1]
    ENGINE_OPEN = chdb.connect(ENGINE)
    ThreadingHTTPServer.request_queue_size = 64
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()

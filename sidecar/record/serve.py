"""The read-only endpoint: ClickHouse over HTTP for the embedded store, so that the same clients read every store.

It implements the part of ClickHouse's HTTP interface that clickhouse-connect, Grafana and curl use for reading: Basic or
``X-ClickHouse-*`` credentials, ``query`` in URL or body, ``param_*``, settings, any output format, error codes.
"""

import base64
import contextlib
import hmac
import json
import re
import socket
import socketserver
import threading
import zlib
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from sidecar import limits, ports
from sidecar.addresses import is_loopback
from sidecar.errors import SettingsError
from sidecar.logs import get_logger
from sidecar.record.queries import Queries, QueryRefused, QueryResult
from sidecar.record.readonly import QueryRefusal
from sidecar.record.store import READER_USER

log = get_logger(__name__)

_DISCARD_BYTES_MAX: Final = 16 * limits.MIB
"""How much of a too large request is still read, so that its sender gets the error."""

_STATUS: Final = {
    194: 401,
    **dict.fromkeys((192, 193, 516), 403),
    **dict.fromkeys((46, 47, 60, 81), 404),
    **dict.fromkeys((6, 27, 36, 41, 43, 53, 62, 72, 456), 400),
    **dict.fromkeys((307,), 413),
    48: 501,
    202: 503,
}
"""HTTP status by ClickHouse error code, as ClickHouse maps them; all others are 500."""


class ReadServer:
    """Serves reads of the embedded store at ``address`` (host:port). It binds at once and answers after ``start``.

    Raises:
        SettingsError: the port is taken, or the address cannot be used.
    """

    def __init__(self, address: str, token: str) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "0.0.0.0"
        try:
            self._server = _Server((host, int(port)), token)
        except OSError as error:
            raise SettingsError(ports.problem("reader", address, ports.reason(error))) from None
        if not is_loopback(host):
            log.warning("the record can be read from other machines, without TLS", address=str(address))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """The port it listens on; chosen by the system when ``address`` has port 0."""
        return int(self._server.server_address[1])

    def start(self, connect: Callable[[], Any], database: str) -> None:
        """Answer from now on. ``connect`` returns a new handle on the engine, which is closed after one query."""
        self._server.queries = Queries(connect, database)
        for name, target in (("reader", self._server.serve_forever), ("cancel", self._server.queries.cancel_abandoned)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Accept no more queries, cancel the running ones, and close every handle. A second call does nothing."""
        if self._threads:
            self._server.shutdown()
            if not self._server.queries.close(within_s=5.0):
                log.error("a query does not end; the collector stops anyway")
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """The listener: one thread per connection, and few of them."""

    daemon_threads = True
    request_queue_size = 64
    queries: Queries

    def __init__(self, address: tuple[str, int], token: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._credentials = (READER_USER.encode(), token.encode())
        self._connections = threading.BoundedSemaphore(limits.READ_CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up a name of the address in DNS, which is not needed and may take seconds.
        socketserver.TCPServer.server_bind(self)

    def is_reader(self, user: bytes, token: bytes) -> bool:
        known_user, known_token = self._credentials
        same = (hmac.compare_digest(user, known_user), hmac.compare_digest(token, known_token))
        return all(same)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a client's connection ended with an error", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse"
    sys_version = ""
    timeout = limits.READ_IDLE_S
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/ping" or (parts.path == "/" and not parts.query):
            self._send(200, b"Ok.\n", {})
        else:
            self._serve(parts.path, parts.query)

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        self._serve(parts.path, parts.query)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: the URL holds the query."""

    def _serve(self, path: str, query: str) -> None:
        try:
            body = self._body()
            self._check_credentials()
            if path != "/":
                raise QueryRefused(QueryRefusal(36, "BAD_ARGUMENTS", f"there is nothing at {path[:100]!r}; send queries to /"))
            self._query(dict(parse_qsl(query, keep_blank_values=True)), body)
        except QueryRefused as error:
            refusal = error.refusal
            text = f"Code: {refusal.code}. DB::Exception: {refusal.text}. ({refusal.name})\n"
            headers = {"X-ClickHouse-Exception-Code": str(refusal.code)}
            if refusal.code == 194:
                headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
            self._send(_STATUS.get(refusal.code, 500), text.encode(), headers)

    def _body(self) -> bytes:
        """The request's body. An unread body would be parsed as the next request, so the connection is closed then."""
        size = self.headers.get("Content-Length", "0")
        if not size.isdecimal() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise _not_supported("send the body with a Content-Length")
        if int(size) > 4 * limits.READ_SQL_BYTES_MAX:
            self.close_connection = True
            # Most clients read the response only after they have sent everything.
            left = min(int(size), _DISCARD_BYTES_MAX)
            while left and (piece := self.rfile.read(min(left, 64 * limits.KIB))):
                left -= len(piece)
            raise QueryRefused(QueryRefusal(307, "TOO_MANY_BYTES", "the request is too large"))
        body = self.rfile.read(int(size))
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _not_supported("send the query uncompressed")
        return body

    def _check_credentials(self) -> None:
        user, token = self.headers.get("X-ClickHouse-User", ""), self.headers.get("X-ClickHouse-Key", "")
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, token = base64.b64decode(encoded, validate=True).decode("utf-8", "replace").partition(":")
        if not user and not token:
            raise QueryRefused(QueryRefusal(194, "REQUIRED_PASSWORD", "a user and a password are needed"))
        if not self.server.is_reader(user.encode("utf-8", "replace"), token.encode("utf-8", "replace")):
            text = "Authentication failed: password is incorrect, or there is no user with such name"
            raise QueryRefused(QueryRefusal(516, "AUTHENTICATION_FAILED", text))

    def _query(self, given: dict[str, str], body: bytes) -> None:
        if (content_type := self.headers.get("Content-Type", "")).lower().startswith("multipart/form-data"):
            given |= _form(content_type, body)
            body = b""
        sql = "\n".join(filter(None, [given.pop("query", ""), _text(body)]))
        if len(sql.encode("utf-8", "replace")) > limits.READ_SQL_BYTES_MAX:
            raise QueryRefused(QueryRefusal(307, "TOO_MANY_BYTES", "the query is too long"))
        if given.get("compress", "0") != "0" or given.get("decompress", "0") != "0":
            raise _not_supported("native compression is not supported here; leave 'compress' out")
        parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
        settings = {name: value for name, value in given.items() if not name.startswith("param_")}
        for name, header in (("default_format", "X-ClickHouse-Format"), ("database", "X-ClickHouse-Database")):
            settings.setdefault(name, self.headers.get(header, ""))
        answer = self.server.queries.run(sql, settings, parameters, self.connection)
        headers = _facts(answer, given.get("query_id", ""), self.server.queries.timezone)
        if _wants_gzip(self.headers, given):
            headers["Content-Encoding"] = "gzip"
            self._send(200, _gzip(answer.body), headers)
        else:
            self._send(200, answer.body, headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, re.sub(r"[^\x20-\x7e]", "", value))
            self.send_header("Content-Type", "text/plain; charset=UTF-8")
            self.send_header("X-ClickHouse-Server-Display-Name", "sidecar")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def _facts(answer: QueryResult, query_id: str, timezone: str) -> dict[str, str]:
    summary = {"read_rows": answer.rows_read, "read_bytes": answer.bytes_read, "elapsed_ns": answer.elapsed_ns}
    return {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Timezone": timezone,
        "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}),
    }


def _not_supported(text: str) -> QueryRefused:
    return QueryRefused(QueryRefusal(48, "NOT_IMPLEMENTED", text))


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise QueryRefused(QueryRefusal(62, "SYNTAX_ERROR", "the query is not UTF-8 text")) from None


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form; clickhouse-connect can be configured to send parameters that way."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None or not isinstance(name, str):
            raise _not_supported("external data is not supported here")
        content = part.get_payload(decode=True)
        fields[name] = _text(content if isinstance(content, bytes) else b"")
    return fields


def _wants_gzip(headers: Any, given: Mapping[str, str]) -> bool:
    accepted = [each.partition(";")[0].strip() for each in headers.get("Accept-Encoding", "").lower().split(",")]
    return given.get("enable_http_compression", "0") == "1" and "gzip" in accepted


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(body) + packer.flush()

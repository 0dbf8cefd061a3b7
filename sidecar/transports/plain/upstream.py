"""One connection to a server, kept for the requests of one client connection; llhttp reads what comes back."""

import asyncio
from typing import Any, Protocol

import httptools

from sidecar import limits
from sidecar.decode.http1 import Fields, by_name, is_sound
from sidecar.transports.connection_rules import without_named
from sidecar.transports.http_policy import PROTOCOL_ERROR
from sidecar.transports.idle_probe import IdleProbe


class ResponseHandler(Protocol):
    """Whoever waits for the responses."""

    def response_started(self, status: int, reason: str, headers: dict[str, str]) -> None:
        """The head of a response has arrived."""

    def response_data(self, data: bytes) -> None:
        """Some of its body has arrived."""

    def response_done(self, reason: str) -> None:
        """It is whole."""

    def server_failed(self, reason: str) -> None:
        """It will not become whole; an empty reason means that the server closed the connection."""


class UpstreamConnection(asyncio.Protocol):
    """Sends one request at a time; ``fields`` are the response's, in the spelling of the server."""

    def __init__(self, handler: ResponseHandler) -> None:
        self._handler = handler
        self._transport: Any = None
        self._parser: Any = None
        self._reason = ""
        self._has_head = self._is_done = self._ends_with_connection = False
        self._has_more = self._keeps_alive = self._is_interim = False
        self._head_bytes = self._status = 0
        self._chunks: list[bytes] = []
        self._probe: IdleProbe | None = None
        self.fields: Fields = []
        self.is_usable = False
        """Whether it is connected and waits for no response."""

    def is_kept(self) -> bool:
        """Whether another request may be sent."""
        return self.is_usable and self._probe is not None and self._probe.is_quiet()

    def send(self, data: bytes) -> None:
        """Send one request, head and body."""
        self._parser = httptools.HttpResponseParser(self)
        # Some servers end lines with LF alone and clients read that; what goes on is written anew, so nobody can be misled.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self._has_head = self._is_done = self._ends_with_connection = self._has_more = self.is_usable = False
        self.fields = []
        self._head_bytes = 0
        self._reason = ""
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection; nothing is told any more."""
        self._handler = _NO_HANDLER
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read nothing for now."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server is there."""
        self._transport = transport
        self._probe = IdleProbe(transport)
        self.is_usable = True

    def data_received(self, data: bytes) -> None:
        """Bytes of the server."""
        if self._is_done or self._parser is None:
            # It speaks without having been asked, so what follows could be taken for the answer to another request.
            self.close()
            return
        had_head = self._has_head
        self._head_bytes += 0 if had_head else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._has_head:
                self._fail(PROTOCOL_ERROR)
                return
            if not self._is_done and self._status >= 200:
                self._tell(had_head)
                self._fail(PROTOCOL_ERROR)
                return
        if not self._has_head and self._head_bytes > limits.HEADER_BYTES_MAX:
            self._fail(PROTOCOL_ERROR)
            return
        self._tell(had_head)

    def connection_lost(self, error: Exception | None) -> None:
        """The server is gone."""
        self.is_usable = False
        if self._parser is None or self._is_done:
            return
        if self._has_head and self._ends_with_connection and error is None:
            self._is_done = True
            self._handler.response_done(self._reason)
        else:
            self._fail("")

    # What the parser calls; told on only when it has returned, because it swallows exceptions.

    def on_message_begin(self) -> None:
        """A response; a second one answers nothing that was asked."""
        self._has_more = self._is_done

    def on_status(self, reason: bytes) -> None:
        """A piece of the reason phrase."""
        if not self._has_head:
            self._reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; after the body it is a trailer, which need not be passed on (RFC 9110 §6.5.1)."""
        if not self._has_head:
            self.fields.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        """The head is whole, and the parser still knows whether the connection may be used again."""
        if self._has_head:
            return
        self._is_interim = 100 <= self._parser.get_status_code() < 200 and self._parser.get_status_code() != 101
        if self._is_interim:
            # Nobody asked for it, and clients do without (RFC 9110 §15.2). A 101 would end HTTP, so it is no such one.
            self.fields = []
            self._reason = ""
        else:
            self._has_head = True
            # A second response in the same read would take its place in the parser.
            self._status = self._parser.get_status_code()
            self._keeps_alive = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self._is_done:
            self._chunks.append(data)

    def on_message_complete(self) -> None:
        """The response is whole, unless it only announced another."""
        self._is_done = not self._is_interim

    def _tell(self, had_head: bool) -> None:
        """Tell the handler what one read has brought."""
        handler = self._handler
        if self._has_head and not had_head:
            headers = by_name(self.fields)
            coding = headers.get("transfer-encoding", "").lower()
            if coding not in ("", "chunked") or not is_sound(self._status, self._reason, self.fields):
                self._fail(PROTOCOL_ERROR)
                return
            if "connection" in headers and (kept := without_named(self.fields, headers["connection"])) is not self.fields:
                self.fields, headers = kept, by_name(kept)
            self._ends_with_connection = not coding and "content-length" not in headers
            handler.response_started(self._status, self._reason, headers)
        if self._chunks and self._handler is handler:
            chunks, self._chunks = self._chunks, []
            handler.response_data(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if self._is_done and self._handler is handler:
            self.is_usable = self._keeps_alive and not self._has_more
            if not self.is_usable:
                self._transport.close()
            handler.response_done(self._reason)

    def _fail(self, reason: str) -> None:
        handler = self._handler
        self.close()
        handler.server_failed(reason)


class _NoHandler:
    def response_started(self, status: int, reason: str, headers: dict[str, str]) -> None: ...

    def response_data(self, data: bytes) -> None: ...

    def response_done(self, reason: str) -> None: ...

    def server_failed(self, reason: str) -> None: ...


_NO_HANDLER = _NoHandler()

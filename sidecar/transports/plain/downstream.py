"""The second carrier: plain HTTP/1.1 to one server, without mitmproxy's layers, for the requests nearly every client sends.

Only a request whose head is in the plain form (``decode.http1``) is taken. With any other the connection, and every byte read
of that request, goes to the first carrier before anything is passed on, so this one never has to guess.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar import limits
from sidecar.decode.http1 import Fields, Head, Unusual, head_bytes, request_head
from sidecar.settings import Server
from sidecar.state.exchange import Exchange, Reply, Request
from sidecar.transports.http_policy import EventStream, HttpPolicy, place_of, plain_reason
from sidecar.transports.plain.upstream import UpstreamConnection

log = logging.getLogger("sidecar.proxy")

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_END_OF_CHUNKS: Final = b"0\r\n\r\n"
_TOO_LARGE: Final = f"its response is larger than {limits.RESPONSE_BYTES_MAX // limits.MIB} MiB"
_CUT: Final = "it closed the connection in the middle of its answer"


class PlainListener:
    """One listener's connections. ``unusual`` takes over a connection as a pair of streams."""

    def __init__(
        self,
        http_policy: HttpPolicy,
        server: Server,
        unusual: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        self.http_policy = http_policy
        self.server = server
        self.unusual = unusual
        parts = urlsplit(server.upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.connections: set[ClientConnection] = set()

    def __call__(self) -> "ClientConnection":
        """The protocol of a new connection."""
        return ClientConnection(self)

    def cut(self) -> None:
        """Cut every connection; what was open ends as the waist says."""
        for connection in [*self.connections]:
            connection.cut()


class ClientConnection(asyncio.Protocol):
    """One connection of a client: one exchange after the other, and at most one connection to the server."""

    def __init__(self, front: PlainListener) -> None:
        self._front = front
        self._http_policy = front.http_policy
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._address = self._local = ""
        self._buffer = bytearray()
        self._seen = (0.0, 0.0)
        self._head: Head | None = None
        self._exchange: Exchange | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_incomplete = self._is_unread = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._stream: EventStream | None = None

    # What the event loop calls for the client's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        self._local = (transport.get_extra_info("sockname") or ("",))[0]
        self._front.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client. While an exchange is under way, they wait."""
        if self._exchange is None and not self._buffer:
            services = self._http_policy.pipeline.services
            self._seen = (services.clock(), services.timer())
        self._buffer += data
        if self._exchange is None:
            self._next_if_free()
        if len(self._buffer) > limits.HEADER_BYTES_MAX and not self._is_incomplete:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone: what it waited for is not wanted any more, and the server is told so at once."""
        self._front.connections.discard(self)
        self._forget_timer()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._http_policy.closed(exchange, "client")
        self._leave_server()

    def pause_writing(self) -> None:
        """The client reads slowly, so the server is read slowly too, and no further request is taken."""
        self._is_unread = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """The client has read what waited."""
        self._is_unread = False
        if self._upstream is not None:
            self._upstream.resume()
        self._loop.call_soon(self._next_if_free)

    def cut(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # The way in.

    def _next(self) -> None:
        """Take the next request, once it is whole."""
        try:
            head = self._head or request_head(self._buffer)
        except Unusual:
            self._hand_over()
            return
        if head is None or len(self._buffer) < head.size + head.body_bytes:
            self._head = head
            self._is_incomplete = True
            self._transport.resume_reading()
            if self._patience is None:
                self._patience = self._loop.call_later(limits.REQUEST_WAIT_S, self.cut)
            return
        self._forget_timer()
        self._is_incomplete = False
        end = head.size + head.body_bytes
        body = bytes(self._buffer[head.size : end])
        del self._buffer[:end]
        self._head = head
        seen_at, started = self._seen
        exchange = Exchange(
            server=self._front.server,
            request=Request(
                method=head.method,
                path=head.path,
                headers=head.headers,
                body=body,
                address=self._address,
                seen_at=seen_at,
                started=started,
            ),
        )
        self._exchange = exchange
        self._http_policy.enter(exchange, head.fields, self._local)
        if exchange.reply is not None:
            self._http_policy.over(exchange)
            self._answer(exchange.reply, exchange.request.headers.get("mcp-session-id", ""))
            return
        fields = self._http_policy.to_server(exchange, head.fields, exchange.request.is_changed)
        self._ask(head_bytes(f"{head.method} {head.path} HTTP/1.1", fields) + exchange.request.body)
        if exchange.server.answer_within and exchange.open_calls():
            self._patience = self._loop.call_later(exchange.server.answer_within, self._time_out, exchange)

    def _hand_over(self) -> None:
        """Let the first carrier have the connection, from the first byte of this request on."""
        self._front.connections.discard(self)
        self._forget_timer()
        self._leave_server()
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, self._front.unusual, loop=self._loop)
        # Before the reader may pause it on its own account.
        self._transport.resume_reading()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(bytes(self._buffer))
        self._buffer.clear()

    def _ask(self, data: bytes) -> None:
        if self._upstream is not None and self._upstream.is_kept():
            self._upstream.ask(data)
        else:
            if self._upstream is not None:
                self._upstream.leave()
            self._connecting = self._loop.create_task(self._connect(data))

    async def _connect(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(limits.CONNECT_TIMEOUT_S):
                _, upstream = await self._loop.create_connection(lambda: UpstreamConnection(self), *self._front.upstream)
        except TimeoutError:
            self.server_failed(f"no connection within {limits.CONNECT_TIMEOUT_S:.0f} s")
        except OSError as error:
            self.server_failed(plain_reason(str(error)))
        else:
            self._upstream = upstream
            upstream.ask(data)

    def _time_out(self, exchange: Exchange) -> None:
        if exchange is self._exchange and not exchange.response.status:
            exchange.response.is_timed_out = True
            self.server_failed(f"no answer within {exchange.server.answer_within:g} s")

    # The way back: what the connection to the server calls.

    def response_began(self, status: int, reason: str, headers: dict[str, str]) -> None:
        """The head of the response has arrived."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.response.status, exchange.response.headers = status, headers
        length = headers.get("content-length", "")
        if said := self._http_policy.began(exchange):
            exchange.response.failure = said
            self.server_failed(said)
        elif length.isdecimal() and int(length) > limits.RESPONSE_BYTES_MAX and not exchange.response.is_event_stream:
            self.server_failed(_TOO_LARGE)
        elif exchange.response.is_event_stream:
            self._stream = self._http_policy.stream(exchange, functools.partial(self._inject, exchange))
            assert self._upstream is not None
            fields = self._http_policy.to_client(exchange, self._upstream.fields, False)
            fields.append(("transfer-encoding", "chunked"))
            self._write_head(status, reason, fields)

    def response_data(self, data: bytes) -> None:
        """Some of the body of the response has arrived."""
        if self._stream is None:
            self._body.append(data)
            self._body_bytes += len(data)
            if self._body_bytes > limits.RESPONSE_BYTES_MAX:
                self.server_failed(_TOO_LARGE)
            return
        self._send_chunk(self._stream.feed(data))
        if self._stream.is_broken:
            self._end_stream("")

    def response_done(self, reason: str) -> None:
        """The response is whole."""
        exchange = self._exchange
        if exchange is None:
            return
        if self._stream is not None:
            self._end_stream("")
            return
        raw = b"".join(self._body)
        is_changed = self._http_policy.whole(exchange, raw)
        if exchange.reply is not None:
            self._answer(exchange.reply)
            return
        assert self._upstream is not None
        fields = self._http_policy.to_client(exchange, self._upstream.fields, is_changed)
        body = exchange.response.body if is_changed else raw
        if exchange.response.status not in (204, 304):
            fields.append(("content-length", str(len(body))))
        self._write_head(exchange.response.status, reason, fields, body)
        self._end()

    def server_failed(self, reason: str) -> None:
        """The server gave no response, or not all of it."""
        exchange = self._exchange
        if exchange is None:
            return
        self._leave_server()
        if self._stream is not None:
            self._end_stream(reason or _CUT)
            return
        self._http_policy.failed(exchange, reason or _CUT)
        self._answer(exchange.reply or Reply(502))

    def _end_stream(self, reason: str) -> None:
        assert self._stream is not None
        self._send_chunk(self._stream.end(reason))
        self._transport.write(_END_OF_CHUNKS)
        if self._stream.is_broken:
            self._leave_server()
        self._end()

    def _send_chunk(self, data: bytes) -> None:
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _inject(self, exchange: Exchange, data: bytes) -> None:
        """Whole events of ours; what was sent of the stream ends with an event, because only those are sent."""
        if exchange is self._exchange and self._stream is not None:
            self._send_chunk(data)

    def _answer(self, answer: Reply, session: str = "") -> None:
        """A response of ours."""
        fields = [("content-type", answer.content_type)] if answer.body else []
        if session:
            fields.append(("mcp-session-id", session))
        fields.append(("content-length", str(len(answer.body))))
        self._write_head(answer.status, _PHRASES.get(answer.status, ""), fields, answer.body)
        self._end()

    def _write_head(self, status: int, reason: str, fields: Fields, body: bytes = b"") -> None:
        """Send the head of a response, with the body where it is whole already."""
        if self._head is not None and self._head.is_last:
            fields.append(("connection", "close"))
        self._transport.write(head_bytes(f"HTTP/1.1 {status} {reason}", fields) + body)

    def _end(self) -> None:
        """The exchange is over; the next one may begin."""
        is_last = self._head is None or self._head.is_last
        self._exchange = self._head = self._stream = None
        self._body, self._body_bytes = [], 0
        self._forget_timer()
        if is_last:
            self._transport.close()
            return
        if len(self._buffer) <= limits.HEADER_BYTES_MAX:
            self._transport.resume_reading()
        if self._buffer:
            services = self._http_policy.pipeline.services
            self._seen = (services.clock(), services.timer())
            self._loop.call_soon(self._next_if_free)

    def _next_if_free(self) -> None:
        if self._exchange is not None or self._is_unread or not self._buffer or self._transport.is_closing():
            return
        try:
            self._next()
        except Exception as error:
            log.error("a connection failed inside the sidecar and was closed: %s", place_of(error))
            self.cut()

    def _forget_timer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _leave_server(self) -> None:
        if self._connecting is not None and not self._connecting.done() and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.leave()

"""Plain HTTP/1.1 to one server, without mitmproxy's layers, for the requests nearly every client sends.

Only a request whose head is in the plain form (``decode.http1``) is taken. With any other the connection, and every byte read
of that request, goes to mitmproxy's layers before anything is passed on, so nothing has to be guessed here.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar import limits
from sidecar.decode.http1 import Fields, Head, Unusual, head_bytes, request_head
from sidecar.errors import place_of
from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.state.exchange import Exchange, Reply, Request
from sidecar.transports.connection_rules import VERSION, connection_fields, has_body, is_last
from sidecar.transports.http_policy import EventStream, HttpPolicy, plain_reason
from sidecar.transports.plain.client_state import MOVES, ClientState
from sidecar.transports.plain.upstream import UpstreamConnection

log = get_logger("sidecar.proxy")

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
        """Cut every connection; what was open ends as the pipeline says."""
        for connection in [*self.connections]:
            connection.cut()


class ClientConnection(asyncio.Protocol):
    """One connection of a client: one exchange after the other, and at most one connection to the server."""

    def __init__(self, listener: PlainListener) -> None:
        self.state = ClientState.IDLE
        self._listener = listener
        self._http_policy = listener.http_policy
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._address = self._local = ""
        self._buffer = bytearray()
        self._arrived = (0.0, 0.0)
        self._head: Head | None = None
        self._closes = False
        self._exchange: Exchange | None = None
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._request_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._is_writing_paused = False
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._stream: EventStream | None = None

    # What the event loop calls for the client's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        self._local = (transport.get_extra_info("sockname") or ("",))[0]
        self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client. While a request is being answered, they wait."""
        if self.state is ClientState.IDLE and not self._buffer:
            self._note_arrival()
        self._buffer += data
        if self.state <= ClientState.RECEIVING:
            self._take_request_if_free()
        if len(self._buffer) > limits.HEADER_BYTES_MAX and self.state is not ClientState.RECEIVING:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone: what it waited for is not wanted any more, and the server is told so at once."""
        self._listener.connections.discard(self)
        self._cancel_request_timer()
        self._cancel_answer_timer()
        if self.state is not ClientState.CLOSED:
            self._move(ClientState.CLOSED)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._http_policy.close(exchange, "client")
        self._close_upstream()

    def pause_writing(self) -> None:
        """The client reads slowly, so the server is read slowly too, and no further request is taken."""
        self._is_writing_paused = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """The client has read what waited."""
        self._is_writing_paused = False
        if self._upstream is not None:
            self._upstream.resume()
        self._loop.call_soon(self._take_request_if_free)

    def cut(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _move(self, state: ClientState) -> None:
        if state not in MOVES[self.state]:
            raise RuntimeError(f"a connection cannot go from {self.state.name} to {state.name}")
        self.state = state

    def _note_arrival(self) -> None:
        services = self._http_policy.pipeline.services
        self._arrived = (services.clock(), services.timer())

    # The request.

    def _take_request_if_free(self) -> None:
        if self.state > ClientState.RECEIVING or self._is_writing_paused or not self._buffer or self._transport.is_closing():
            return
        try:
            self._take_request()
        except Exception as error:
            log.error("connection closed: it failed inside the sidecar", where=place_of(error))
            self.cut()

    def _take_request(self) -> None:
        """Take the next request, once it is whole."""
        try:
            head = self._head or request_head(self._buffer)
        except Unusual:
            self._hand_over()
            return
        if head is None or len(self._buffer) < head.size + head.body_bytes:
            self._await_request(head)
            return
        self._cancel_request_timer()
        self._move(ClientState.WAITING)
        end = head.size + head.body_bytes
        body = bytes(self._buffer[head.size : end])
        del self._buffer[:end]
        self._head = None
        self._closes = is_last(VERSION, head.headers.get("connection", ""))
        seen_at, started = self._arrived
        exchange = Exchange(
            server=self._listener.server,
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
        self._http_policy.judge_request(exchange, head.fields, self._local)
        if exchange.reply is not None:
            self._http_policy.forget(exchange)
            self._answer(exchange.reply, exchange.request.headers.get("mcp-session-id", ""))
            return
        fields = self._http_policy.build_request_fields(exchange, head.fields, exchange.request.is_changed)
        self._send_request(head_bytes(f"{head.method} {head.path} {VERSION}", fields) + exchange.request.body)
        if exchange.server.answer_within and exchange.open_calls():
            self._answer_timer = self._loop.call_later(exchange.server.answer_within, self._time_out, exchange)

    def _await_request(self, head: Head | None) -> None:
        """Part of a request has arrived: the rest of its head and body has one time limit together."""
        self._head = head
        if self.state is ClientState.IDLE:
            self._move(ClientState.RECEIVING)
            self._request_timer = self._loop.call_later(limits.REQUEST_WAIT_S, self.cut)
        self._transport.resume_reading()

    def _hand_over(self) -> None:
        """Let mitmproxy's layers have the connection, from the first byte of this request on."""
        self._move(ClientState.HANDED_OVER)
        self._listener.connections.discard(self)
        self._cancel_request_timer()
        self._close_upstream()
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, self._listener.unusual, loop=self._loop)
        # Before the reader may pause it on its own account.
        self._transport.resume_reading()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(bytes(self._buffer))
        self._buffer.clear()

    def _send_request(self, data: bytes) -> None:
        if self._upstream is not None and self._upstream.is_kept():
            self._upstream.send(data)
        else:
            if self._upstream is not None:
                self._upstream.close()
            self._connecting = self._loop.create_task(self._connect(data))

    async def _connect(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(limits.CONNECT_TIMEOUT_S):
                _, upstream = await self._loop.create_connection(lambda: UpstreamConnection(self), *self._listener.upstream)
        except TimeoutError:
            self.server_failed(f"no connection within {limits.CONNECT_TIMEOUT_S:.0f} s")
        except OSError as error:
            self.server_failed(plain_reason(str(error)))
        else:
            self._upstream = upstream
            upstream.send(data)

    def _time_out(self, exchange: Exchange) -> None:
        if exchange is self._exchange:
            exchange.response.is_timed_out = True
            self.server_failed(f"no answer within {exchange.server.answer_within:g} s")

    # The response: what the connection to the server calls.

    def response_started(self, status: int, reason: str, headers: dict[str, str]) -> None:
        """The head of the response has arrived."""
        exchange = self._exchange
        if exchange is None:
            return
        self._cancel_answer_timer()
        exchange.response.status, exchange.response.headers = status, headers
        length = headers.get("content-length", "")
        is_stream = exchange.response.is_event_stream and has_body(exchange.request.method, status)
        if said := self._http_policy.start_response(exchange):
            exchange.response.failure = said
            self.server_failed(said)
        elif length.isdecimal() and int(length) > limits.RESPONSE_BYTES_MAX and not is_stream:
            self.server_failed(_TOO_LARGE)
        elif is_stream:
            self._move(ClientState.STREAMING)
            self._stream = self._http_policy.open_stream(exchange, functools.partial(self._inject, exchange))
            assert self._upstream is not None
            fields = self._http_policy.build_response_fields(exchange, self._upstream.fields, False, None)
            fields.append(("transfer-encoding", "chunked"))
            self._write_head(status, reason, fields)
        else:
            self._move(ClientState.COLLECTING)

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
        is_changed = self._http_policy.judge_response(exchange, raw)
        if exchange.reply is not None:
            self._answer(exchange.reply)
            return
        assert self._upstream is not None
        body = exchange.response.body if is_changed else raw
        size = len(body) if has_body(exchange.request.method, exchange.response.status) else None
        fields = self._http_policy.build_response_fields(exchange, self._upstream.fields, is_changed, size)
        self._write_head(exchange.response.status, reason, fields, body)
        self._end_exchange()

    def server_failed(self, reason: str) -> None:
        """The server gave no response, or not all of it."""
        exchange = self._exchange
        if exchange is None:
            return
        self._close_upstream()
        if self._stream is not None:
            self._end_stream(reason or _CUT)
            return
        self._http_policy.fail(exchange, reason or _CUT)
        self._answer(exchange.reply or Reply(502))

    def _end_stream(self, reason: str) -> None:
        assert self._stream is not None
        self._send_chunk(self._stream.end(reason))
        self._transport.write(_END_OF_CHUNKS)
        if self._stream.is_broken:
            self._close_upstream()
        self._end_exchange()

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
        self._end_exchange()

    def _write_head(self, status: int, reason: str, fields: Fields, body: bytes = b"") -> None:
        """Send the head of a response, with the body where it is whole already."""
        if self._closes:
            fields += connection_fields(VERSION, True)
        self._transport.write(head_bytes(f"{VERSION} {status} {reason}", fields) + body)

    def _end_exchange(self) -> None:
        """The response is sent; the next request may be taken, unless this was to be the last."""
        self._exchange = self._stream = None
        self._body, self._body_bytes = [], 0
        self._cancel_answer_timer()
        if self._closes:
            # What the client sent behind it is no request any more (RFC 9112 §9.6).
            self._move(ClientState.CLOSED)
            self._transport.close()
            return
        self._move(ClientState.IDLE)
        if len(self._buffer) <= limits.HEADER_BYTES_MAX:
            self._transport.resume_reading()
        if self._buffer:
            self._note_arrival()
            self._loop.call_soon(self._take_request_if_free)

    def _cancel_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _cancel_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _close_upstream(self) -> None:
        if self._connecting is not None and not self._connecting.done() and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

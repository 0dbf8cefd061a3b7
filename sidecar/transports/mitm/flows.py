"""mitmproxy's HTTP flows as exchanges. Whatever goes wrong here refuses; nothing is passed on unjudged."""

import asyncio
import functools
import gc
from collections.abc import Iterable
from typing import Final

from mitmproxy.http import Headers, HTTPFlow, Request, Response

from sidecar import limits
from sidecar.decode.http1 import Fields, by_name
from sidecar.exchange.replies import unreadable
from sidecar.state.exchange import Exchange, Reply
from sidecar.state.exchange import Request as ClientRequest
from sidecar.transports.connection_rules import VERSION, connection_fields, has_body, is_last, without_named
from sidecar.transports.http_policy import EventStream, HttpPolicy, plain_reason, refusal
from sidecar.transports.mitm.http_layer import TAIL, Injected
from sidecar.transports.mitm.listener import Hooks, SidecarHandler, SidecarMaster
from sidecar.transports.routing import FORWARDED, SERVER

_EXCHANGE: Final = "sidecar.exchange"
_STARTED: Final = "sidecar.started"
_CLIENT: Final = "sidecar.client"
"""Metadata of a flow: the version of HTTP of its client, and whether the client's connection closes after it."""
_FIELDS: Final = "sidecar.fields"
"""Metadata of a flow: the fields of its response as the server sent them, without those that its ``Connection`` names."""


class MitmTransport:
    """Turns mitmproxy's hooks into calls of the policy that all HTTP transports share."""

    def __init__(self, http_policy: HttpPolicy) -> None:
        self._http_policy = http_policy
        self._services = http_policy.pipeline.services
        self.master: SidecarMaster | None = None
        self._body_bytes = 0

    @property
    def hooks(self) -> Hooks:
        """The hooks this transport answers, by mitmproxy's names."""
        return {
            "requestheaders": self.requestheaders,
            "request": self.request,
            "responseheaders": self.responseheaders,
            "response": self.response,
            "error": self.error,
            "http_connect": self.http_connect,
        }

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A request begins; its time starts here, not when its last byte is in."""
        flow.metadata[_STARTED] = (self._services.clock(), self._services.timer())
        if FORWARDED in flow.metadata:
            # A server's traffic goes where the settings say the server is, whatever led the client here.
            flow.request.data.host, flow.request.data.port = flow.metadata[SERVER].target

    def http_connect(self, flow: HTTPFlow) -> None:
        """A listener stands for one server; it leads to no others."""
        flow.response = _response(flow, Reply(405))

    def request(self, flow: HTTPFlow) -> None:
        """The request is whole: judge it, and answer it here or let it go on."""
        received = flow.request
        fields = self._read_connection(flow)
        exchange = flow.metadata[_EXCHANGE] = self._exchange(flow, fields)
        exchange.reply = _not_for_us(flow, exchange)
        if exchange.reply is None:
            local = flow.client_conn.sockname[0] if flow.client_conn.sockname else ""
            self._http_policy.judge_request(exchange, fields, local)
        if exchange.reply is not None:
            flow.response = _response(flow, exchange.reply, session=exchange.request.headers.get("mcp-session-id", ""))
            if exchange.request.method == "HEAD":
                # A client does not read a body here, and would take it for the beginning of the next answer.
                flow.response.raw_content = b""
            return
        # What is sent is an object of its own: by the one it received, mitmproxy tells whether the connection goes on.
        flow.request = _request(received, exchange.request.body)
        flow.request.headers = _headers(self._http_policy.build_request_fields(exchange, fields, exchange.request.is_changed))
        if exchange.server.answer_within and exchange.open_calls():
            asyncio.get_running_loop().call_later(exchange.server.answer_within, self._time_out, flow, exchange)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """The response begins: an event stream is passed on event by event, all else is held until it is whole."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        received = flow.response
        assert received is not None
        if exchange.reply is not None:
            return
        connection = received.headers.get("connection", "")
        fields = flow.metadata[_FIELDS] = without_named(_fields(received.headers.fields), connection)
        _tell_mitmproxy(received, is_last(received.http_version, connection))
        exchange.response.status = received.status_code
        exchange.response.headers = by_name(fields)
        if said := self._http_policy.start_response(exchange):
            received.status_code = 502
            self._hang_up(flow, exchange, said)
        elif exchange.response.is_event_stream and has_body(exchange.request.method, exchange.response.status):
            version, closes = flow.metadata[_CLIENT]
            sent = self._http_policy.build_response_fields(exchange, fields, False, None)
            if version == VERSION:
                sent.append(("transfer-encoding", "chunked"))
            else:
                # Where chunks are not known, only the end of the connection can end a stream (RFC 9112 §6.3).
                closes = True
            flow.response = _passed_on(received, sent + connection_fields(version, closes))
            flow.response.stream = _Chunks(self, flow, exchange)

    def response(self, flow: HTTPFlow) -> None:
        """The response is whole (a stream has ended, an answer of ours goes out)."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        response = flow.response
        assert response is not None
        raw = response.raw_content or b""
        self._collect_after(len(exchange.request.body) + len(raw))
        if exchange.reply is not None or response.stream:
            self._http_policy.forget(exchange)
            return
        is_changed = self._http_policy.judge_response(exchange, raw)
        if exchange.reply is not None:
            flow.response = _response(flow, exchange.reply)
            return
        body = exchange.response.body if is_changed else raw
        size = len(body) if has_body(exchange.request.method, exchange.response.status) else None
        if exchange.request.method == "HEAD" and "content-length" in exchange.response.headers:
            # The length of the body that a GET would have got.
            size = int(exchange.response.headers["content-length"])
        fields = self._http_policy.build_response_fields(exchange, flow.metadata[_FIELDS], is_changed, size)
        flow.response = _passed_on(response, fields + connection_fields(*flow.metadata[_CLIENT]), body)

    def error(self, flow: HTTPFlow) -> None:
        """The flow broke: answer the client if the server did it, and record what became of the call either way."""
        exchange: Exchange | None = flow.metadata.get(_EXCHANGE)
        reason = flow.error.msg if flow.error else "unknown"
        if exchange is None:
            # Refused before it was whole: nothing was judged and nothing was passed on.
            self._http_policy.pipeline.note_refusal("too-large", reason)
            flow.response = _response(flow, unreadable(refusal(reason, "too-large"), 413))
            return
        is_stream = flow.response is not None and bool(flow.response.stream)
        if "disconnected" in reason.lower() and "client" in reason.lower():
            self._http_policy.close(exchange, "client")
        elif is_stream:
            flow.metadata[TAIL] = self._http_policy.close(exchange, plain_reason(reason))
        else:
            self._http_policy.fail(exchange, plain_reason(reason))
        if not is_stream:
            flow.response = _response(flow, exchange.reply or Reply(502))

    def _read_connection(self, flow: HTTPFlow) -> Fields:
        """The fields of a request that are for more than this connection; what ``Connection`` says is kept with the flow."""
        received = flow.request
        version, connection = received.http_version, received.headers.get("connection", "")
        fields = without_named(_fields(received.headers.fields), connection)
        closes = is_last(version, connection, is_proxy=FORWARDED in flow.metadata)
        flow.metadata[_CLIENT] = (version, closes)
        _tell_mitmproxy(received, closes)
        return fields

    def _exchange(self, flow: HTTPFlow, fields: Fields) -> Exchange:
        request = flow.request
        seen_at, started = flow.metadata.get(_STARTED) or (self._services.clock(), self._services.timer())
        return Exchange(
            server=flow.metadata[SERVER],
            request=ClientRequest(
                method=request.method.upper(),
                path=request.path,
                headers=by_name(fields),
                body=request.raw_content or b"",
                address=flow.client_conn.peername[0] if flow.client_conn.peername else "",
                seen_at=seen_at,
                started=started,
                is_forwarded=FORWARDED in flow.metadata,
            ),
        )

    def _time_out(self, flow: HTTPFlow, exchange: Exchange) -> None:
        if exchange.open_calls() and not exchange.response.status:
            exchange.response.is_timed_out = True
            self._hang_up(flow, exchange, f"no answer within {exchange.server.answer_within:g} s")

    def inject(self, flow: HTTPFlow, data: bytes) -> None:
        """Send whole events of ours on an open stream. What was sent of it ends with an event, because only those are sent."""
        assert self.master is not None
        handler = self.master.proxyserver.connections.get(flow.client_conn.id)
        if isinstance(handler, SidecarHandler):
            handler.advance(Injected(flow, data))

    def _hang_up(self, flow: HTTPFlow, exchange: Exchange, reason: str) -> None:
        """Close the connection to the server; the flow's error hook then answers the client."""
        exchange.response.failure = reason
        assert self.master is not None
        handler = self.master.proxyserver.connections.get(flow.client_conn.id)
        transport = handler.transports.get(flow.server_conn) if handler else None
        if transport is not None and transport.handler is not None:
            transport.handler.cancel(reason)

    def _collect_after(self, size: int) -> None:
        """mitmproxy's flows are cycles, so their bodies go when they are collected: by bytes, not by how many they are."""
        self._body_bytes += size
        if self._body_bytes > limits.UNCOLLECTED_BYTES_MAX:
            self._body_bytes = 0
            gc.collect(1)


class _Chunks:
    """What mitmproxy calls with every chunk of an event stream, and with nothing at its end."""

    def __init__(self, transport: MitmTransport, flow: HTTPFlow, exchange: Exchange) -> None:
        self._transport = transport
        self._flow = flow
        self._exchange = exchange
        self._stream: EventStream = transport._http_policy.open_stream(exchange, functools.partial(transport.inject, flow))

    def __call__(self, chunk: bytes) -> list[bytes]:
        """The bytes to send now. An empty list sends nothing; an empty chunk would end the response."""
        was_broken = self._stream.is_broken
        sent = self._stream.feed(chunk) if chunk else self._stream.end("")
        if self._stream.is_broken and not was_broken:
            self._transport._hang_up(self._flow, self._exchange, self._exchange.response.failure)
        return [sent] if sent else []


def _not_for_us(flow: HTTPFlow, exchange: Exchange) -> Reply | None:
    """The answer to what is HTTP and no request to this listener, whatever its body says."""
    authority = flow.request.data.authority.decode("latin-1").lower()
    if authority and authority != exchange.request.headers.get("host", "").lower():
        return unreadable(refusal("the address in the request line is not that of the Host header"), 400)
    if "websocket" in exchange.request.headers.get("upgrade", "").lower():
        return unreadable(refusal("WebSocket is no transport of MCP and is not passed on"), 400)
    return None


def _fields(raw: Iterable[tuple[bytes, bytes]]) -> Fields:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


def _headers(fields: Fields) -> Headers:
    return Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])


def _tell_mitmproxy(message: Request | Response, closes: bool) -> None:
    """Have mitmproxy keep or close the connection a message came from: it reads ``Connection`` itself, in lower case only."""
    message.headers["connection"] = "close" if closes else "keep-alive"


def _request(received: Request, body: bytes) -> Request:
    """A request to the server; its headers are still to be set."""
    data = received.data
    return Request(
        host=data.host,
        port=data.port,
        method=data.method,
        scheme=data.scheme,
        authority=data.authority,
        path=data.path,
        http_version=VERSION.encode(),
        headers=Headers(),
        content=body,
        trailers=None,
        timestamp_start=data.timestamp_start,
        timestamp_end=data.timestamp_end,
    )


def _passed_on(received: Response, fields: Fields, body: bytes = b"") -> Response:
    """A response of the server as it goes to the client."""
    data = received.data
    return Response(
        http_version=VERSION.encode(),
        status_code=data.status_code,
        reason=data.reason,
        headers=_headers(fields),
        content=body,
        trailers=None,
        timestamp_start=data.timestamp_start,
        timestamp_end=data.timestamp_end,
    )


def _response(flow: HTTPFlow, answer: Reply, session: str = "") -> Response:
    """A response of ours. A client that was not heard out (no request of it was whole) is closed."""
    headers = {"content-type": answer.content_type} if answer.body else {}
    if session:
        headers["mcp-session-id"] = session
    headers.update(connection_fields(*flow.metadata.get(_CLIENT, (VERSION, True))))
    return Response.make(answer.status, answer.body, headers)

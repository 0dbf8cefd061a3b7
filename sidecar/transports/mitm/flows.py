"""The first carrier: mitmproxy's HTTP flows as exchanges. Whatever goes wrong here refuses; nothing is passed on unjudged."""

import asyncio
import functools
import gc
from collections.abc import Iterable
from typing import Final

from mitmproxy.http import Headers, HTTPFlow, Response

from sidecar import limits
from sidecar.decode.http1 import Fields, by_name
from sidecar.exchange.replies import unreadable
from sidecar.state.exchange import Exchange, Reply, Request
from sidecar.transports.http_policy import DIGESTS, EventStream, HttpPolicy, here, in_utf8, plain_reason, refusal
from sidecar.transports.mitm.http_layer import TAIL, Injected
from sidecar.transports.mitm.listener import Hooks, SidecarHandler, SidecarMaster
from sidecar.transports.routing import FORWARDED, SERVER

_EXCHANGE: Final = "sidecar.exchange"
_STARTED: Final = "sidecar.started"


class MitmTransport:
    """Turns mitmproxy's hooks into the calls of a passage."""

    def __init__(self, http_policy: HttpPolicy) -> None:
        self._http_policy = http_policy
        self._services = http_policy.pipeline.services
        self.master: SidecarMaster | None = None
        self._body_bytes = 0

    @property
    def hooks(self) -> Hooks:
        """The hooks this carrier answers, by mitmproxy's names."""
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
        """A listener stands for one server; it is no way to others."""
        flow.response = _response(Reply(405))

    def request(self, flow: HTTPFlow) -> None:
        """The request is whole: judge it, and answer it here or let it go on."""
        fields = _fields(flow.request.headers.fields)
        exchange = flow.metadata[_EXCHANGE] = self._exchange(flow, fields)
        exchange.reply = _not_for_us(flow, exchange)
        if exchange.reply is None:
            local = flow.client_conn.sockname[0] if flow.client_conn.sockname else ""
            self._http_policy.enter(exchange, fields, local)
        if exchange.reply is not None:
            flow.response = _response(exchange.reply, session=exchange.request.headers.get("mcp-session-id", ""))
            if exchange.request.method == "HEAD":
                # A client does not read a body here, and would take it for the beginning of the next answer.
                flow.response.raw_content = b""
            return
        is_changed = exchange.request.is_changed
        if is_changed:
            flow.request.raw_content = exchange.request.body
        flow.request.headers = _headers(self._http_policy.to_server(exchange, fields, is_changed))
        if exchange.server.answer_within and exchange.open_calls():
            asyncio.get_running_loop().call_later(exchange.server.answer_within, self._time_out, flow, exchange)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """The response begins: an event stream is passed on event by event, all else is held until it is whole."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        response = flow.response
        assert response is not None
        if exchange.reply is not None:
            return
        fields = _fields(response.headers.fields)
        exchange.response.status = response.status_code
        exchange.response.headers = by_name(fields)
        if said := self._http_policy.began(exchange):
            response.status_code = 502
            self._hang_up(flow, exchange, said)
            return
        if location := exchange.response.headers.get("location"):
            response.headers["location"] = here(exchange, location)
        if not exchange.response.is_event_stream:
            content_type = response.headers.get("content-type", "")
            if (said := in_utf8(exchange, content_type)) != content_type:
                response.headers["content-type"] = said
            return
        fields = self._http_policy.to_client(exchange, fields, False)
        if flow.request.http_version == "HTTP/1.1":
            fields.append(("transfer-encoding", "chunked"))
        response.headers = _headers(fields)
        response.stream = _Chunks(self, flow, exchange)

    def response(self, flow: HTTPFlow) -> None:
        """The response is whole (a stream has ended, an answer of ours goes out)."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        response = flow.response
        assert response is not None
        raw = response.raw_content or b""
        self._collect_after(len(exchange.request.body) + len(raw))
        if exchange.reply is not None or response.stream:
            self._http_policy.over(exchange)
            return
        is_changed = self._http_policy.whole(exchange, raw)
        if exchange.reply is not None:
            flow.response = _response(exchange.reply)
        elif is_changed:
            for name in ("content-encoding", *DIGESTS):
                response.headers.pop(name, None)
            response.raw_content = exchange.response.body
            response.headers["content-length"] = str(len(exchange.response.body))

    def error(self, flow: HTTPFlow) -> None:
        """The flow broke: answer the client if the server did it, and record what became of the call either way."""
        exchange: Exchange | None = flow.metadata.get(_EXCHANGE)
        reason = flow.error.msg if flow.error else "unknown"
        if exchange is None:
            # Refused before it was whole: nothing was judged and nothing was passed on.
            self._http_policy.pipeline.note_refusal("too-large", reason)
            flow.response = _response(unreadable(refusal(reason, "too-large"), 413))
            return
        is_stream = flow.response is not None and bool(flow.response.stream)
        if "disconnected" in reason.lower() and "client" in reason.lower():
            self._http_policy.closed(exchange, "client")
        elif is_stream:
            flow.metadata[TAIL] = self._http_policy.closed(exchange, plain_reason(reason))
        else:
            self._http_policy.failed(exchange, plain_reason(reason))
        if not is_stream:
            flow.response = _response(exchange.reply or Reply(502))

    def _exchange(self, flow: HTTPFlow, fields: Fields) -> Exchange:
        request = flow.request
        seen_at, started = flow.metadata.get(_STARTED) or (self._services.clock(), self._services.timer())
        return Exchange(
            server=flow.metadata[SERVER],
            request=Request(
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

    def __init__(self, carrier: MitmTransport, flow: HTTPFlow, exchange: Exchange) -> None:
        self._carrier = carrier
        self._flow = flow
        self._exchange = exchange
        self._stream: EventStream = carrier._http_policy.stream(exchange, functools.partial(carrier.inject, flow))

    def __call__(self, chunk: bytes) -> list[bytes]:
        """The bytes to send now. An empty list sends nothing; an empty chunk would end the response."""
        was_broken = self._stream.is_broken
        sent = self._stream.feed(chunk) if chunk else self._stream.end("")
        if self._stream.is_broken and not was_broken:
            self._carrier._hang_up(self._flow, self._exchange, self._exchange.response.failure)
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


def _response(answer: Reply | None, session: str = "") -> Response:
    assert answer is not None
    headers = {"content-type": answer.content_type} if answer.body else {}
    if session:
        headers["mcp-session-id"] = session
    return Response.make(answer.status, answer.body, headers)

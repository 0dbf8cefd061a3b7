"""The first carrier: mitmproxy's HTTP flows as exchanges. Whatever goes wrong here refuses; nothing is passed on unjudged."""

import asyncio
import gc
import logging
import os
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from mitmproxy.http import HTTPFlow, Response

from sidecar import limits
from sidecar.decode.jsonrpc import INVALID_REQUEST, Refusal
from sidecar.decode.sse import EventTooLong, Splitter
from sidecar.intercept.doorway import Doorway
from sidecar.intercept.encodings import decoded
from sidecar.intercept.exchange import EVENT_STREAM, Answer, Exchange
from sidecar.intercept.reply import unreadable
from sidecar.intercept.server import Hooks, SidecarMaster
from sidecar.intercept.streams import TAIL
from sidecar.intercept.waist import Waist
from sidecar.settings import Server

log = logging.getLogger("sidecar.intercept")

_EXCHANGE: Final = "sidecar.exchange"
_STARTED: Final = "sidecar.started"
_DIGESTS: Final = ("etag", "content-md5", "digest", "content-digest", "repr-digest")
_ONLY_ONCE: Final = (b"content-type", b"content-encoding", b"mcp-session-id", b"mcp-protocol-version", b"mcp-method")


class HttpCarrier:
    """Turns mitmproxy's hooks into the four calls of the waist."""

    def __init__(self, waist: Waist, servers: Iterable[Server]) -> None:
        self._waist = waist
        self._doorways = {server.name: Doorway(server) for server in servers}
        self.master: SidecarMaster | None = None
        self._open: dict[int, Exchange] = {}
        self._body_bytes = 0

    def open_calls(self) -> int:
        """How many calls wait for their answer. Silent listening streams are never over, so they do not count."""
        return sum(len(exchange.open_calls()) for exchange in self._open.values())

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
        flow.metadata[_STARTED] = (self._waist.ground.clock(), self._waist.ground.timer())

    def http_connect(self, flow: HTTPFlow) -> None:
        """A listener stands for one server; it is no way to others."""
        flow.response = _response(Answer(405))

    def request(self, flow: HTTPFlow) -> None:
        """The request is whole: judge it, and answer it here or let it go on."""
        exchange = flow.metadata[_EXCHANGE] = self._exchange(flow)
        self._open[id(exchange)] = exchange
        try:
            exchange.answer = self._turned_away(flow, exchange)
            if exchange.answer is None:
                self._waist.request(exchange)
        except Exception as error:
            self._refuse_after(error, exchange)
        if exchange.answer is not None:
            flow.response = _response(exchange.answer, session=exchange.headers.get("mcp-session-id", ""))
            if exchange.method == "HEAD":
                # A client does not read a body here, and would take it for the beginning of the next answer.
                flow.response.raw_content = b""
            return
        self._prepare(flow, exchange)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """The response begins: an event stream is passed on event by event, all else is held until it is whole."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        response = flow.response
        assert response is not None
        if exchange.answer is not None:
            return
        exchange.status = response.status_code
        exchange.response_headers = _headers(response.headers.fields)
        if response.status_code < 200:
            # A 101 would open a tunnel nobody judges, and mitmproxy takes other interim responses for the final one.
            response.status_code = 502
            self._hang_up(flow, exchange, "it sent an interim response, which is not passed on")
            return
        self._keep_redirect_here(flow, exchange)
        if not exchange.is_event_stream:
            return
        if exchange.response_headers.get("content-encoding", "identity").lower() != "identity":
            self._hang_up(flow, exchange, "its event stream is compressed although it was asked not to")
            return
        for name in ("content-length", *_DIGESTS):
            response.headers.pop(name, None)
        if not exchange.response_headers["content-type"].lower().startswith(EVENT_STREAM):
            response.headers["content-type"] = EVENT_STREAM
        if "chunked" not in response.headers.get("transfer-encoding", "") and flow.request.http_version == "HTTP/1.1":
            response.headers["transfer-encoding"] = "chunked"
        response.stream = _EventStream(self, flow, exchange)

    def response(self, flow: HTTPFlow) -> None:
        """The response is whole (a stream has ended, an answer of ours goes out)."""
        exchange: Exchange = flow.metadata[_EXCHANGE]
        self._open.pop(id(exchange), None)
        response = flow.response
        assert response is not None
        self._collect_after(len(exchange.body) + len(response.raw_content or b""))
        if exchange.answer is not None or response.stream:
            return
        try:
            encoding = exchange.response_headers.get("content-encoding", "identity")
            exchange.response_body = decoded(response.raw_content or b"", encoding.strip().lower())
        except ValueError as error:
            exchange.failure = exchange.failure or str(error)
        if exchange.failure:
            self._waist.failed(exchange, exchange.failure, 504 if exchange.is_timed_out else 502)
            flow.response = _response(exchange.answer)
            return
        before = exchange.response_body
        try:
            self._waist.response(exchange)
        except Exception as error:
            self._refuse_after(error, exchange)
        if exchange.answer is not None:
            flow.response = _response(exchange.answer)
        elif exchange.response_body is not before:
            for name in ("content-encoding", *_DIGESTS):
                response.headers.pop(name, None)
            response.raw_content = exchange.response_body
            response.headers["content-length"] = str(len(exchange.response_body))

    def error(self, flow: HTTPFlow) -> None:
        """The flow broke: answer the client if the server did it, and record what became of the call either way."""
        exchange: Exchange | None = flow.metadata.get(_EXCHANGE)
        reason = flow.error.msg if flow.error else "unknown"
        if exchange is None:
            # Refused before it was whole: nothing was judged and nothing was passed on.
            self._waist.turned_away("too-large", reason)
            flow.response = _response(unreadable(_refusal(reason, "too-large"), 413))
            return
        self._open.pop(id(exchange), None)
        try:
            if "disconnected" in reason.lower() and "client" in reason.lower():
                self._waist.closed(exchange, "client")
            elif flow.response is not None and flow.response.stream:
                flow.metadata[TAIL] = self._waist.closed(exchange, _plain(reason))
            else:
                status = 504 if exchange.is_timed_out else 502
                self._waist.failed(exchange, exchange.failure or _plain(reason), status)
        except Exception as error:
            self._refuse_after(error, exchange)
        flow.response = _response(exchange.answer or Answer(502)) if not _is_stream(flow) else flow.response

    def _exchange(self, flow: HTTPFlow) -> Exchange:
        request = flow.request
        seen_at, started = flow.metadata.get(_STARTED) or (self._waist.ground.clock(), self._waist.ground.timer())
        assert self.master is not None
        return Exchange(
            server=self.master.servers_by_spec[flow.client_conn.proxy_mode.full_spec],
            method=request.method.upper(),
            path=request.path,
            headers=_headers(request.headers.fields),
            body=request.raw_content or b"",
            address=flow.client_conn.peername[0] if flow.client_conn.peername else "",
            seen_at=seen_at,
            started=started,
        )

    def _turned_away(self, flow: HTTPFlow, exchange: Exchange) -> Answer | None:
        """The answer to a request that may not enter at all."""
        local = flow.client_conn.sockname[0] if flow.client_conn.sockname else ""
        doorway = self._doorways[exchange.server.name]
        host = exchange.headers.get("host", "")
        if said := doorway.objection(host, exchange.headers.get("origin", ""), local):
            is_host = said.startswith("the Host")
            self._waist.turned_away("host" if is_host else "origin", said)
            return unreadable(_refusal(said), 421 if is_host else 403)
        if flow.request.data.authority and flow.request.data.authority.decode("latin-1").lower() != host.lower():
            return unreadable(_refusal("the address in the request line is not that of the Host header"), 400)
        if "upgrade" in exchange.headers and "websocket" in exchange.headers["upgrade"].lower():
            return unreadable(_refusal("WebSocket is no transport of MCP and is not passed on"), 400)
        names = [name.lower() for name, _ in flow.request.headers.fields]
        if len(set(names)) != len(names) and (twice := [name for name in _ONLY_ONCE if names.count(name) > 1]):
            return unreadable(_refusal(f"the header {twice[0].decode()} stands twice in the request"), 400)
        return None

    def _prepare(self, flow: HTTPFlow, exchange: Exchange) -> None:
        """The request as the server should see it."""
        request = flow.request
        if exchange.body != (request.raw_content or b""):
            request.raw_content = exchange.body
            request.headers["content-length"] = str(len(exchange.body))
            for name in _DIGESTS:
                request.headers.pop(name, None)
        for name, value in exchange.set_headers.items():
            request.headers[name] = value
        request.headers["accept-encoding"] = "identity"
        request.headers.pop("upgrade", None)
        if not exchange.server.keep_host:
            request.headers["host"] = urlsplit(exchange.server.upstream).netloc
        if exchange.server.answer_within and exchange.open_calls():
            asyncio.get_running_loop().call_later(exchange.server.answer_within, self._time_out, flow, exchange)

    def _time_out(self, flow: HTTPFlow, exchange: Exchange) -> None:
        if exchange.open_calls() and not exchange.status:
            exchange.is_timed_out = True
            self._hang_up(flow, exchange, f"no answer within {exchange.server.answer_within:g} s")

    def _hang_up(self, flow: HTTPFlow, exchange: Exchange, reason: str) -> None:
        """Close the connection to the server; the flow's error hook then answers the client."""
        exchange.failure = reason
        assert self.master is not None
        handler = self.master.proxyserver.connections.get(flow.client_conn.id)
        transport = handler.transports.get(flow.server_conn) if handler else None
        if transport is not None and transport.handler is not None:
            transport.handler.cancel(reason)

    def _keep_redirect_here(self, flow: HTTPFlow, exchange: Exchange) -> None:
        """A redirect to the server's own address would lead the client past the sidecar."""
        location = exchange.response_headers.get("location", "")
        upstream = exchange.server.upstream
        if flow.response is not None and (location == upstream or location.startswith(upstream + "/")):
            here = exchange.headers.get("host") or exchange.server.listen
            flow.response.headers["location"] = f"http://{here}{location[len(upstream) :]}"

    def _collect_after(self, size: int) -> None:
        """mitmproxy's flows are cycles, so their bodies go when they are collected: by bytes, not by how many they are."""
        self._body_bytes += size
        if self._body_bytes > limits.UNCOLLECTED_BYTES_MAX:
            self._body_bytes = 0
            gc.collect(1)

    def _refuse_after(self, error: Exception, exchange: Exchange) -> None:
        """A fault of ours: the client gets an error at once, the operator a line, the record a call that failed."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_qualname}:{place.tb_lineno}" if place else "?"
        log.error("a message was refused because judging it failed: %s in %s", type(error).__name__, where)
        self._waist.internal_failure(exchange, f"{type(error).__name__} in {where}")


class _EventStream:
    """What mitmproxy calls with every chunk of an event stream, and with nothing at its end."""

    def __init__(self, carrier: HttpCarrier, flow: HTTPFlow, exchange: Exchange) -> None:
        self._carrier = carrier
        self._flow = flow
        self._exchange = exchange
        self._splitter = Splitter(limits.EVENT_BYTES_MAX)
        self._is_broken = False

    def __call__(self, chunk: bytes) -> list[bytes]:
        """The bytes to send now. An empty list sends nothing; an empty chunk would end the response."""
        if self._is_broken:
            return []
        try:
            sent = self._passed(chunk)
        except EventTooLong:
            sent = self._broken(f"an event is longer than {limits.EVENT_BYTES_MAX // limits.MIB} MiB")
        except Exception as error:
            sent = self._broken("the sidecar could not judge an event")
            self._carrier._refuse_after(error, self._exchange)
        return [sent] if sent else []

    def _passed(self, chunk: bytes) -> bytes:
        waist = self._carrier._waist
        if chunk:
            return b"".join([waist.event(self._exchange, raw) for raw in self._splitter.feed(chunk)])
        # An event without its end is none to a client, so it is not passed on; the end of a line that was cut is.
        rest = self._splitter.rest()
        return (b"" if rest.strip() else rest) + waist.closed(self._exchange, "")

    def _broken(self, reason: str) -> bytes:
        """Nothing of this stream can be judged any more, so nothing more of it is passed on."""
        self._is_broken = True
        self._exchange.is_resumable = False
        tail = self._carrier._waist.closed(self._exchange, reason)
        self._carrier._hang_up(self._flow, self._exchange, reason)
        return tail


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by lower-case name; a name that stands several times has all its values, as RFC 9110 §5.3 joins them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _response(answer: Answer | None, session: str = "") -> Response:
    assert answer is not None
    headers = {"content-type": answer.content_type} if answer.body else {}
    if session:
        headers["mcp-session-id"] = session
    return Response.make(answer.status, answer.body, headers)


def _is_stream(flow: HTTPFlow) -> bool:
    return flow.response is not None and bool(flow.response.stream)


def _refusal(text: str, reason: str = "refused") -> Refusal:
    return Refusal(INVALID_REQUEST, reason, text)


def _plain(reason: str) -> str:
    """mitmproxy's reason in words: without Python's error numbers and without anything it quotes from the wire."""
    text = reason.splitlines()[0] if reason else "unknown"
    if number := re.match(r"\[Errno (-?\d+)\]|Multiple exceptions: \[Errno (-?\d+)\]", text):
        return os.strerror(int(number[1] or number[2])).lower()
    if "closed connection" in text:
        return "it closed the connection in the middle of its answer"
    if text.startswith(("HTTP/1 protocol error", "Received")) or "protocol error" in text:
        return "it does not speak HTTP as it should"
    return text.partition(":")[0][:120]

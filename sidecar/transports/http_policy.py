"""What every HTTP transport does with an exchange: who may enter, what a head may carry, and how a fault refuses.

A transport moves bytes; everything it must decide about them is here, once, so that it cannot matter which transport it was.
The rules that are about connections and not about judging are in ``connection_rules``.
"""

import os
import re
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urlsplit

from sidecar import limits
from sidecar.decode.charsets import is_utf8
from sidecar.decode.encodings import NotInItsCoding, decoded, undo
from sidecar.decode.http1 import Fields
from sidecar.decode.jsonrpc import INVALID_REQUEST, Reason, Refusal, parsed_bytes
from sidecar.decode.sse import EventTooLong, Splitter
from sidecar.errors import place_of
from sidecar.exchange.pipeline import Pipeline
from sidecar.exchange.replies import unreadable
from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.state.exchange import EVENT_STREAM, Exchange, Reply
from sidecar.transports.connection_rules import HOP_BY_HOP, rewrite_redirect
from sidecar.transports.origin_check import OriginCheck, TargetOriginCheck
from sidecar.transports.routing import FOR_THE_PROXY, ServerRouting

log = get_logger("sidecar.proxy")

_DIGESTS: Final = frozenset(("etag", "content-md5", "digest", "content-digest", "repr-digest"))
PROTOCOL_ERROR: Final = "protocol error (its response is not valid HTTP)"
_ONLY_ONCE: Final = ("content-type", "content-encoding", "mcp-session-id", "mcp-protocol-version", "mcp-method")


class HttpPolicy:
    """Hands the exchanges of a transport to the pipeline, and says what its heads may carry."""

    def __init__(self, pipeline: Pipeline, servers: Collection[Server]) -> None:
        self.pipeline = pipeline
        self._origin_checks = {server.name: OriginCheck(server) for server in servers if server.listen}
        self.routing = ServerRouting(servers)
        self._target_origin_checks = {server.name: TargetOriginCheck(server, self.routing) for server in servers}
        self._authorities = {server.name: urlsplit(server.upstream).netloc for server in servers}
        self._open: dict[int, Exchange] = {}

    def open_calls(self) -> int:
        """How many calls wait for their answer. Silent listening streams are never over, so they do not count."""
        return sum(len(exchange.open_calls()) for exchange in self._open.values())

    def judge_request(self, exchange: Exchange, fields: Fields, local_address: str) -> None:
        """A request is whole: judge it. Sets ``exchange.reply`` when it must not be passed on; never raises."""
        self._open[id(exchange)] = exchange
        try:
            exchange.reply = self._check_entry(exchange, fields, local_address)
            if exchange.reply is None:
                exchange.reply = self.pipeline.request(exchange)
        except Exception as error:
            self.refuse_after(error, exchange)

    def build_request_fields(self, exchange: Exchange, fields: Fields, is_changed: bool) -> Fields:
        """The request's head as the server should see it; a body that is changed takes its digests with it."""
        request = exchange.request
        drop = HOP_BY_HOP | _DIGESTS | {"content-encoding"} if is_changed else HOP_BY_HOP
        said = {"accept-encoding": "identity", "content-length": str(len(request.body)), **request.set_headers}
        if request.method == "OPTIONS":
            # A preflight is a browser's question about headers; what it answers is in headers too.
            del said["accept-encoding"]
        if request.is_forwarded:
            drop |= FOR_THE_PROXY
        elif not exchange.server.keep_host:
            said["host"] = self._authorities[exchange.server.name]
        kept = [(name, said.get(name.lower(), value)) for name, value in fields if name.lower() not in drop]
        if "accept-encoding" not in request.headers and "accept-encoding" in said:
            kept.append(("accept-encoding", "identity"))
        if "content-length" not in request.headers and (request.body or request.method == "POST"):
            kept.append(("content-length", said["content-length"]))
        return kept

    def start_response(self, exchange: Exchange) -> str:
        """The response's head is in ``exchange``: why the server is given up for it, or an empty text."""
        exchange.response.headers_at = self.pipeline.services.timer()
        if exchange.response.status < 200:
            # A 101 would open a tunnel nobody judges, and clients take other interim responses for the final one.
            return "it sent an interim response, which is not passed on"
        if exchange.response.is_event_stream:
            try:
                undo(_encoding(exchange))
            except ValueError as error:
                return str(error)
        return ""

    def judge_response(self, exchange: Exchange, raw: bytes) -> bool:
        """The response's body is whole: judge it. Whether it was replaced; ``exchange.reply`` may be set; never raises."""
        self.forget(exchange)
        try:
            exchange.response.body = raw
            if raw and exchange.is_mcp and (plain := decoded(raw, _encoding(exchange))) is not raw:
                exchange.response.replace_body(plain)
            if len(exchange.response.body) > limits.EVENT_BYTES_MAX and exchange.is_mcp:
                _check_weight(exchange.response.body)
        except ValueError as error:
            exchange.response.failure = exchange.response.failure or f"its response cannot be read: {error}"
        try:
            if exchange.response.failure:
                exchange.reply = self._fail(exchange, exchange.response.failure)
            else:
                exchange.reply = self.pipeline.response(exchange)
        except Exception as error:
            self.refuse_after(error, exchange)
        return exchange.response.is_changed

    def build_response_fields(self, exchange: Exchange, fields: Fields, is_changed: bool, size: int | None) -> Fields:
        """The response's head as the client should see it.

        ``size`` is the length of the body; None where there is no body, or one that the transport itself puts into chunks.
        """
        is_rewritten = is_changed or exchange.response.is_event_stream
        drop = HOP_BY_HOP | _DIGESTS | {"content-encoding"} if is_rewritten else HOP_BY_HOP
        kept = []
        for name, value in fields:
            low = name.lower()
            if low in drop:
                continue
            if low == "location":
                value = rewrite_redirect(exchange, value)
            elif low == "content-type":
                value = correct_charset(exchange, value)
            elif low == "content-length":
                if size is None:
                    continue
                value, size = str(size), None
            kept.append((name, value))
        if size is not None:
            kept.append(("content-length", str(size)))
        return kept

    def open_stream(self, exchange: Exchange, inject: Callable[[bytes], None]) -> "EventStream":
        """The reader of the exchange's event stream. ``inject`` sends whole events of ours between two of the server's."""
        exchange.stream.inject = inject
        self.pipeline.open_stream(exchange)
        return EventStream(self, exchange)

    def fail(self, exchange: Exchange, reason: str) -> None:
        """No usable response came: sets the answer; never raises."""
        self.forget(exchange)
        try:
            exchange.reply = self._fail(exchange, exchange.response.failure or reason)
        except Exception as error:
            self.refuse_after(error, exchange)

    def close(self, exchange: Exchange, reason: str) -> bytes:
        """The exchange broke off (``client``: the client left); what an open event stream should still be sent."""
        self.forget(exchange)
        try:
            return self.pipeline.close(exchange, reason)
        except Exception as error:
            self.refuse_after(error, exchange)
            return b""

    def forget(self, exchange: Exchange) -> None:
        """Nothing more is to come of an exchange."""
        self._open.pop(id(exchange), None)

    def refuse_after(self, error: Exception, exchange: Exchange) -> None:
        """A fault of ours: the client gets an error at once, the operator a line, the record a call that failed."""
        where = place_of(error)
        log.error("message refused: judging it failed", where=where)
        exchange.reply = self.pipeline.fail_internally(exchange, where)

    def _fail(self, exchange: Exchange, reason: str) -> Reply:
        return self.pipeline.fail(exchange, reason, 504 if exchange.response.is_timed_out else 502)

    def _check_entry(self, exchange: Exchange, fields: Fields, local_address: str) -> Reply | None:
        """The answer to a request that may not enter at all."""
        headers = exchange.request.headers
        origin_checks = self._target_origin_checks if exchange.request.is_forwarded else self._origin_checks
        origin_check = origin_checks[exchange.server.name]
        said = origin_check.objection(headers.get("host", ""), headers.get("origin", ""), local_address)
        if said:
            is_host = said.startswith("the Host")
            self.pipeline.note_refusal("host" if is_host else "origin", said)
            return unreadable(refusal(said), 421 if is_host else 403)
        if len(headers) != len(fields):
            names = [name.lower() for name, _ in fields]
            if twice := [name for name in _ONLY_ONCE if names.count(name) > 1]:
                return unreadable(refusal(f"the header {twice[0]} stands twice in the request"), 400)
        return None


def correct_charset(exchange: Exchange, content_type: str) -> str:
    """The type of a response as clients should take it: what was judged is UTF-8, and some decode by whatever is said here.

    Event streams and JSON are UTF-8 in any case (WHATWG HTML §9.2.5; RFC 8259 §8.1).
    """
    media_type = content_type.partition(";")[0].strip()
    if exchange.response.is_event_stream:
        return content_type if is_utf8(content_type) and media_type.lower() == EVENT_STREAM else EVENT_STREAM
    return content_type if is_utf8(content_type) or not exchange.is_mcp or "json" not in media_type.lower() else media_type


class EventStream:
    """An open event stream: chunks of any size in, whole judged events out; never raises."""

    def __init__(self, http_policy: HttpPolicy, exchange: Exchange) -> None:
        self._http_policy = http_policy
        self._exchange = exchange
        self._splitter = Splitter(limits.EVENT_BYTES_MAX)
        self._plain = undo(_encoding(exchange))
        self.is_broken = False
        """Nothing of the stream can be judged any more, so nothing more of it is passed on."""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to send now; none while no event is whole."""
        if self.is_broken:
            return b""
        pieces = [chunk] if self._plain is None else self._plain(chunk)
        sent = b""
        try:
            for piece in pieces:
                events = self._splitter.feed(piece)
                sent += b"".join([self._http_policy.pipeline.event(self._exchange, raw) for raw in events])
        except EventTooLong:
            return sent + self._broken(f"an event is longer than {limits.EVENT_BYTES_MAX // limits.MIB} MiB")
        except NotInItsCoding as error:
            return sent + self._broken(f"its event stream cannot be read: {error}")
        except Exception as error:
            sent += self._broken("the sidecar could not judge an event")
            self._http_policy.refuse_after(error, self._exchange)
        return sent

    def end(self, reason: str) -> bytes:
        """The stream is over, cleanly when ``reason`` is empty; what to send last."""
        if self.is_broken:
            return b""
        # An event without its end is none to a client, so it is not passed on; the end of a line that was cut is.
        rest = self._splitter.rest()
        return (b"" if rest.strip() or reason else rest) + self._http_policy.close(self._exchange, reason)

    def _broken(self, reason: str) -> bytes:
        self.is_broken = True
        self._exchange.stream.is_resumable = False
        self._exchange.response.failure = reason
        return self._http_policy.close(self._exchange, reason)


def _encoding(exchange: Exchange) -> str:
    return exchange.response.headers.get("content-encoding", "identity").strip().lower()


def _check_weight(body: bytes) -> None:
    if parsed_bytes(body) > limits.RESPONSE_PARSED_BYTES_MAX:
        raise ValueError("it has more members than can be judged")


def refusal(text: str, reason: Reason = "refused") -> Refusal:
    """A refusal of what is no message, in JSON-RPC's terms."""
    return Refusal(INVALID_REQUEST, reason, text)


def plain_reason(reason: str) -> str:
    """Why a connection failed, in words: without Python's error numbers and without anything quoted from the wire."""
    text = reason.splitlines()[0] if reason else "unknown"
    if number := re.match(r"\[Errno (-?\d+)\]|Multiple exceptions: \[Errno (-?\d+)\]", text):
        return os.strerror(int(number[1] or number[2])).lower()
    if text.startswith("Certificate verify failed"):
        return f"its certificate is not trusted ({text.partition(': ')[2]}; 'ca' of this server names another authority)"
    if "closed connection" in text:
        return "it closed the connection in the middle of its answer"
    if text.startswith(("HTTP/1 protocol error", "Received")) or "protocol error" in text:
        return PROTOCOL_ERROR
    return text.partition(":")[0][:120]

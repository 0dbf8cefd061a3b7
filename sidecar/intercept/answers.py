"""What servers send: answers, streams of them, their own requests, their lists, and their failures."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from sidecar.decode import jsonrpc, lossless, mcp, sse
from sidecar.events import Caller, Finding, Message, Verdict
from sidecar.intercept import lists, reply
from sidecar.intercept.calls import Call, Judged
from sidecar.intercept.exchange import Answer, Exchange
from sidecar.intercept.judging import redacted
from sidecar.intercept.links import peer_of
from sidecar.intercept.schemas import still_valid

if TYPE_CHECKING:
    from sidecar.intercept.waist import Waist

log = logging.getLogger("sidecar.intercept")

_CANNOT_REDACT: Final = "The result holds data that may not pass and that cannot be taken out of it."


class Answers:
    """The way back of an exchange."""

    def __init__(self, waist: "Waist") -> None:
        self._waist = waist
        self._links = waist.links
        self._ledger = waist.ledger
        self._judging = waist.judging

    def whole(self, exchange: Exchange) -> None:
        """A buffered response: one message, a batch, or something that is none."""
        if not exchange.is_mcp:
            return
        began = self._waist.timer()
        if exchange.status == 202 and exchange.calls:
            # The transport of 2024-11-05 accepts a request here and answers it on the open GET stream.
            self._wait_elsewhere(exchange)
            return
        if exchange.response_body:
            payload = jsonrpc.read_leniently(exchange.response_body)
            if not exchange.calls and not _speaks(payload):
                return
            if isinstance(payload, list):
                self._batch(exchange, payload, began)
            else:
                self._replace(exchange, self._message(exchange, payload, exchange.response_body, began))
        for call in self._taken(exchange):
            self._end(call, "error", error_type=f"http_{exchange.status}", http_status=exchange.status)

    def event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event: passed on as it came, unless a rule changes or withholds its message."""
        began = self._waist.timer()
        event = sse.parse(raw)
        exchange.is_resumable |= event.has_id
        if not event.data or event.name == "endpoint":
            return raw
        payload = jsonrpc.read_leniently(event.data)
        if isinstance(payload, list):
            parts = [self._message(exchange, member, canonical(member), began) for member in payload]
            if all(part is not None and part == canonical(member) for part, member in zip(parts, payload, strict=True)):
                return raw
            kept = [part for part in parts if part is not None]
            return sse.with_data(raw, b"[" + b",".join(kept) + b"]") if kept else sse.without_message(raw)
        data = self._message(exchange, payload, event.data, began)
        if data is None:
            return sse.without_message(raw)
        return raw if data is event.data or data == event.data else sse.with_data(raw, data)

    def closed(self, exchange: Exchange, reason: str) -> bytes:
        """Ends what the exchange left open, and says what an open stream should still be sent."""
        tail = b""
        if exchange.is_resumable and reason != "client":
            self._wait_elsewhere(exchange)
        for call in self._taken(exchange):
            if reason == "client":
                self._end(call, "cancelled", error_type="client_left", http_status=exchange.status)
            else:
                why = reason or "the stream ended without an answer"
                text = f"The server '{exchange.server.name}' gave no answer: {why}."
                tail += sse.message_event(orjson.dumps(reply.server_failed(call.rpc_id, text)))
                self._end(
                    call,
                    "upstream_error" if reason else "no_response",
                    error_type="stream_broken" if reason else "stream_ended",
                    error_message=text,
                    http_status=exchange.status,
                )
        for call in self._links.forgotten():
            self._end(call, "no_response", error_type="forgotten")
        return tail

    def failed(self, exchange: Exchange, reason: str, status: int) -> None:
        """No usable response: an error every client can read, at once, and the call recorded with the reason."""
        text = f"The server '{exchange.server.name}' gave no answer: {reason}."
        calls = self._taken(exchange)
        exchange.answer = failure(exchange, [call.rpc_id for call in calls], text, status)
        for call in calls:
            error_type = "timeout" if exchange.is_timed_out else "unreachable"
            self._end(call, "upstream_error", error_type=error_type, error_message=text, http_status=status)

    def _wait_elsewhere(self, exchange: Exchange) -> None:
        peer = peer_of(exchange)
        for key, call in exchange.calls.items():
            self._links.resumable[peer, key] = call
        exchange.calls.clear()

    def _batch(self, exchange: Exchange, payload: list[Any], began: float) -> None:
        parts = [self._message(exchange, member, canonical(member), began) for member in payload]
        if any(part != canonical(member) for part, member in zip(parts, payload, strict=True)):
            exchange.response_body = b"[" + b",".join(part for part in parts if part is not None) + b"]"

    def _replace(self, exchange: Exchange, data: bytes | None) -> None:
        if data is None:
            exchange.answer = reply.swallowed()
        elif data is not exchange.response_body:
            exchange.response_body = data

    def _message(self, exchange: Exchange, payload: Any, raw: bytes, began: float) -> bytes | None:
        """One message towards the client: the bytes to send, or None to withhold it."""
        kind = jsonrpc.kind_of(payload)
        if kind in ("request", "notification"):
            return self._from_server(exchange, payload, raw, kind, began)
        call, is_open = self._answered(exchange, payload, kind)
        now = self._waist.clock()
        if call is None:
            return self._unknown(exchange, payload, raw, kind or "result")
        message = call.answer_message(payload, kind or ("error" if exchange.status >= 400 else "result"), len(raw))
        judged = self._judging.judged(message, raw, now)
        if call.method == "initialize" and kind == "result":
            self._remember_client(exchange, call)
        sent, is_refused = self._acted(call, judged, now)
        if not is_open:
            self._ledger.findings(call)
            return sent
        self._ledger.note(call, judged, now)
        call.spent_s += self._waist.timer() - began
        status, error_type = _outcome(payload, kind, exchange.status)
        if is_refused:
            status, error_type = "blocked", "policy"
        elif exchange.is_resumable:
            self._links.answered[peer_of(exchange), jsonrpc.id_key(call.rpc_id)] = call
        self._end(call, status, answer=judged, error_type=error_type, http_status=exchange.status)
        return sent

    def _acted(self, call: Call, judged: Judged, now: float) -> tuple[bytes, bool]:
        """The bytes to send for an answer after its verdict, and whether it was refused."""
        verdict = judged.verdict
        text = reply.refusal_text(verdict.message, verdict.rule)
        if verdict.action != "block" and verdict.redactions:
            if (sent := self._valid_redaction(call, judged)) is not None:
                return sent, False
            text = reply.refusal_text(_CANNOT_REDACT, verdict.rule)
        elif verdict.action != "block":
            return self._listed(call, judged, now), False
        refused = reply.refusal(call.rpc_id, call.method, call.era, text, rule=verdict.rule, call_id=call.id)
        return orjson.dumps(refused), True

    def _valid_redaction(self, call: Call, judged: Judged) -> bytes | None:
        """The redacted answer, or None when it would not be one its client accepts."""
        try:
            sent = redacted(judged)
        except ValueError:
            return None
        schema = self._links.schemas.get((call.server.name, call.tool)) if call.method == "tools/call" else None
        return sent if schema is None or still_valid(schema, sent) else None

    def _listed(self, call: Call, judged: Judged, now: float) -> bytes:
        if call.method not in mcp.LISTS:
            return judged.raw
        for tool, schema in lists.output_schemas(call.method, judged.message.payload):
            self._links.schemas[call.server.name, tool] = schema
        if not self._judging.is_hiding:
            return judged.raw
        sent, hidden = lists.without_denied(judged, lambda message: self._judging.is_listed(message, now))
        if hidden:
            call.row["attrs"] = {**call.row.get("attrs", {}), "hidden": str(hidden)}
        return sent

    def _answered(self, exchange: Exchange, payload: Any, kind: Any) -> tuple[Call | None, bool]:
        """The call a message answers, and whether it was still open."""
        key = jsonrpc.id_key(payload.get("id")) if isinstance(payload, dict) and "id" in payload else ("", None)
        if (call := exchange.calls.pop(key, None)) is not None:
            return call, True
        peer = peer_of(exchange)
        if kind in ("result", "error"):
            if (call := self._links.resumable.pop((peer, key))) is not None:
                return call, True
            if (call := self._links.answered.get((peer, key))) is not None:
                return call, False
        # A body that names no call (an error page, an error without an id) can only be about the one that is open.
        if len(exchange.calls) == 1 and (kind is None or payload.get("id") is None):
            return exchange.calls.pop(next(iter(exchange.calls))), True
        return None, False

    def _unknown(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any) -> bytes | None:
        """An answer to nothing we know. It is judged all the same, as a call of its own."""
        if not isinstance(payload, dict | str) or not payload:
            return raw
        judged, call = self._own_call(exchange, payload, raw, kind)
        if judged.verdict.action == "block":
            self._end(call, "blocked", error_type="policy")
            return None
        self._end(call, "ok", error_type="answer_to_nothing")
        return redacted(judged) if judged.verdict.redactions else raw

    def _from_server(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any, began: float) -> bytes | None:
        """A server's own request or notification."""
        judged, call = self._own_call(exchange, payload, raw, kind)
        verdict = judged.verdict
        sent: bytes | None = redacted(judged) if verdict.redactions else raw
        call.spent_s += self._waist.timer() - began
        if kind == "request":
            if verdict.action == "block":
                call.substituted = reply.refusal_text(verdict.message, verdict.rule)
                sent = reply.ping(call.rpc_id)
            self._ledger.begin(call)
            self._links.asked[peer_of(exchange), jsonrpc.id_key(call.rpc_id)] = call
            return sent
        parent = next(iter(exchange.calls.values()), None)
        if parent is not None and not verdict.findings:
            parent.row["events"] = parent.row.get("events", 0) + 1
            parent.row["bytes_scanned"] = parent.row.get("bytes_scanned", 0) + judged.scan.bytes_scanned
            return sent
        is_blocked = verdict.action == "block"
        self._end(call, "blocked" if is_blocked else "notification", error_type="policy" if is_blocked else "")
        return None if is_blocked else sent

    def _own_call(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any) -> tuple[Judged, Call]:
        """A message that belongs to no call of the client, judged, with a call of its own."""
        now = self._waist.clock()
        parent = next(iter(exchange.calls.values()), None)
        facts = mcp.facts(payload if isinstance(payload, dict) else {})
        client, version, protocol = self._links.clients.get(peer_of(exchange)) or ("", "", "")
        caller = parent.caller if parent else Caller(client=client, client_version=version, address=exchange.address)
        session = self._waist.session_of(exchange, caller, now)
        message = Message(
            server=exchange.server.name,
            direction="response",
            kind=kind,
            method=facts.method,
            tool=facts.tool,
            args=facts.args,
            payload=payload,
            size=len(raw),
            caller=caller,
            session=parent.session if parent else session.id,
        )
        judged = self._judging.judged(message, raw, now)
        known: dict[str, Any] = {"protocol": exchange.protocol or protocol, "era": exchange.era}
        known["session_kind"] = parent.row["session_kind"] if parent else session.kind
        if parent:
            known["attrs"] = {"parent": parent.id}
        rpc_id = payload.get("id") if isinstance(payload, dict) else None
        started = self._waist.timer()
        return judged, self._ledger.open(judged, rpc_id=rpc_id, now=now, started=started, server=exchange.server, **known)

    def _remember_client(self, exchange: Exchange, call: Call) -> None:
        """From here on the session is known by its id, and its messages no longer say who the client is."""
        protocol = call.row.get("protocol", "")
        self._links.clients[peer_of(exchange)] = (call.caller.client, call.caller.client_version, protocol)
        session = self._waist.session_of(exchange, call.caller, self._waist.clock())
        call.session = call.row["session"] = session.id
        call.row["session_kind"] = session.kind

    @staticmethod
    def _taken(exchange: Exchange) -> list[Call]:
        calls = list(exchange.calls.values())
        exchange.calls.clear()
        return calls

    def _end(self, call: Call, status: str, **known: Any) -> None:
        self._ledger.end(call, status, now_s=self._waist.timer(), **known)


def _speaks(payload: Any) -> bool:
    """Whether a body nobody asked for is a message that says something: metadata and bare errors are not."""
    members = payload if isinstance(payload, list) else [payload]
    return any(jsonrpc.kind_of(member) in ("request", "notification", "result") for member in members)


def ids_in(body: bytes) -> list[Any]:
    """The ids of the requests in a body, as far as it can be read at all."""
    value = jsonrpc.read_leniently(body)
    return [member["id"] for member in jsonrpc.requests_in(value if isinstance(value, list) else [value])]


def _outcome(payload: Any, kind: Any, http_status: int) -> tuple[str, str]:
    """The status of a call and what kind of error it is, from its answer."""
    if kind == "error":
        return "error", str(mcp.error_of(payload)[0])
    if kind == "result":
        return ("tool_error", "tool_error") if mcp.is_tool_error(payload) else ("ok", "")
    return "error", f"http_{http_status}" if http_status >= 400 else "not_jsonrpc"


def failure(exchange: Exchange, ids: list[Any], text: str, status: int) -> Answer:
    """The HTTP response for requests that got no answer: their JSON-RPC errors, or a plain one when there was no request."""
    if not ids:
        return reply.unreadable(jsonrpc.Refusal(reply.SERVER_FAILED, "failed", text), status)
    errors = [reply.server_failed(each, text) for each in ids]
    return Answer(status, orjson.dumps(errors if exchange.is_batch else errors[0]))


def canonical(value: Any) -> bytes:
    """A member of a batch as bytes of its own."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return lossless.dumps(value)


def wire_finding(reason: str, text: str) -> Finding:
    """A finding for bytes that were refused before any rule could judge them."""
    return Finding(
        rule=f"wire.{reason}", policy="", severity="medium", mode="enforce", action="block", kind="error", title=text[:200]
    )


def with_payload(message: Message, payload: Any) -> Message:
    """The same message with another payload."""
    return replace(message, payload=payload)


def with_finding(judged: Judged, finding: Finding) -> Judged:
    """The same message, blocked by one finding."""
    verdict = Verdict("block", finding.rule, finding.title, (finding,), (), judged.verdict.policy_version)
    return replace(judged, verdict=verdict)

"""What servers send: answers, streams of them, their own requests, their lists, and their failures."""

from typing import Any, Final

import orjson

from sidecar.decode import jsonrpc, lossless, mcp, sse
from sidecar.events import Caller, Message
from sidecar.intercept import lists, reply
from sidecar.intercept.calls import Call, Judged
from sidecar.intercept.exchange import Exchange
from sidecar.intercept.ground import Ground, wire_finding
from sidecar.intercept.judging import redacted
from sidecar.intercept.links import peer_of
from sidecar.intercept.listening import own_endpoint
from sidecar.intercept.schemas import allows_marks

_CANNOT_REDACT: Final = "The result holds data that may not pass and that cannot be taken out of it."


class Answers:
    """The way back of an exchange."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._links = ground.links
        self._ledger = ground.ledger
        self._judging = ground.judging

    def whole(self, exchange: Exchange) -> None:
        """A buffered response: one message, a batch, or something that is none."""
        if not exchange.is_mcp:
            return
        began = self._ground.timer()
        for note in exchange.notifications:
            self._ground.end(note, "notification", http_status=exchange.status)
        body = exchange.response_body
        is_bare = body.strip() in (b"", b"Accepted")
        if (exchange.status == 202 and is_bare) or (exchange.endpoint and exchange.status < 300):
            # The transport of 2024-11-05 accepts a request here and answers it on the open GET stream.
            if not is_bare:
                self._replace(exchange, self._unknown(exchange, jsonrpc.read_leniently(body), body, "result"))
            self._wait_elsewhere(exchange)
            return
        if exchange.response_body:
            payload = jsonrpc.read_leniently(exchange.response_body)
            if isinstance(payload, list):
                self._batch(exchange, payload, began)
            else:
                self._replace(exchange, self._message(exchange, payload, exchange.response_body, began))
        open_calls = exchange.open_calls()
        if len(open_calls) == 1 and exchange.status == 202:
            self._wait_elsewhere(exchange)
            return
        for call in open_calls:
            self._ground.end(call, "error", error_type=f"http_{exchange.status}", http_status=exchange.status)

    def event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event: passed on as it came, unless a rule changes or withholds its message."""
        began = self._ground.timer()
        event = sse.parse(raw)
        for call in exchange.calls.values():
            call.is_streamed = True
        exchange.is_resumable |= event.has_id and exchange.era == "handshake"
        if event.name == "endpoint" and exchange.method == "GET" and not exchange.mcp_session:
            return self._endpoint(exchange, raw, event.data.decode("utf-8", "replace"))
        if not event.data or event.name == "endpoint":
            return raw
        payload = jsonrpc.read_leniently(event.data)
        if isinstance(payload, list):
            members = [lossless.canonical(member) for member in payload]
            parts = [self._message(exchange, *pair, began) for pair in zip(payload, members, strict=True)]
            if parts == members:
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
        self._ground.listening.closed(exchange)
        for note in exchange.notifications:
            self._ground.end(note, "notification", http_status=exchange.status)
        if exchange.method == "GET" and exchange.endpoint:
            return self._session_over(exchange, reason)
        if exchange.is_resumable and not reason:
            self._wait_elsewhere(exchange)
            return tail
        for call in exchange.open_calls():
            if self._ground.is_stopping:
                self._ground.end(call, "no_response", error_type="sidecar_stopped", http_status=exchange.status)
            elif reason == "client" or call.is_cancelled:
                error_type = "client_left" if reason == "client" else "cancelled"
                self._ground.end(call, "cancelled", error_type=error_type, http_status=exchange.status)
            elif exchange.is_resumable:
                self._wait_elsewhere(exchange)
            else:
                tail += self._unanswered(exchange, call, reason)
        return tail

    def failed(self, exchange: Exchange, reason: str, status: int) -> None:
        """No usable response: an error every client can read, at once, and the call recorded with the reason."""
        text = f"The server '{exchange.server.name}' gave no answer: {reason}."
        calls = exchange.open_calls()
        exchange.answer = self._ground.failure(exchange, [call.rpc_id for call in calls], text, status)
        for call in [*calls, *exchange.notifications]:
            error_type = "timeout" if exchange.is_timed_out else "unreachable"
            self._ground.end(call, "upstream_error", error_type=error_type, error_message=text, http_status=status)

    def _unanswered(self, exchange: Exchange, call: Call, reason: str) -> bytes:
        """The error a client reads in an open stream whose server will not answer any more."""
        text = f"The server '{exchange.server.name}' gave no answer: {reason or 'the stream ended without one'}."
        status, error_type = ("upstream_error", "stream_broken") if reason else ("no_response", "stream_ended")
        self._ground.end(call, status, error_type=error_type, error_message=text, http_status=exchange.status)
        return sse.message_event(orjson.dumps(reply.server_failed(call.rpc_id, text)))

    def _session_over(self, exchange: Exchange, reason: str) -> bytes:
        """The one stream of a session of 2024-11-05 is over, so nothing that was asked in it can be answered any more."""
        tail = b""
        peer = peer_of(exchange)
        self._links.clients.pop(peer)
        for call in self._links.waiting_of(peer):
            if reason == "client" or call.is_cancelled:
                self._ground.end(call, "cancelled", error_type="client_left" if reason == "client" else "cancelled")
            elif self._ground.is_stopping or call.row["direction"] == "response":
                error_type = "sidecar_stopped" if self._ground.is_stopping else "session_ended"
                self._ground.end(call, "no_response", error_type=error_type)
            else:
                tail += self._unanswered(exchange, call, reason)
        return tail

    def _endpoint(self, exchange: Exchange, raw: bytes, said: str) -> bytes:
        """The first event of a stream of 2024-11-05, which tells the client where to post."""
        self._ground.listening.named(exchange, said)
        own = own_endpoint(exchange, said)
        return raw if own == said else sse.with_data(raw, own.encode())

    def _wait_elsewhere(self, exchange: Exchange) -> None:
        """The answer is expected on another exchange; the table of open calls knows what it will answer."""
        is_over = bool(exchange.endpoint) and exchange.method == "POST" and self._ground.listening.of(exchange) is None
        for call in exchange.open_calls():
            call.is_waiting = True
            if is_over:
                self._ground.end(call, "no_response", error_type="session_ended", http_status=exchange.status)
        exchange.calls.clear()

    def _batch(self, exchange: Exchange, payload: list[Any], began: float) -> None:
        members = [lossless.canonical(member) for member in payload]
        parts = [self._message(exchange, *pair, began) for pair in zip(payload, members, strict=True)]
        if parts != members:
            exchange.response_body = b"[" + b",".join(part for part in parts if part is not None) + b"]"

    def _replace(self, exchange: Exchange, data: bytes | None) -> None:
        if data is None:
            exchange.answer = reply.swallowed()
        elif data is not exchange.response_body:
            exchange.response_body = data

    def _message(self, exchange: Exchange, payload: Any, raw: bytes, began: float) -> bytes | None:
        """One message towards the client: the bytes to send, or None to withhold it."""
        if (isinstance(payload, str) and jsonrpc.looks_like_json(raw)) or jsonrpc.is_misspelt(payload):
            return self._unreadable(exchange)
        raw = jsonrpc.canonical_if_ambiguous(raw, payload)
        kind = jsonrpc.kind_of(payload)
        if kind in ("request", "notification"):
            return self._from_server(exchange, payload, raw, kind, began)
        call, is_open = self._answered(exchange, payload, kind)
        if call is None:
            return self._unknown(exchange, payload, raw, kind or "result")
        now = self._ground.clock()
        message = call.answer_message(payload, kind or ("error" if exchange.status >= 400 else "result"), len(raw))
        judged = self._judging.judged(message, raw, now)
        if call.method == "initialize" and kind == "result" and is_open:
            self._remember_client(exchange, call)
        sent, is_refused = self._acted(call, judged, now)
        if not is_open:
            return sent
        self._ledger.note(call, judged, now)
        call.spent_s += self._ground.timer() - began
        status, error_type = ("blocked", "policy") if is_refused else _outcome(payload, kind, exchange.status)
        self._ground.end(call, status, answer=judged, error_type=error_type, http_status=exchange.status)
        return sent

    def _unreadable(self, exchange: Exchange) -> bytes | None:
        """An answer a client might read in another way than we do is not passed on; the client gets an error for it."""
        calls = exchange.open_calls()
        if len(calls) != 1:
            return None
        (call,) = calls
        finding = wire_finding("unreadable-answer", "the answer is JSON that two parsers may read differently")
        self._ground.note(finding)
        self._ground.end(call, "blocked", error_type="unreadable", http_status=exchange.status)
        text = f"The answer of the server '{exchange.server.name}' cannot be read safely, so it was not passed on."
        return orjson.dumps(reply.server_failed(call.rpc_id, text))

    def _acted(self, call: Call, judged: Judged, now: float) -> tuple[bytes, bool]:
        """The bytes to send for an answer after its verdict, and whether it was refused."""
        verdict = judged.verdict
        text = reply.refusal_text(verdict.message, verdict.rule)
        if verdict.action != "block":
            sent = self._valid_redaction(call, judged) if verdict.redactions else judged.raw
            if sent is not None:
                return self._listed(call, judged.message, sent, now), False
            text = reply.refusal_text(_CANNOT_REDACT, verdict.rule)
        refused = reply.refusal(call.rpc_id, call.method, call.era, text, rule=verdict.rule, call_id=call.id)
        return orjson.dumps(refused), True

    def _valid_redaction(self, call: Call, judged: Judged) -> bytes | None:
        """The redacted answer, or None when it would not be one its client accepts."""
        schema = self._links.schema(call.server.name, call.tool) if call.method == "tools/call" else None
        if schema is not None and not allows_marks(schema, judged.verdict.redactions):
            return None
        try:
            return redacted(judged)
        except ValueError:
            return None

    def _listed(self, call: Call, message: Message, sent: bytes, now: float) -> bytes:
        if call.method not in mcp.LISTS:
            return sent
        for tool, schema in lists.output_schemas(call.method, message.payload):
            self._links.remember_schema(call.server.name, tool, schema)
        if not self._judging.is_hiding:
            return sent
        sent, hidden = lists.without_denied(sent, message, lambda asked: self._judging.is_listed(asked, now))
        if hidden and not call.is_ended:
            call.row["attrs"] = {**call.row.get("attrs", {}), "hidden": str(hidden)}
        return sent

    def _answered(self, exchange: Exchange, payload: Any, kind: Any) -> tuple[Call | None, bool]:
        """The call a message answers, and whether it closes it."""
        rpc_id = payload.get("id") if isinstance(payload, dict) else None
        if kind in ("result", "error") and rpc_id is not None:
            call = exchange.calls.get(jsonrpc.id_key(rpc_id))
            if call is not None and not call.is_ended:
                return call, True
            key = (peer_of(exchange), jsonrpc.loose_key(rpc_id))
            loose = [each for each in exchange.open_calls() if jsonrpc.loose_key(each.rpc_id) == key[1]]
            if (call := loose[0] if loose else self._links.open.get(key)) is not None:
                return call, True
            if (call := self._links.answered.get(key)) is not None:
                return call, False
        # What names no call (an error page, an error without an id, another id) can only be about the one that is open.
        # In a stream the real answer may still come, so there it is judged as that call and closes nothing.
        calls = exchange.open_calls()
        if len(calls) != 1:
            return None, False
        is_about_it = not exchange.is_event_stream and rpc_id is None
        return calls[0], is_about_it or (kind == "error" and rpc_id is None)

    def _unknown(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any) -> bytes | None:
        """An answer to nothing we know: judged all the same, and recorded as a call of its own if a rule found something."""
        if not payload:
            return raw
        judged, call = self._own_call(exchange, payload, raw, kind)
        is_blocked = judged.verdict.action == "block"
        status, error_type = ("blocked", "policy") if is_blocked else ("ok", "answer_to_nothing")
        if judged.verdict.findings:
            self._ground.end(call, status, error_type=error_type)
        if is_blocked:
            return None
        return redacted(judged) if judged.verdict.redactions else raw

    def _from_server(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any, began: float) -> bytes | None:
        """A server's own request or notification."""
        key = (peer_of(exchange), jsonrpc.id_key(payload.get("id")))
        asked = self._links.asked.get(key) if kind == "request" else None
        if asked is not None and asked.raw_hash == hash(raw) and not asked.substituted:
            # The same question once more, from a resumed stream: one call, and it was judged.
            return raw
        judged, call = self._own_call(exchange, payload, raw, kind)
        verdict = judged.verdict
        sent: bytes | None = redacted(judged) if verdict.redactions else raw
        call.spent_s += self._ground.timer() - began
        if kind == "request":
            if verdict.action == "block":
                call.substituted = reply.refusal_text(verdict.message, verdict.rule)
                sent = reply.ping(call.rpc_id)
            call.raw_hash = hash(raw)
            self._ledger.begin(call)
            self._links.asked[key] = call
            return sent
        parent = next(iter(exchange.open_calls()), None)
        if parent is not None and not verdict.findings:
            parent.row["events"] = parent.row.get("events", 0) + 1
            parent.row["bytes_scanned"] = parent.row.get("bytes_scanned", 0) + judged.scan.bytes_scanned
            return sent
        is_blocked = verdict.action == "block"
        self._ground.end(call, "blocked" if is_blocked else "notification", error_type="policy" if is_blocked else "")
        return None if is_blocked else sent

    def _own_call(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any) -> tuple[Judged, Call]:
        """A message that belongs to no call of the client, judged, with a call of its own."""
        now = self._ground.clock()
        parent = next(iter(exchange.open_calls()), None)
        facts = mcp.facts(payload if isinstance(payload, dict) else {})
        client, version, protocol = self._links.clients.get(peer_of(exchange)) or ("", "", "")
        caller = parent.caller if parent else Caller(client=client, client_version=version, address=exchange.address)
        session = self._ground.session_of(exchange, caller, now)
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
        known["transport"] = exchange.transport
        known["session_kind"] = parent.row["session_kind"] if parent else session.kind
        if parent:
            known["attrs"] = {"parent": parent.id}
        rpc_id = payload.get("id") if isinstance(payload, dict) else None
        started = self._ground.timer()
        return judged, self._ledger.open(
            judged, facts, rpc_id=rpc_id, now=now, started=started, server=exchange.server, **known
        )

    def _remember_client(self, exchange: Exchange, call: Call) -> None:
        """From here on the session is known by its id, and its messages no longer say who the client is."""
        if exchange.mcp_session or exchange.path_session:
            known = (call.row["client"], call.row["client_version"], call.row.get("protocol", ""))
            self._links.clients[peer_of(exchange)] = known
        session = self._ground.session_of(exchange, call.caller, self._ground.clock())
        call.session = call.row["session"] = session.id
        call.row["session_kind"] = session.kind


def _outcome(payload: Any, kind: Any, http_status: int) -> tuple[str, str]:
    """The status of a call and what kind of error it is, from its answer."""
    if kind == "error":
        return "error", str(mcp.error_of(payload)[0])
    if kind == "result":
        return ("tool_error", "tool_error") if mcp.is_tool_error(payload) else ("ok", "")
    return "error", f"http_{http_status}" if http_status >= 400 else "not_jsonrpc"

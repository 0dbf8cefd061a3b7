"""What servers send: answers, streams of them, their own requests, their lists, and their failures."""

from dataclasses import replace
from typing import Any, Final

from sidecar import limits
from sidecar.decode import anomalies, jsonrpc, lossless, mcp, sse
from sidecar.decode.response_bodies import outcome_of, settle_response
from sidecar.exchange import lists, replies
from sidecar.exchange.completion import Completion
from sidecar.exchange.server_messages import ServerMessages
from sidecar.exchange.services import Services, wire_finding
from sidecar.judging.message_judge import redacted
from sidecar.methods import ACKNOWLEDGED, HANDSHAKES, INITIALIZE, TOOLS_CALL, method_of
from sidecar.outcomes import Anomaly, ErrorType, Status, http_error
from sidecar.policy.judgement import Judgement
from sidecar.sessions.catalogue import Catalogue
from sidecar.sessions.open_streams import own_endpoint
from sidecar.state.call import Call
from sidecar.state.exchange import Exchange, Reply, Response, session_in

_CANCELLED: Final = "-32800"
"""The code by which servers of the Python SDK answer a request that its client cancelled."""

Ended = tuple[Status, ErrorType]

_REFUSED: Final[Ended] = ("blocked", "policy")

_CANNOT_REDACT: Final = "The result holds data that may not pass and that cannot be taken out of it."


class Responses:
    """What becomes of a response: judged, recorded, and passed back, changed or replaced."""

    def __init__(self, services: Services, catalogue: Catalogue, completion: Completion) -> None:
        self._services = services
        self._completion = completion
        self._correlation = services.correlation
        self._ledger = services.ledger
        self._message_judge = services.message_judge
        self._catalogue = catalogue
        self._server_messages = ServerMessages(services)

    def judge(self, exchange: Exchange) -> Reply | None:
        """A buffered response: one message, a batch, or something that is none. What to send in its place, if anything."""
        if not exchange.is_mcp:
            return None
        began = self._services.timer()
        for note in exchange.notifications:
            self._services.end_on(exchange, note, "notification")
        response = exchange.response
        body, reply = response.body, None
        is_bare = body.strip() in (b"", b"Accepted")
        if (response.status == 202 and is_bare) or (exchange.stream.endpoint and response.status < 300):
            # The transport of 2024-11-05 accepts a request here and answers it on the open GET stream.
            if not is_bare:
                reply = self._replace(
                    response, self._server_messages.judge_unknown(exchange, jsonrpc.read_leniently(body), body, "result")
                )
            self._completion.wait_elsewhere(exchange)
            return reply
        if body:
            payload = jsonrpc.read_leniently(body)
            if isinstance(payload, list):
                sent = self._judge_batch(exchange, payload, body, began)
                self._replace(response, b"[]" if sent is None else sent)
            else:
                calls = exchange.open_calls()
                reply = self._replace(response, self._judge_message(exchange, payload, body, began))
                if any(_is_refused_handshake(call) for call in calls):
                    # An error on 200 would only make the client fall back to another revision.
                    reply = Reply(403, response.body)
        open_calls = exchange.open_calls()
        if len(open_calls) == 1 and response.status == 202:
            self._completion.wait_elsewhere(exchange)
            return reply
        for call in open_calls:
            self._services.end_on(exchange, call, "error", error_type=http_error(response.status))
        return reply

    def judge_event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event: passed on as it came, unless a rule changes or withholds its message."""
        began = self._services.timer()
        if len(exchange.stream.events_at) < limits.EVENT_TIMES_MAX:
            exchange.stream.events_at.append(began)
        event = sse.parse(raw)
        exchange.stream.event_id = event.id
        for call in exchange.calls.values():
            call.is_streamed = True
        exchange.stream.is_resumable |= event.has_id and exchange.era == "handshake"
        if sse.is_ambiguous(raw):
            refused = self._withhold(exchange)
            return sse.WITHHELD if refused is None else sse.message_event(refused)
        if event.beside and self._message_judge.finds_in([beside := event.beside.decode("utf-8", "replace")]):
            changed = self._server_messages.judge_comment(exchange, raw, beside)
            if changed != raw:
                raw = changed
                event = sse.parse(raw)
        # Some clients read no names of events, so what looks like a message is judged as one under any name.
        is_named = event.name == "endpoint" and not jsonrpc.looks_like_json(event.data)
        if is_named and exchange.request.method == "GET" and not exchange.mcp_session:
            return self._judge_endpoint(exchange, raw, event.data.decode("utf-8", "replace"))
        if not event.data:
            return raw
        payload = jsonrpc.read_leniently(event.data)
        is_replay = event.id is not None and self._correlation.is_replay(exchange.peer, event.id, event.data)
        take = self._judge_batch if isinstance(payload, list) else self._judge_message
        data = take(exchange, payload, event.data, began, is_replay)
        if data is None:
            return sse.without_message(raw)
        return raw if data is event.data or data == event.data else sse.with_data(raw, data)

    def forward(self, exchange: Exchange, listening: Exchange) -> None:
        """A line went to a server over stdio: its answer comes as a line that ``listening`` stands for."""
        for note in exchange.notifications:
            self._services.end(note, "notification")
        for call in exchange.calls.values():
            call.is_streamed = True
        listening.calls |= exchange.calls

    def judge_line(self, exchange: Exchange, payload: Any, raw: bytes) -> bytes | None:
        """One line of a server over stdio, already read; returns the message to send, or None to withhold it."""
        began = self._services.timer()
        take = self._judge_batch if isinstance(payload, list) else self._judge_message
        return take(exchange, payload, raw, began)

    def withhold_line(self, exchange: Exchange) -> bytes | None:
        """What cannot be read safely is withheld; the call it may answer gets an error where there is only one."""
        if len(exchange.open_calls()) != 1:
            self._services.note(wire_finding("unreadable-answer", "a line that two clients may read differently was withheld"))
        return self._withhold(exchange)

    def _judge_endpoint(self, exchange: Exchange, raw: bytes, said: str) -> bytes:
        """The first event of a stream of 2024-11-05, which tells the client where to post.

        Its session id only ever travels back to the server, and may look like anything; the rest of it is judged as text.
        """
        text = said.replace(session_in(said) or "\0", "")
        if self._message_judge.finds_in([text]) and self._server_messages.withhold_text(exchange, raw, text):
            return sse.without_message(raw)
        self._services.open_streams.name_endpoint(exchange, said)
        own = own_endpoint(exchange, said)
        return raw if own == said else sse.with_data(raw, own.encode())

    def _judge_batch(self, exchange: Exchange, payload: Any, raw: bytes, began: float, is_replay: bool = False) -> bytes | None:
        """A batch towards the client, member by member: the bytes to send, ``raw`` itself where none changed, None for none."""
        members = lossless.members(raw)
        parts = [self._judge_message(exchange, *pair, began, is_replay) for pair in zip(payload, members, strict=True)]
        if parts == members:
            return raw
        kept = [part for part in parts if part is not None]
        return b"[" + b",".join(kept) + b"]" if kept else None

    @staticmethod
    def _replace(response: Response, data: bytes | None) -> Reply | None:
        if data is None:
            return replies.swallowed()
        if data is not response.body:
            response.replace_body(data)
        return None

    def _judge_message(
        self, exchange: Exchange, payload: Any, raw: bytes, began: float, is_replay: bool = False
    ) -> bytes | None:
        """One message towards the client: the bytes to send, or None to withhold it."""
        if (isinstance(payload, str) and jsonrpc.looks_like_json(raw)) or jsonrpc.is_misspelt(payload):
            return self._withhold(exchange)
        original = raw
        raw, odd = settle_response(original, payload, parsing=exchange.server.parsing)
        if odd:
            self._note_oddities(exchange, odd)
        kind = jsonrpc.kind_of(payload)
        if kind == "request":
            return self._server_messages.judge_question(exchange, payload, raw, began, is_replay)
        if kind == "notification":
            if payload["method"] == ACKNOWLEDGED and isinstance(payload.get("params"), dict):
                self._catalogue.acknowledge(exchange, payload["params"])
            return self._server_messages.judge_notification(exchange, payload, raw, began, is_replay)
        call, is_open = self._find_call(exchange, payload, kind, is_replay)
        if call is None:
            return self._server_messages.judge_unknown(exchange, payload, raw, kind or "result", is_replay)
        call.is_streamed |= exchange.response.is_event_stream
        now = self._services.clock()
        message = call.answer_message(payload, kind or ("error" if exchange.response.status >= 400 else "result"), len(raw))
        judgement = self._services.definitions.judge_list(self._message_judge.judge(message, raw, now), call.server, now)
        if call.method == INITIALIZE and kind == "result" and is_open:
            self._remember_client(exchange, call, payload)
        sent, refusal = self._act(exchange, call, judgement, now)
        if not is_open:
            if call.is_ended:
                self._services.note_replay(call)
            elif payload:
                call.row.mark("unknown-id" if isinstance(payload, dict) else "not-jsonrpc")
            return sent
        if not refusal:
            self._services.continuations.learn(call, payload, "server")
        self._mark_oddities(exchange, call, payload if kind else None, len(sent) if len(sent) != len(original) else 0)
        self._ledger.note(call.record, judgement, now)
        call.spend(self._services.timer() - began)
        status, error_type = _REFUSED if refusal else outcome_of(payload, kind, exchange.response.status)
        if call.is_cancelled:
            call.row.describe("cancelled", "before its answer")
            status = "cancelled" if error_type == _CANCELLED else status
        text = self._message_judge.mask_text(refusal, judgement) if refusal else ""
        self._services.end_on(exchange, call, status, response=judgement, error_type=error_type, error_message=text)
        return sent

    def _mark_oddities(self, exchange: Exchange, call: Call, payload: dict[str, Any] | None, changed_to: int) -> None:
        """What is remarkable about an answer beside what it says; ``payload`` is None for what is no message."""
        if changed_to:
            call.row.describe("response_sent_bytes", str(changed_to))
        if exchange.stream.event_id:
            call.row.describe("event_id", self._message_judge.fingerprint(exchange.stream.event_id.decode("utf-8", "replace")))
        rpc_id = payload.get("id") if payload is not None else None
        if payload is None:
            call.row.mark("not-jsonrpc")
        elif rpc_id is None:
            call.row.mark("no-id")
        elif rpc_id != call.rpc_id or type(rpc_id) is not type(call.rpc_id):
            call.row.mark("id-in-other-form")
        if exchange.response.headers.get("content-encoding", "identity") != "identity":
            call.row.mark("encoded")

    def _note_oddities(self, exchange: Exchange, odd: tuple[Anomaly, ...]) -> None:
        """Record what was odd: with the call that waits here, else by itself."""
        call = next(iter(exchange.open_calls()), None)
        for name in odd:
            if call is not None:
                call.row.mark(name)
            else:
                self._services.note(replace(wire_finding(name, anomalies.TEXTS[name]), action="log", severity="low"))

    def _withhold(self, exchange: Exchange) -> bytes | None:
        """An answer a client might read in another way than we do is not passed on; the client gets an error for it."""
        calls = exchange.open_calls()
        if len(calls) != 1:
            return None
        (call,) = calls
        finding = wire_finding("unreadable-answer", "the answer is JSON that two parsers may read differently")
        self._services.note(finding)
        self._services.end_on(exchange, call, "blocked", error_type="unreadable")
        text = f"The answer of the server '{exchange.server.name}' cannot be read safely, so it was not passed on."
        return lossless.canonical(replies.server_failed(call.rpc_id, text))

    def _act(self, exchange: Exchange, call: Call, judgement: Judgement, now: float) -> tuple[bytes, str]:
        """The bytes to send for an answer after its verdict, and where it is refused what its client reads."""
        verdict = judgement.verdict
        text = replies.refusal_text(verdict.message, verdict.rule)
        if verdict.action != "block":
            sent = self._valid_redaction(call, judgement) if verdict.redactions else judgement.raw
            if sent is not None:
                listed = self._filter_list(exchange, call, judgement, sent, now)
                is_changed = listed is not judgement.raw
                return (lists.kept_briefly(listed, judgement.message.payload) if is_changed else listed), ""
            text = replies.refusal_text(_CANNOT_REDACT, verdict.rule)
        refused = replies.refusal(call.rpc_id, call.answers_as, call.era, text, rule=verdict.rule, call_id=call.id)
        return lossless.canonical(refused), text

    def _valid_redaction(self, call: Call, judgement: Judgement) -> bytes | None:
        """The redacted answer, or None when it would not be one its client accepts."""
        message = judgement.message
        schema = self._correlation.schema(call.server.name, message.tool) if message.method == TOOLS_CALL else None
        try:
            sent = redacted(judgement, True if schema is None else schema)
        except ValueError:
            return None
        before, most = len(judgement.raw), limits.CLIENT_EVENT_BYTES_MAX
        has_outgrown = call.is_streamed and before <= most and len(sent) > max(before, most - limits.EVENT_FRAME_BYTES)
        return None if has_outgrown else sent

    def _filter_list(self, exchange: Exchange, call: Call, judgement: Judgement, sent: bytes, now: float) -> bytes:
        if not method_of(call.method).lists:
            return sent
        message = judgement.message
        self._catalogue.remember(exchange, call, message)
        for tool, schema in lists.output_schemas(call.method, message.payload):
            self._correlation.remember_schema(call.server.name, tool, schema)
        if not self._message_judge.is_hiding and not judgement.withheld:
            return sent
        withheld = judgement.withheld
        sent, hidden = lists.without_denied(sent, message, lambda asked: self._message_judge.is_listed(asked, now), withheld)
        if hidden and not call.is_ended:
            call.row.describe("hidden", str(hidden))
            if judgement.withheld:
                call.row.describe("withheld", str(len(judgement.withheld)))
        return sent

    def _find_call(self, exchange: Exchange, payload: Any, kind: Any, is_replay: bool) -> tuple[Call | None, bool]:
        """The call a message answers, and whether it closes it.

        A replay on another stream is of what it answered before: its id may be that of a later request by now.
        """
        rpc_id = payload.get("id") if isinstance(payload, dict) else None
        if kind in ("result", "error") and rpc_id is not None:
            call = exchange.calls.get(jsonrpc.id_key(rpc_id))
            if call is not None and not call.is_ended:
                return call, True
            key = (exchange.peer, jsonrpc.loose_key(rpc_id))
            loose = [each for each in exchange.open_calls() if jsonrpc.loose_key(each.rpc_id) == key[1]]
            before = self._correlation.answered.get(key)
            if not loose and is_replay and before is not None:
                return before, False
            if (call := loose[0] if loose else self._correlation.open.get(key)) is not None:
                return call, True
            if before is not None:
                return before, False
        # What names no call (an error page, an error without an id, another id) can only be about the one that is open.
        # In a stream the real answer may still come, so there it is judged as that call and closes nothing.
        calls = exchange.open_calls()
        if len(calls) != 1:
            return None, False
        is_about_it = not exchange.response.is_event_stream and rpc_id is None
        return calls[0], is_about_it or (kind == "error" and rpc_id is None)

    def _remember_client(self, exchange: Exchange, call: Call, payload: Any) -> None:
        """From here on the session is known by its id, and its messages no longer say who the client is.

        The revision they will speak is the one the server answers, whatever the client asked for.
        """
        result = payload.get("result")
        negotiated = result.get("protocolVersion") if isinstance(result, dict) else None
        if isinstance(negotiated, str) and mcp.REVISION.fullmatch(negotiated) and negotiated != call.row.protocol:
            call.row.describe("protocol_asked", call.row.protocol)
            call.row.protocol = negotiated
        if exchange.mcp_session or exchange.path_session or exchange.wrap:
            known = (call.row.client, call.row.client_version, call.row.protocol)
            self._correlation.clients[exchange.peer] = known
        session = self._services.session_of(exchange, call.caller, self._services.clock())
        call.session = call.row.session = session.id
        call.row.session_kind = session.kind
        call.row.mcp_session = self._services.wire_session_of(exchange)


def _is_refused_handshake(call: Call) -> bool:
    return call.row.status == "blocked" and call.method in HANDSHAKES

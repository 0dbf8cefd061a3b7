"""What clients send: read strictly, judged, recorded, and passed on, changed or answered here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sidecar.decode import jsonrpc, lossless, mcp
from sidecar.decode.request_bodies import RequestBody, read_body, require_line, require_messages
from sidecar.errors import StoreError
from sidecar.events import Caller, Message
from sidecar.exchange import replies
from sidecar.exchange.mirrored_headers import is_mismatched, mirrored_headers, unmirrored
from sidecar.exchange.services import Services, wire_finding
from sidecar.judging.message_judge import redacted, with_finding
from sidecar.logs import get_logger
from sidecar.methods import CANCELLED, INITIALIZE, is_of_tasks
from sidecar.outcomes import ErrorType, Status
from sidecar.policy.judgement import Judgement
from sidecar.record.call_row import WrittenRow
from sidecar.state.call import Call, open_call
from sidecar.state.exchange import EVENT_STREAM, JSON, Exchange, Reply

log = get_logger("sidecar.proxy")


_BODILESS: Final = frozenset(("GET", "DELETE", "HEAD", "OPTIONS"))
"""Methods whose requests have no body in MCP."""


class Requests:
    """What becomes of a request: judged, recorded, and passed on, changed or answered here."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def judge(self, exchange: Exchange) -> Reply | None:
        """A request arrived whole: what to answer in its place, or None when it goes on, perhaps changed."""
        request = exchange.request
        request.judged_from = self._services.timer()
        if request.method in _BODILESS:
            return self._judge_bodiless(exchange)
        if (stream := self._services.open_streams.of(exchange)) is not None:
            exchange.stream.endpoint = stream.stream.endpoint
        try:
            read = _read(exchange)
            if read.anomalies:
                request.anomalies = read.anomalies
                request.replace_body(read.text)
                request.set_headers["content-type"] = JSON
            value = read.value
            if exchange.wrap:
                require_line(value)
            if value is None:
                return None
            members = jsonrpc.messages(value)
            require_messages(members)
            self._require_mirrored(exchange, members)
        except jsonrpc.NotAMessage as error:
            return self._refuse_unreadable(exchange, error)
        exchange.is_mcp = True
        request.is_batch = isinstance(value, list)
        try:
            return self._judge_batch(exchange, members) if request.is_batch else self._judge_single(exchange, value)
        except StoreError as error:
            log.error("request refused: it cannot be recorded", error=str(error))
            ids = [member["id"] for member in jsonrpc.requests_in(members)]
            text = "The sidecar cannot record this call, and is set not to pass on what it cannot record."
            for call in [*exchange.open_calls(), *exchange.notifications]:
                self._services.end(call, "blocked", error_type="not_recorded")
            return self._services.fail(exchange, ids, text, 503)

    def _judge_bodiless(self, exchange: Exchange) -> Reply | None:
        request = exchange.request
        if request.body and (misplaced := self._misplaced(exchange)):
            return self._refuse_unreadable(exchange, misplaced)
        exchange.is_mcp = request.method in ("GET", "DELETE")
        if request.method == "DELETE" and exchange.mcp_session:
            self._end_session(exchange)
        if request.method == "GET" and EVENT_STREAM in request.headers.get("accept", ""):
            return self._refuse_stream(exchange)
        return None

    def _misplaced(self, exchange: Exchange) -> jsonrpc.NotAMessage | None:
        """Why a body may not go with a method that has none in MCP: some servers would read it all the same."""
        try:
            value = _read(exchange).value
        except jsonrpc.NotAMessage as error:
            return error
        text = "a message is sent by POST"
        return None if value is None else jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "method", text)

    def _refuse_stream(self, exchange: Exchange) -> Reply | None:
        """A caller to whom the whole server is denied does not listen to it either; clients take 405 for "has none"."""
        now = self._services.clock()
        client, version, _ = self._services.correlation.clients.get(exchange.peer) or ("", "", "")
        caller = Caller(client=client, client_version=version, address=exchange.request.address)
        asked = Message(server=exchange.server.name, direction="request", kind="request", method="", caller=caller)
        if rule := self._services.message_judge.denying_rule(asked, now):
            title = f"A stream of server '{exchange.server.name}' was refused to a caller it is denied to"
            self._services.note(replace(wire_finding("stream", title), rule=rule, kind="access"))
            return Reply(405)
        return None

    def _require_mirrored(self, exchange: Exchange, members: list[Any]) -> None:
        """Raises ``NotAMessage`` when a header that repeats the body holds a value that the body does not."""
        if self._services.message_judge.finds_in(unmirrored(exchange.request.headers, members)):
            text = "a header that mirrors the body says what the body does not"
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "header-mismatch", text)

    def _judge_single(self, exchange: Exchange, value: dict[str, Any]) -> Reply | None:
        request = exchange.request
        judgement, call = self._judge_message(exchange, value, request.body)
        verdict, kind = judgement.verdict, judgement.message.kind
        if verdict.action == "block":
            text = replies.refusal_text(verdict.message, verdict.rule)
            self._block(exchange, call, judgement, text)
            if kind == "request":
                refused = replies.refusal(call.rpc_id, call.answers_as, call.era, text, rule=verdict.rule, call_id=call.id)
                return self._services.refuse(exchange, [call.method], refused)
            if kind == "notification":
                return replies.swallowed()
            request.replace_body(replies.declined(call.rpc_id, text))
            return None
        if call.substituted and kind in ("result", "error"):
            request.replace_body(replies.declined(call.rpc_id, call.substituted))
        elif judgement.is_changed:
            request.replace_body(redacted(judgement))
            call.row.describe("request_sent_bytes", str(len(request.body)))
            request.set_headers |= _changed_mirrors(request.headers, judgement)
        self._forward(exchange, call, judgement)
        return None

    def _judge_batch(self, exchange: Exchange, members: list[Any]) -> Reply | None:
        """Members are judged one by one; if one is refused, none is passed on (revision 2025-03-26)."""
        taken = []
        for member, raw in zip(members, lossless.members(exchange.request.body), strict=True):
            taken.append((*self._judge_message(exchange, member, raw), raw))
        if any(judgement.verdict.action == "block" for judgement, _, _ in taken):
            return self._block_batch(exchange, [(judgement, call) for judgement, call, _ in taken])
        if any(judgement.is_changed or call.substituted for judgement, call, _ in taken):
            parts = [
                replies.declined(call.rpc_id, call.substituted)
                if call.substituted
                else (redacted(judgement) if judgement.is_changed else raw)
                for judgement, call, raw in taken
            ]
            exchange.request.replace_body(b"[" + b",".join(parts) + b"]")
        for judgement, call, _ in taken:
            self._forward(exchange, call, judgement)
        return None

    def _block_batch(self, exchange: Exchange, taken: list[tuple[Judgement, Call]]) -> Reply:
        refusals = []
        for judgement, call in taken:
            verdict = judgement.verdict
            text = "Another message of the same batch was blocked by policy, so none was passed on."
            if verdict.action == "block":
                text = replies.refusal_text(verdict.message, verdict.rule)
            self._block(exchange, call, judgement, text)
            if judgement.message.kind == "request":
                refusals.append(replies.refusal(call.rpc_id, call.method, call.era, text, rule=verdict.rule, call_id=call.id))
        return self._services.refuse(exchange, [], refusals) if refusals else replies.swallowed()

    def _judge_message(self, exchange: Exchange, value: dict[str, Any], raw: bytes) -> tuple[Judgement, Call]:
        """Judge one message from the client, and the call it opens or closes."""
        kind = jsonrpc.kind_of(value)
        assert kind is not None
        now = self._services.clock()
        twice = None
        if kind in ("result", "error"):
            key = (exchange.peer, jsonrpc.id_key(value.get("id")))
            asked = self._services.correlation.asked.get(key)
            twice = self._services.correlation.settled.get(key) if asked is None else None
            if twice is not None and twice.response_hash == hash(raw):
                # The same words again, as after a replayed question: they belong to the call that is written already.
                self._services.note_replay(twice)
                asked = twice
            if asked is not None:
                return self._judge_answer(asked, value, kind, raw, now), asked
        about = mcp.facts(value)
        tasks = self._services.continuations
        task = tasks.task("server", exchange.server.name, value) if is_of_tasks(about.method) else None
        message, row = self._message_of(exchange, about, value, kind, len(raw), now)
        if task is not None:
            message = replace(message, tool=task.tool)
            row.tool = task.recorded_tool
            row.describe("parent", task.call_id)
        if twice is not None:
            message = twice.answer_message(value, kind, len(raw), "request")
            row.method, row.attrs, row.anomalies = twice.row.method, {"parent": twice.id}, ["answered-twice"]
        judgement = self._services.definitions.judge_use(self._services.message_judge.judge(message, raw, now), now)
        round_ = self._services.continuations.round(message.server, judgement.message.tool, judgement.message.args, value)
        if round_ is not None:
            row.attrs = {"parent": round_.call_id, "round": str(round_.number)}
        call = self._open(exchange, judgement, about, row, value.get("id"))
        call.origin, call.round = task, round_
        if is_mismatched(exchange.request.headers, about):
            call.row.mark("header-mismatch")
        for name in exchange.request.anomalies:
            call.row.mark(name)
        if twice is not None:
            call.substituted = twice.substituted
        return judgement, call

    def _open(self, exchange: Exchange, judgement: Judgement, about: mcp.MessageFields, row: WrittenRow, rpc_id: Any) -> Call:
        return open_call(
            self._services.ledger,
            judgement,
            about,
            row,
            rpc_id=rpc_id,
            now=exchange.request.seen_at,
            started=exchange.request.started,
            server=exchange.server,
        )

    def _judge_answer(self, asked: Call, value: dict[str, Any], kind: Any, raw: bytes, now: float) -> Judgement:
        """The client's answer to a request of the server, judged as that."""
        judgement = self._services.message_judge.judge(asked.answer_message(value, kind, len(raw), "request"), raw, now)
        asked.response_hash = hash(raw)
        if not asked.is_ended:
            self._services.ledger.note(asked.record, judgement, now)
        return judgement

    def _message_of(
        self, exchange: Exchange, facts: mcp.MessageFields, value: Any, kind: Any, size: int, now: float
    ) -> tuple[Message, WrittenRow]:
        """The message as policies see it, and a row that says by what it came."""
        header = exchange.request.headers.get("mcp-protocol-version", "")
        client, version, negotiated = self._services.correlation.clients.get(exchange.peer) or ("", "", "")
        caller = Caller(
            user=exchange.request.user,
            client=facts.client or client,
            client_version=facts.client_version or version,
            address=exchange.request.address,
        )
        session = self._services.session_of(exchange, caller, now, facts.trace_id)
        # A process of stdio has one era, and only its requests say which.
        if kind == "request" or facts.protocol or not exchange.wrap:
            exchange.era = mcp.era_of(header, facts.protocol)
        claimed = header or facts.protocol or negotiated
        exchange.protocol = claimed if mcp.REVISION.fullmatch(claimed) else ("" if not claimed else "other")
        message = Message(
            server=exchange.server.name,
            direction="request",
            kind=kind,
            method=facts.method,
            tool=facts.tool,
            args=facts.args,
            payload=value,
            size=size,
            caller=caller,
            session=session.id,
        )
        row = self._services.row_of(exchange, session.kind)
        if header and facts.protocol and facts.protocol != header and facts.method != INITIALIZE:
            row.mark("version-mismatch")
        return message, row

    def _block(self, exchange: Exchange, call: Call, judgement: Judgement, text: str) -> None:
        """Nothing is passed on; ``text`` is what the client reads instead."""
        if judgement.message.kind in ("result", "error"):
            self._services.correlation.settle(exchange.peer, call.rpc_id)
        call.spend(self._services.timer() - exchange.request.judged_from)
        text = self._services.message_judge.mask_text(text, judgement)
        self._services.end(call, "blocked", error_type="policy", error_message=text)

    def _forward(self, exchange: Exchange, call: Call, judgement: Judgement) -> None:
        """Write down what is about to be passed on."""
        kind = judgement.message.kind
        if kind == "request":
            exchange.calls[jsonrpc.id_key(call.rpc_id)] = call
            self._services.ledger.begin(call.record)
            self._services.correlation.open_call(exchange.peer, call, has_session=bool(exchange.wire_session))
            self._services.continuations.begin(exchange.peer, call, judgement.message.payload)
            call.spend(self._services.timer() - exchange.request.judged_from)
        elif kind == "notification":
            exchange.notifications.append(call)
            self._services.ledger.begin(call.record)
            call.spend(self._services.timer() - exchange.request.judged_from)
            if call.method == CANCELLED:
                self._note_cancel(exchange, call)
        else:
            known = self._services.correlation.settle(exchange.peer, call.rpc_id)
            if known is not None and kind == "result":
                self._services.continuations.learn(call, judgement.message.payload, "client")
            status: Status = "blocked" if call.substituted else ("ok" if kind == "result" else "error")
            error_type: ErrorType = "" if known is not None else "answer_to_nothing"
            call.spend(self._services.timer() - exchange.request.judged_from)
            self._services.end(call, status, response=judgement, error_type=error_type)

    def _note_cancel(self, exchange: Exchange, note: Call) -> None:
        """The client no longer wants an answer; should none come, that is why."""
        call = self._services.correlation.open.get((exchange.peer, jsonrpc.loose_key(note.args.get("requestId"))))
        if call is not None:
            call.is_cancelled = True

    def _refuse_unreadable(self, exchange: Exchange, error: jsonrpc.NotAMessage) -> Reply:
        refusal = error.refusal
        reply = self._unreadable_answer(exchange, refusal)
        finding = wire_finding(refusal.reason, refusal.text)
        now = self._services.clock()
        nothing = mcp.facts({})
        # Bytes nobody can read for sure may hold anything in any encoding: only how many there were is kept.
        message, row = self._message_of(exchange, nothing, "", "request", len(exchange.request.body), now)
        judgement = with_finding(self._services.message_judge.scan_only(message, b""), finding)
        call = self._open(exchange, judgement, nothing, row, None)
        call.row.mark(error.anomaly)
        call.spend(self._services.timer() - exchange.request.judged_from)
        self._services.end(call, "blocked", error_type=error.anomaly, error_message=refusal.text, error_code=refusal.code)
        return reply

    def _unreadable_answer(self, exchange: Exchange, refusal: jsonrpc.Refusal) -> Reply:
        """Servers answer such bytes with an error without id; where that reaches nobody, each id that can be read gets one."""
        if exchange.stream.endpoint:
            errors = [replies.unread(refusal, each) for each in jsonrpc.ids_in(exchange.request.body)]
            if errors and self._services.open_streams.send(exchange, errors):
                return replies.accepted()
        if exchange.wrap:
            return Reply(400, lossless.canonical(replies.unread(refusal, _sure_id(exchange))))
        return replies.unreadable(refusal)

    def _end_session(self, exchange: Exchange) -> None:
        """The client ends its session: what still waited in it will not be answered."""
        peer = exchange.peer
        self._services.correlation.clients.pop(peer)
        for call in self._services.correlation.waiting_of(peer):
            self._services.end(call, "no_response", error_type="session_ended")


def _read(exchange: Exchange) -> RequestBody:
    content_type = exchange.request.headers.get("content-type", "").lower()
    encoding = exchange.request.headers.get("content-encoding", "identity").strip().lower()
    return read_body(exchange.request.body, content_type, encoding, parsing=exchange.server.parsing)


def _changed_mirrors(headers: Mapping[str, str], judgement: Judgement) -> dict[str, str]:
    """The headers that repeat what is another in the body now: first what tokens turned back into, then what was taken out."""
    changed: dict[str, str] = {}
    if judgement.restored is not None:
        changed = mirrored_headers(headers, judgement.restored.spans, judgement.restored.value)
    return changed | mirrored_headers({**headers, **changed}, judgement.verdict.redactions, judgement.replacements)


def _sure_id(exchange: Exchange) -> Any:
    """The id under which a client over stdio waits for the answer to a line that was refused, where it can be told.

    Over HTTP the response itself belongs to the request, and servers give such an error no id.
    """
    value = jsonrpc.read_leniently(exchange.request.body) if exchange.transport == "stdio" else None
    return value["id"] if isinstance(value, dict) and jsonrpc.kind_of(value) == "request" else None

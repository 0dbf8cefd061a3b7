"""What servers send that answers nothing we asked for them: their own requests, their notifications, and loose answers."""

from typing import Any, NamedTuple

from sidecar import limits
from sidecar.decode import jsonrpc, mcp, sse
from sidecar.events import Caller, Kind, Message
from sidecar.exchange import replies
from sidecar.exchange.services import Services
from sidecar.judging.carry_over import CarryOver
from sidecar.judging.message_judge import redacted
from sidecar.methods import CANCELLED, PROGRESS, is_of_tasks
from sidecar.outcomes import Anomaly
from sidecar.policy.judgement import Judgement
from sidecar.state.call import Call, open_call
from sidecar.state.exchange import Exchange, Stream


class _Heard(NamedTuple):
    """A message of a server, judged, and what its row would say beside it."""

    judgement: Judgement
    about: mcp.MessageFields
    session_kind: str
    protocol: str
    parent_id: str
    """The row of the call it belongs to."""
    tool: str
    """As recorded, where it is about the task of a call."""


class ServerMessages:
    """Judges each such message, records it, and gives the bytes to send in its place, or None to withhold it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._correlation = services.correlation
        self._ledger = services.ledger

    def judge_question(self, exchange: Exchange, payload: Any, raw: bytes, began: float, is_replay: bool) -> bytes:
        """A request to the client, which answers it by a POST of its own; a refused one becomes a ping.

        The same one again, from a resumed stream or from a server that repeats itself, is the same call.
        """
        key = (exchange.peer, jsonrpc.id_key(payload.get("id")))
        heard = self._judge(exchange, payload, raw, "request", self._parent(exchange, payload))
        verdict = heard.judgement.verdict
        call = self._correlation.asked.get(key) or (self._correlation.settled.get(key) if is_replay else None)
        if call is not None and call.request_hash == hash(raw):
            self._services.note_replay(call)
        else:
            anomaly: Anomaly | None = "duplicate-id" if call is not None else None
            call = self._open(exchange, heard, payload, anomaly)
            call.request_hash = hash(raw)
            call.origin = self._services.continuations.task("client", exchange.server.name, payload)
            call.spend(self._services.timer() - began)
            if verdict.action == "block":
                call.substituted = replies.refusal_text(verdict.message, verdict.rule)
            self._ledger.begin(call.record)
            self._correlation.asked[key] = call
        if verdict.action == "block":
            call.substituted = call.substituted or replies.refusal_text(verdict.message, verdict.rule)
        if call.substituted:
            return replies.ping(call.rpc_id)
        return redacted(heard.judgement) if verdict.redactions else raw

    def judge_notification(self, exchange: Exchange, payload: Any, raw: bytes, began: float, is_replay: bool) -> bytes | None:
        """A notification: counted in the call it belongs to when no rule says anything of it, else a row of its own."""
        parent = self._parent(exchange, payload)
        # A replay is of what was said before, and joins nothing.
        carry_over = None if is_replay else _carry_over_of(parent or exchange.stream)
        heard = self._judge(exchange, payload, raw, "notification", parent, carry_over)
        judgement = heard.judgement
        if heard.about.method == CANCELLED:
            self._withdraw(exchange, heard.about)
        verdict = judgement.verdict
        is_blocked = verdict.action == "block"
        sent = None if is_blocked else (redacted(judgement) if verdict.redactions else raw)
        if is_replay:
            return sent
        if parent is not None:
            parent.row.events += 1
            if not verdict.findings:
                parent.row.bytes_scanned += judgement.scan.bytes_scanned
                parent.spend(self._services.timer() - began)
                return sent
        if self._has_room(exchange, judgement):
            call = self._open(exchange, heard, payload)
            call.spend(self._services.timer() - began)
            self._end_notification(call, is_blocked)
        return sent

    def judge_unknown(self, exchange: Exchange, payload: Any, raw: bytes, kind: Any, is_replay: bool = False) -> bytes | None:
        """An answer to nothing we know, or text that is no message: judged all the same, and recorded."""
        if not payload:
            return raw
        heard = self._judge(exchange, payload, raw, kind, self._parent(exchange, payload))
        judgement = heard.judgement
        is_blocked = judgement.verdict.action == "block"
        if not is_replay and self._has_room(exchange, judgement):
            call = self._open(exchange, heard, payload, "unknown-id" if isinstance(payload, dict) else "not-jsonrpc")
            if is_blocked:
                self._services.end(call, "blocked", error_type="policy")
            else:
                self._services.end(call, "ok", error_type="answer_to_nothing")
        if is_blocked:
            return None
        return redacted(judgement) if judgement.verdict.redactions else raw

    def judge_comment(self, exchange: Exchange, raw: bytes, text: str) -> bytes:
        """Comments and other lines of an event that clients skip, when a detector saw something: all of them pass, or none."""
        return sse.bare(raw) if self.withhold_text(exchange, raw, text) else raw

    def withhold_text(self, exchange: Exchange, raw: bytes, text: str) -> bool:
        """Judge text that is no message; it passes whole or not at all."""
        heard = self._judge(exchange, text, raw, "notification", self._parent(exchange, text))
        verdict = heard.judgement.verdict
        is_blocked = verdict.action == "block" or bool(verdict.redactions)
        if verdict.findings and self._has_room(exchange, heard.judgement):
            self._end_notification(self._open(exchange, heard, text), is_blocked)
        return is_blocked

    def _end_notification(self, call: Call, is_blocked: bool) -> None:
        self._services.end(call, "blocked" if is_blocked else "notification", error_type="policy" if is_blocked else "")

    def _parent(self, exchange: Exchange, payload: Any) -> Call | None:
        """The open call a message of the server belongs to: by its progress token, else the one whose stream it is on."""
        method = payload.get("method") if isinstance(payload, dict) else ""
        if method == PROGRESS:
            call = self._services.continuations.find_progressing(exchange.peer, payload)
            if call is not None and not call.is_ended:
                return call
        calls = exchange.open_calls()
        # Over stdio all calls share one stream, so that with several open nobody can tell.
        return calls[0] if calls and (len(calls) == 1 or not exchange.wrap) else None

    def _judge(
        self, exchange: Exchange, payload: Any, raw: bytes, kind: Kind, parent: Call | None, carry_over: CarryOver | None = None
    ) -> _Heard:
        now = self._services.clock()
        facts = mcp.facts(payload if isinstance(payload, dict) else {})
        client, version, protocol = self._correlation.clients.get(exchange.peer) or ("", "", "")
        stranger = Caller(user=exchange.request.user, client=client, client_version=version, address=exchange.request.address)
        caller = parent.caller if parent else stranger
        session = self._services.session_of(exchange, caller, now)
        task = self._services.continuations.task("server", exchange.server.name, payload)
        is_of_task = task is not None and is_of_tasks(facts.method)
        message = Message(
            server=exchange.server.name,
            direction="response",
            kind=kind,
            method=facts.method,
            tool=task.tool if task is not None and is_of_task else facts.tool,
            args=task.args if task is not None and is_of_task else facts.args,
            payload=payload,
            size=len(raw),
            caller=caller,
            session=parent.session if parent else session.id,
        )
        return _Heard(
            judgement=self._services.message_judge.judge(message, raw, now, carry_over),
            about=facts,
            session_kind=parent.row.session_kind if parent else session.kind,
            protocol=exchange.protocol or protocol,
            parent_id=task.call_id if task is not None else parent.id if parent is not None else "",
            tool=task.recorded_tool if task is not None and is_of_task else "",
        )

    def _open(self, exchange: Exchange, heard: _Heard, payload: Any, anomaly: Anomaly | None = None) -> Call:
        row = self._services.row_of(exchange, heard.session_kind, heard.protocol)
        row.tool = heard.tool
        if heard.parent_id:
            row.describe("parent", heard.parent_id)
        if anomaly is not None:
            row.mark(anomaly)
        return open_call(
            self._ledger,
            heard.judgement,
            heard.about,
            row,
            rpc_id=payload.get("id") if isinstance(payload, dict) else None,
            now=self._services.clock(),
            started=self._services.timer(),
            server=exchange.server,
        )

    def _withdraw(self, exchange: Exchange, facts: mcp.MessageFields) -> None:
        """The server no longer wants an answer to a request of its own; a late one is tolerated."""
        call = self._correlation.settle(exchange.peer, facts.args.get("requestId"))
        if call is not None:
            self._services.end(call, "cancelled", error_type="cancelled")

    def _has_room(self, exchange: Exchange, judgement: Judgement) -> bool:
        """Whether one more row may be written of this stream now; what is not written is counted, and told at its end.

        Findings have room of their own, so that no flood of chatter keeps one out of the record.
        """
        minute = int(self._services.clock() // 60)
        if minute != exchange.stream.rows_minute:
            exchange.stream.rows_minute, exchange.stream.rows_written = minute, [0, 0]
        which = 1 if judgement.verdict.findings else 0
        exchange.stream.rows_written[which] += 1
        if exchange.stream.rows_written[which] <= limits.NOTIFICATION_ROWS_PER_MINUTE:
            return True
        exchange.stream.rows_left_out += 1
        return False


def _carry_over_of(speaker: Call | Stream) -> CarryOver:
    """What the notifications of a call, or of a stream, ended with so far."""
    if speaker.carry_over is None:
        speaker.carry_over = CarryOver()
    return speaker.carry_over

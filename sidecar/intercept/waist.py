"""The narrow waist: whatever carries the bytes hands over an exchange by four calls, and from here on all is the same.

``request`` and ``response`` may replace a body or answer in its place, ``event`` returns what to send for one event of a
stream, ``closed`` ends what is still open. A message is recorded before it is passed on, and judged before it is recorded.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sidecar import limits
from sidecar.decode import jsonrpc, mcp
from sidecar.decode.sessions import Session, Sessions
from sidecar.errors import StoreError
from sidecar.events import Caller, Message
from sidecar.intercept import answers, lists, reply
from sidecar.intercept.calls import Call, Judged, Ledger
from sidecar.intercept.exchange import Exchange
from sidecar.intercept.judging import Judging, redacted
from sidecar.intercept.links import Links, peer_of

_UTF8: Final = re.compile(r'[^;]+;\s*charset="?(utf-8|utf8|us-ascii)"?\s*')
_REVISION: Final = re.compile(r"\d{4}-\d\d-\d\d")

log = logging.getLogger("sidecar.intercept")


class Waist:
    """Decodes, judges, acts and records, for every carrier. ``clock`` gives unix seconds, ``timer`` a steady clock."""

    def __init__(
        self,
        judging: Judging,
        ledger: Ledger,
        sessions: Sessions,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.judging = judging
        self.ledger = ledger
        self.links = Links(self._abandoned)
        self.is_stopping = False
        self._sessions = sessions
        self.clock = clock
        self.timer = timer
        self._answers = answers.Answers(self)

    def request(self, exchange: Exchange) -> None:
        """A request arrived whole. Sets ``exchange.answer`` when it must not be passed on."""
        exchange.began = self.timer()
        if exchange.method in ("GET", "DELETE", "HEAD", "OPTIONS"):
            exchange.is_mcp = exchange.method in ("GET", "DELETE")
            if exchange.method == "DELETE" and exchange.mcp_session:
                self._end_session(exchange)
            return
        try:
            value = self._value_of(exchange)
            if value is None:
                return
            members = jsonrpc.messages(value)
            self._require_messages(exchange, members)
        except jsonrpc.NotAMessage as error:
            self._refuse_unreadable(exchange, error.refusal)
            return
        exchange.is_mcp = True
        exchange.is_batch = isinstance(value, list)
        try:
            if exchange.is_batch:
                self._batch(exchange, members)
            else:
                self._single(exchange, value)
        except StoreError as error:
            log.error("a request was refused because it cannot be recorded: %s", error)
            ids = [member["id"] for member in jsonrpc.requests_in(members)]
            text = "The sidecar cannot record this call, and is set not to pass on what it cannot record."
            for call in [*exchange.open_calls(), *exchange.notifications]:
                self.ledger.end(call, "blocked", error_type="not_recorded", now_s=self.timer())
            exchange.answer = answers.failure(exchange, ids, text, 503)

    def response(self, exchange: Exchange) -> None:
        """The response arrived whole. May replace ``exchange.response_body`` and its status."""
        self._answers.whole(exchange)

    def event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event of the response's stream; returns the bytes to send in its place, usually the same."""
        return self._answers.event(exchange, raw)

    def closed(self, exchange: Exchange, reason: str) -> bytes:
        """The exchange is over: ``reason`` is empty for a clean end, ``client`` if the client left, else what went wrong.

        Returns what should still be sent on an open event stream.
        """
        return self._answers.closed(exchange, reason)

    def failed(self, exchange: Exchange, reason: str, status: int) -> None:
        """The server gave no usable response; sets the answer for the client and records why."""
        self._answers.failed(exchange, reason, status)

    def internal_failure(self, exchange: Exchange, where: str) -> None:
        """A fault of the sidecar: refuse what is open, and record a finding of kind ``error`` that says where."""
        finding = answers.wire_finding("internal", f"the sidecar could not judge a message ({where})")
        calls = exchange.open_calls()
        text = "The sidecar could not judge this message, so it was not passed on."
        ids = [call.rpc_id for call in calls] or answers.ids_in(exchange.body)
        exchange.answer = answers.failure(exchange, ids, text, 500)
        self.ledger.own_finding(finding, self.clock())
        for call in calls:
            self.ledger.end(call, "blocked", error_type="internal", error_message=text, now_s=self.timer())

    def turned_away(self, reason: str, text: str) -> None:
        """A request that was refused at the door: noted, and not alerted, because whoever knocks decides how often."""
        self.ledger.own_finding(replace(answers.wire_finding(reason, text), action="log"), self.clock())

    def session_of(self, exchange: Exchange, caller: Caller, now: float) -> Session:
        """The session of a message that names no trace."""
        return self._sessions.session(
            trace_id="",
            user=caller.user,
            client=caller.client,
            address=exchange.address,
            server=exchange.server.name,
            mcp_session=exchange.mcp_session,
            now=now,
        )

    def stop(self) -> None:
        """End what is still open; no call may be silently absent."""
        for call in self.links.waiting():
            self.ledger.end(call, "no_response", error_type="sidecar_stopped", now_s=self.timer())

    def _abandoned(self, call: Call) -> None:
        self.ledger.end(call, "no_response", error_type="forgotten", now_s=self.timer())

    def _value_of(self, exchange: Exchange) -> Any:
        """The JSON of a body that is an MCP message, or None when it is another kind of request (OAuth's, for example)."""
        content_type = exchange.headers.get("content-type", "").lower()
        if exchange.headers.get("content-encoding", "identity").lower() != "identity":
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "encoded", "the body is encoded; send it plain")
        if "charset" in content_type and not _UTF8.fullmatch(content_type):
            raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "charset", "the body is not in UTF-8")
        is_json = not content_type or "json" in content_type or jsonrpc.looks_like_json(exchange.body)
        try:
            value = jsonrpc.read_strictly(exchange.body)
        except jsonrpc.NotAMessage:
            if is_json:
                raise
            return None
        is_message = isinstance(value, list) or (
            isinstance(value, dict) and not value.keys().isdisjoint(("jsonrpc", "method", "result", "error"))
        )
        return value if is_message or not isinstance(value, dict) else None

    def _require_messages(self, exchange: Exchange, members: list[Any]) -> None:
        """Raises ``NotAMessage`` when a member is no message, or one that peers would take for different ones."""
        kinds = [jsonrpc.kind_of(member) for member in members]
        if None in kinds:
            text = "a JSON-RPC message has a method with an id that is a string or an integer, or a result, or an error"
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "not-a-message", text)
        for member in members:
            params = member.get("params")
            name = params.get("name", "") if isinstance(params, dict) else ""
            is_named = member.get("method") in ("tools/call", "prompts/get")
            if is_named and not isinstance(name, str):
                raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "not-a-name", "the name of a tool or prompt is a string")
            if any(len(str(each)) > limits.NAME_CHARS_MAX for each in (member.get("method", ""), name, member.get("id"))):
                text = f"a method, name or id has more than {limits.NAME_CHARS_MAX} characters"
                raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "too-long", text)
        ids = [jsonrpc.id_key(member["id"]) for member in jsonrpc.requests_in(members)]
        if len(set(ids)) != len(ids):
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "equal-ids", "two requests of the batch have the same id")
        if self.judging.finds_in(lists.unmirrored(exchange.headers, members)):
            text = "a header that mirrors the body says what the body does not"
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "header-mismatch", text)

    def _single(self, exchange: Exchange, value: dict[str, Any]) -> None:
        judged, call = self._take(exchange, value, exchange.body)
        action = judged.verdict.action
        kind = judged.message.kind
        if action == "block":
            text = reply.refusal_text(judged.verdict.message, judged.verdict.rule)
            self._blocked(exchange, call, kind)
            if kind == "request":
                refused = reply.refusal(call.rpc_id, call.method, call.era, text, rule=judged.verdict.rule, call_id=call.id)
                exchange.answer = reply.refused(exchange, [call.method], refused)
            elif kind == "notification":
                exchange.answer = reply.swallowed()
            else:
                exchange.body = reply.declined(call.rpc_id, text)
            return
        if call.substituted and kind in ("result", "error"):
            exchange.body = reply.declined(call.rpc_id, call.substituted)
        elif judged.verdict.redactions:
            exchange.body = redacted(judged)
            exchange.set_headers = lists.mirrored_headers(exchange.headers, judged.verdict.redactions)
        self._forwarded(exchange, call, kind, judged)

    def _batch(self, exchange: Exchange, members: list[Any]) -> None:
        """Members are judged one by one; if one is refused, none is passed on (revision 2025-03-26)."""
        taken = []
        for member in members:
            raw = answers.canonical(member)
            taken.append((*self._take(exchange, member, raw), raw))
        if any(judged.verdict.action == "block" for judged, _, _ in taken):
            refusals = []
            for judged, call, _ in taken:
                self._blocked(exchange, call, judged.message.kind)
                if judged.message.kind != "request":
                    continue
                verdict = judged.verdict
                text = "Another message of the same batch was blocked by policy, so none was passed on."
                if verdict.action == "block":
                    text = reply.refusal_text(verdict.message, verdict.rule)
                refusals.append(reply.refusal(call.rpc_id, call.method, call.era, text, rule=verdict.rule, call_id=call.id))
            exchange.answer = reply.refused(exchange, [], refusals) if refusals else reply.swallowed()
            return
        if any(judged.verdict.redactions or call.substituted for judged, call, _ in taken):
            parts = [
                reply.declined(call.rpc_id, call.substituted)
                if call.substituted
                else (redacted(judged) if judged.verdict.redactions else raw)
                for judged, call, raw in taken
            ]
            exchange.body = b"[" + b",".join(parts) + b"]"
        for judged, call, _ in taken:
            self._forwarded(exchange, call, judged.message.kind, judged)

    def _take(self, exchange: Exchange, value: dict[str, Any], raw: bytes) -> tuple[Judged, Call]:
        """Judge one message from the client, and the call it opens or closes."""
        kind = jsonrpc.kind_of(value)
        assert kind is not None
        now = self.clock()
        asked = None
        if kind in ("result", "error"):
            asked = self.links.asked.get((peer_of(exchange), jsonrpc.id_key(value.get("id"))))
        if asked is not None:
            message = asked.answer_message(value, kind, len(raw), "request")
            judged = self.judging.judged(message, raw, now)
            self.ledger.note(asked, judged, now)
            return judged, asked
        facts = mcp.facts(value)
        message, known = self._message(exchange, facts, value, kind, len(raw), now)
        judged = self.judging.judged(message, raw, now)
        call = self.ledger.open(
            judged,
            facts,
            rpc_id=value.get("id"),
            now=exchange.seen_at,
            started=exchange.started,
            server=exchange.server,
            **known,
        )
        return judged, call

    def _message(
        self, exchange: Exchange, facts: mcp.Facts, value: Any, kind: Any, size: int, now: float
    ) -> tuple[Message, dict[str, Any]]:
        header = exchange.headers.get("mcp-protocol-version", "")
        client, version, negotiated = self.links.clients.get(peer_of(exchange)) or ("", "", "")
        caller = Caller(client=facts.client or client, client_version=facts.client_version or version, address=exchange.address)
        session = self._sessions.session(
            trace_id=facts.trace_id,
            user=caller.user,
            client=caller.client,
            address=exchange.address,
            server=exchange.server.name,
            mcp_session=exchange.mcp_session,
            now=now,
        )
        exchange.era = mcp.era_of(header, facts.protocol)
        claimed = header or facts.protocol or negotiated
        exchange.protocol = claimed if _REVISION.fullmatch(claimed) else ("" if not claimed else "other")
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
        return message, {"session_kind": session.kind, "protocol": exchange.protocol, "era": exchange.era}

    def _blocked(self, exchange: Exchange, call: Call, kind: str) -> None:
        if kind in ("result", "error"):
            self.links.asked.pop((peer_of(exchange), jsonrpc.id_key(call.rpc_id)))
        call.spent_s += self.timer() - exchange.began
        self.ledger.end(call, "blocked", error_type="policy", now_s=self.timer())

    def _forwarded(self, exchange: Exchange, call: Call, kind: str, judged: Judged) -> None:
        """Write down what is about to be passed on."""
        if kind == "request":
            exchange.calls[jsonrpc.id_key(call.rpc_id)] = call
            self.ledger.begin(call)
            self.links.opened(exchange, call)
            call.spent_s += self.timer() - exchange.began
        elif kind == "notification":
            exchange.notifications.append(call)
            self.ledger.begin(call)
            call.spent_s += self.timer() - exchange.began
            if call.method == "notifications/cancelled":
                self._cancelled(exchange, call)
        else:
            known = self.links.asked.pop((peer_of(exchange), jsonrpc.id_key(call.rpc_id)))
            status = "blocked" if call.substituted else ("ok" if kind == "result" else "error")
            error_type = "" if known is not None else "answer_to_nothing"
            call.spent_s += self.timer() - exchange.began
            self.ledger.end(call, status, answer=judged, error_type=error_type, now_s=self.timer())

    def _cancelled(self, exchange: Exchange, note: Call) -> None:
        """The client no longer wants an answer; should none come, that is why."""
        call = self.links.open.get((peer_of(exchange), jsonrpc.loose_key(note.args.get("requestId"))))
        if call is not None:
            call.is_cancelled = True

    def _refuse_unreadable(self, exchange: Exchange, refusal: jsonrpc.Refusal) -> None:
        exchange.answer = reply.unreadable(refusal)
        finding = answers.wire_finding(refusal.reason, refusal.text)
        now = self.clock()
        nothing = mcp.facts({})
        # Bytes nobody can read for sure may hold anything in any encoding: only how many there were is kept.
        message, known = self._message(exchange, nothing, "", "request", len(exchange.body), now)
        judged = answers.with_finding(self.judging.unjudged(message, b""), finding)
        call = self.ledger.open(
            judged, nothing, rpc_id=None, now=exchange.seen_at, started=exchange.started, server=exchange.server, **known
        )
        call.spent_s += self.timer() - exchange.began
        self.ledger.end(call, "blocked", error_type=refusal.reason, error_code=refusal.code, now_s=self.timer())

    def _end_session(self, exchange: Exchange) -> None:
        """The client ends its session: what still waited in it will not be answered."""
        peer = peer_of(exchange)
        self.links.clients.pop(peer)
        for call in self.links.waiting_of(peer):
            self.ledger.end(call, "no_response", error_type="session_ended", now_s=self.timer())

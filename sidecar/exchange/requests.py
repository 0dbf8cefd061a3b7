"""What clients send: read strictly, judged, recorded, and passed on, changed or answered here."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sidecar import limits
from sidecar.decode import anomalies, jsonrpc, lossless, mcp
from sidecar.decode.anomalies import TEXTS
from sidecar.decode.encodings import decoded
from sidecar.errors import StoreError
from sidecar.events import Caller, Message
from sidecar.exchange import lists, replies
from sidecar.exchange.services import Services, wire_finding
from sidecar.exchange.state import EVENT_STREAM, JSON, Exchange, Reply
from sidecar.judging.message_judge import redacted, with_finding
from sidecar.logs import get_logger
from sidecar.policy.judgement import Judgement
from sidecar.record.ledger import Call
from sidecar.sessions.correlation import peer_of

log = get_logger("sidecar.proxy")

_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([^;"\s]*)')
_ASCII_LIKE: Final = frozenset(("utf-8", "utf8", "us-ascii", "iso-8859-1", "latin1", "windows-1252"))
"""Charsets in which JSON begins with the same bytes, so that a body that does not is none."""
_UTF8: Final = re.compile(r'[^;]+;\s*charset="?(utf-8|utf8|us-ascii)"?\s*')


def _mirrors(headers: Mapping[str, str], judged: Judgement) -> dict[str, str]:
    """The headers that repeat what is another in the body now: first what tokens turned back into, then what was taken out."""
    changed: dict[str, str] = {}
    if judged.restored is not None:
        changed = lists.mirrored_headers(headers, judged.restored.spans, judged.restored.value)
    return changed | lists.mirrored_headers({**headers, **changed}, judged.verdict.redactions, judged.replacements)


def _message_in(value: Any) -> Any:
    """The value where it is a message, or what a server could take for one; None for other objects (OAuth's are JSON too)."""
    is_message = isinstance(value, dict) and not value.keys().isdisjoint(("jsonrpc", "method", "result", "error"))
    return value if is_message or not isinstance(value, dict) else None


def _require_line(value: Any) -> None:
    """Over stdio there is nothing but messages, one a line. Raises ``NotAMessage`` for a value that is none."""
    if not isinstance(value, dict):
        text = "over stdio every line is one JSON-RPC message"
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "batch" if isinstance(value, list) else "not-a-message", text)


class Requests:
    """The way in of an exchange."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def take(self, exchange: Exchange) -> None:
        """A request arrived whole. Sets ``exchange.answer`` when it must not be passed on."""
        exchange.began = self._services.timer()
        if exchange.method in ("GET", "DELETE", "HEAD", "OPTIONS"):
            if exchange.body and (refused := self._misplaced(exchange)):
                self._refuse_unreadable(exchange, refused)
                return
            exchange.is_mcp = exchange.method in ("GET", "DELETE")
            if exchange.method == "GET" and EVENT_STREAM in exchange.headers.get("accept", ""):
                self._refuse_stream(exchange)
            if exchange.method == "DELETE" and exchange.mcp_session:
                self._end_session(exchange)
            return
        if (stream := self._services.open_streams.of(exchange)) is not None:
            exchange.endpoint = stream.endpoint
        try:
            value = self._value_of(exchange)
            if exchange.peer:
                _require_line(value)
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
            log.error("request refused: it cannot be recorded", error=str(error))
            ids = [member["id"] for member in jsonrpc.requests_in(members)]
            text = "The sidecar cannot record this call, and is set not to pass on what it cannot record."
            for call in [*exchange.open_calls(), *exchange.notifications]:
                self._services.end(call, "blocked", error_type="not_recorded")
            exchange.answer = self._services.failure(exchange, ids, text, 503)

    def _misplaced(self, exchange: Exchange) -> jsonrpc.Refusal | None:
        """Why a body may not go with a method that has none in MCP: some servers would read it all the same."""
        try:
            value = self._value_of(exchange)
        except jsonrpc.NotAMessage as error:
            return error.refusal
        text = "a message is sent by POST"
        return None if value is None else jsonrpc.Refusal(jsonrpc.INVALID_REQUEST, "method", text)

    def _refuse_stream(self, exchange: Exchange) -> None:
        """A caller to whom the whole server is denied does not listen to it either; clients take 405 for "has none"."""
        now = self._services.clock()
        client, version, _ = self._services.correlation.clients.get(peer_of(exchange)) or ("", "", "")
        caller = Caller(client=client, client_version=version, address=exchange.address)
        asked = Message(server=exchange.server.name, direction="request", kind="request", method="", caller=caller)
        if rule := self._services.judging.denial(asked, now):
            title = f"A stream of server '{exchange.server.name}' was refused to a caller it is denied to"
            self._services.note(replace(wire_finding("stream", title), rule=rule, kind="access"))
            exchange.answer = Reply(405)

    def _value_of(self, exchange: Exchange) -> Any:
        """The JSON of a body that is an MCP message, or None when it is another kind of request (OAuth's, for example)."""
        content_type = exchange.headers.get("content-type", "").lower()
        encoding = exchange.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "identity" and ("charset" not in content_type or _UTF8.fullmatch(content_type)):
            try:
                return _message_in(jsonrpc.read_strictly(exchange.body))
            except jsonrpc.NotAMessage:
                # Another look tells what exactly is odd about it.
                pass
        return self._settled(exchange, content_type, encoding)

    def _settled(self, exchange: Exchange, content_type: str, encoding: str) -> Any:
        """The JSON of a body that a strict reader does not take, where there is one form of it that all read alike."""
        try:
            body = decoded(exchange.body, encoding, limits.REQUEST_BYTES_MAX)
        except ValueError:
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "encoded", TEXTS["encoded"]) from None
        is_json = not content_type or "json" in content_type or jsonrpc.looks_like_json(body)
        charsets = _CHARSET.findall(content_type)
        if content_type.count("charset") != len(charsets) or len(charsets) > 1:
            raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "charset", TEXTS["charset"])
        if not is_json and _ASCII_LIKE.issuperset(charsets):
            return None
        settled = anomalies.settle(body, *charsets)
        found = (*(("encoded",) if encoding != "identity" else ()), *settled.anomalies)
        if not found:
            return _message_in(settled.value)
        if exchange.server.parsing == "refuse":
            code = jsonrpc.INVALID_REQUEST if found[0] in ("encoded", "duplicate-key") else jsonrpc.PARSE_ERROR
            raise jsonrpc.NotAMessage(code, found[0], TEXTS[found[0]])
        exchange.anomalies = found
        exchange.body = settled.body
        exchange.set_headers["content-type"] = JSON
        return _message_in(settled.value)

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
        if self._services.judging.finds_in(lists.unmirrored(exchange.headers, members)):
            text = "a header that mirrors the body says what the body does not"
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "header-mismatch", text)

    def _single(self, exchange: Exchange, value: dict[str, Any]) -> None:
        judged, call = self._take(exchange, value, exchange.body)
        action = judged.verdict.action
        kind = judged.message.kind
        if action == "block":
            text = replies.refusal_text(judged.verdict.message, judged.verdict.rule)
            self._blocked(exchange, call, kind)
            if kind == "request":
                refused = replies.refusal(
                    call.rpc_id, call.answers_as, call.era, text, rule=judged.verdict.rule, call_id=call.id
                )
                exchange.answer = self._services.refused(exchange, [call.method], refused)
            elif kind == "notification":
                exchange.answer = replies.swallowed()
            else:
                exchange.body = replies.declined(call.rpc_id, text)
            return
        if call.substituted and kind in ("result", "error"):
            exchange.body = replies.declined(call.rpc_id, call.substituted)
        elif judged.is_changed:
            exchange.body = redacted(judged)
            call.attribute("request_sent_bytes", str(len(exchange.body)))
            exchange.set_headers |= _mirrors(exchange.headers, judged)
        self._forwarded(exchange, call, kind, judged)

    def _batch(self, exchange: Exchange, members: list[Any]) -> None:
        """Members are judged one by one; if one is refused, none is passed on (revision 2025-03-26)."""
        taken = []
        for member, raw in zip(members, lossless.members(exchange.body), strict=True):
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
                    text = replies.refusal_text(verdict.message, verdict.rule)
                refusals.append(replies.refusal(call.rpc_id, call.method, call.era, text, rule=verdict.rule, call_id=call.id))
            exchange.answer = self._services.refused(exchange, [], refusals) if refusals else replies.swallowed()
            return
        if any(judged.is_changed or call.substituted for judged, call, _ in taken):
            parts = [
                replies.declined(call.rpc_id, call.substituted)
                if call.substituted
                else (redacted(judged) if judged.is_changed else raw)
                for judged, call, raw in taken
            ]
            exchange.body = b"[" + b",".join(parts) + b"]"
        for judged, call, _ in taken:
            self._forwarded(exchange, call, judged.message.kind, judged)

    def _take(self, exchange: Exchange, value: dict[str, Any], raw: bytes) -> tuple[Judgement, Call]:
        """Judge one message from the client, and the call it opens or closes."""
        kind = jsonrpc.kind_of(value)
        assert kind is not None
        now = self._services.clock()
        twice = None
        if kind in ("result", "error"):
            key = (peer_of(exchange), jsonrpc.id_key(value.get("id")))
            asked = self._services.correlation.asked.get(key)
            twice = self._services.correlation.settled.get(key) if asked is None else None
            if twice is not None and twice.answer_hash == hash(raw):
                # The same words again, as after a replayed question: they belong to the call that is written already.
                self._services.replayed(twice)
                asked = twice
            if asked is not None:
                return self._answer(asked, value, kind, raw, now), asked
        facts = mcp.facts(value)
        task = (
            self._services.continuations.task("server", exchange.server.name, value)
            if facts.method.startswith("tasks/")
            else None
        )
        message, known = self._message(exchange, facts, value, kind, len(raw), now)
        if task is not None:
            message = replace(message, tool=task.tool)
            known |= {"tool": task.recorded_tool, "attrs": {"parent": task.call_id}}
        if twice is not None:
            message = twice.answer_message(value, kind, len(raw), "request")
            known |= {"method": twice.row["method"], "attrs": {"parent": twice.id}, "anomalies": ["answered-twice"]}
        judged = self._services.definitions.asked(self._services.judging.judged(message, raw, now), now)
        round_ = self._services.continuations.round(message.server, judged.message.tool, judged.message.args, value)
        if round_ is not None:
            known["attrs"] = {"parent": round_.call_id, "round": str(round_.number)}
        call = self._services.ledger.open(
            judged,
            facts,
            rpc_id=value.get("id"),
            now=exchange.seen_at,
            started=exchange.started,
            server=exchange.server,
            **known,
        )
        call.origin, call.round = task, round_
        if lists.is_mismatched(exchange.headers, facts):
            call.mark("header-mismatch")
        for name in exchange.anomalies:
            call.mark(name)
        if twice is not None:
            call.substituted = twice.substituted
        return judged, call

    def _answer(self, asked: Call, value: dict[str, Any], kind: Any, raw: bytes, now: float) -> Judgement:
        """The client's answer to a request of the server, judged as that."""
        judged = self._services.judging.judged(asked.answer_message(value, kind, len(raw), "request"), raw, now)
        asked.answer_hash = hash(raw)
        if not asked.is_ended:
            self._services.ledger.note(asked, judged, now)
        return judged

    def _message(
        self, exchange: Exchange, facts: mcp.MessageFields, value: Any, kind: Any, size: int, now: float
    ) -> tuple[Message, dict[str, Any]]:
        header = exchange.headers.get("mcp-protocol-version", "")
        client, version, negotiated = self._services.correlation.clients.get(peer_of(exchange)) or ("", "", "")
        caller = Caller(
            user=exchange.user,
            client=facts.client or client,
            client_version=facts.client_version or version,
            address=exchange.address,
        )
        session = self._services.session_of(exchange, caller, now, facts.trace_id)
        # A process of stdio has one era, and only its requests say which.
        if kind == "request" or facts.protocol or not exchange.peer:
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
        known: dict[str, Any] = {"session_kind": session.kind, **self._services.carried(exchange)}
        if header and facts.protocol and facts.protocol != header and facts.method != "initialize":
            known["anomalies"] = ["version-mismatch"]
        return message, known

    def _blocked(self, exchange: Exchange, call: Call, kind: str) -> None:
        if kind in ("result", "error"):
            self._services.correlation.settle(exchange, call.rpc_id)
        call.spent_s += self._services.timer() - exchange.began
        self._services.end(call, "blocked", error_type="policy")

    def _forwarded(self, exchange: Exchange, call: Call, kind: str, judged: Judgement) -> None:
        """Write down what is about to be passed on."""
        if kind == "request":
            exchange.calls[jsonrpc.id_key(call.rpc_id)] = call
            self._services.ledger.begin(call)
            self._services.correlation.opened(exchange, call)
            self._services.continuations.began(exchange, call, judged.message.payload)
            call.spent_s += self._services.timer() - exchange.began
        elif kind == "notification":
            exchange.notifications.append(call)
            self._services.ledger.begin(call)
            call.spent_s += self._services.timer() - exchange.began
            if call.method == "notifications/cancelled":
                self._cancelled(exchange, call)
        else:
            known = self._services.correlation.settle(exchange, call.rpc_id)
            if known is not None and kind == "result":
                self._services.continuations.learn(call, judged.message.payload, "client")
            status = "blocked" if call.substituted else ("ok" if kind == "result" else "error")
            error_type = "" if known is not None else "answer_to_nothing"
            call.spent_s += self._services.timer() - exchange.began
            self._services.end(call, status, answer=judged, error_type=error_type)

    def _cancelled(self, exchange: Exchange, note: Call) -> None:
        """The client no longer wants an answer; should none come, that is why."""
        call = self._services.correlation.open.get((peer_of(exchange), jsonrpc.loose_key(note.args.get("requestId"))))
        if call is not None:
            call.is_cancelled = True

    def _refuse_unreadable(self, exchange: Exchange, refusal: jsonrpc.Refusal) -> None:
        exchange.answer = self._unreadable_answer(exchange, refusal)
        finding = wire_finding(refusal.reason, refusal.text)
        now = self._services.clock()
        nothing = mcp.facts({})
        # Bytes nobody can read for sure may hold anything in any encoding: only how many there were is kept.
        message, known = self._message(exchange, nothing, "", "request", len(exchange.body), now)
        judged = with_finding(self._services.judging.unjudged(message, b""), finding)
        call = self._services.ledger.open(
            judged, nothing, rpc_id=None, now=exchange.seen_at, started=exchange.started, server=exchange.server, **known
        )
        call.mark(refusal.reason)
        call.spent_s += self._services.timer() - exchange.began
        self._services.end(call, "blocked", error_type=refusal.reason, error_code=refusal.code)

    def _unreadable_answer(self, exchange: Exchange, refusal: jsonrpc.Refusal) -> Reply:
        """Servers answer such bytes with an error without id; where that reaches nobody, each id that can be read gets one."""
        if exchange.endpoint:
            errors = [replies.unread(refusal, each) for each in jsonrpc.ids_in(exchange.body)]
            if errors and self._services.open_streams.answer(exchange, errors):
                return replies.accepted()
        if exchange.peer:
            return Reply(400, lossless.canonical(replies.unread(refusal, _sure_id(exchange))))
        return replies.unreadable(refusal)

    def _end_session(self, exchange: Exchange) -> None:
        """The client ends its session: what still waited in it will not be answered."""
        peer = peer_of(exchange)
        self._services.correlation.clients.pop(peer)
        for call in self._services.correlation.waiting_of(peer):
            self._services.end(call, "no_response", error_type="session_ended")


def _sure_id(exchange: Exchange) -> Any:
    """The id under which a client over stdio waits for the answer to a line that was refused, where it can be told.

    Over HTTP the response itself belongs to the request, and servers give such an error no id.
    """
    value = jsonrpc.read_leniently(exchange.body) if exchange.transport == "stdio" else None
    return value["id"] if isinstance(value, dict) and jsonrpc.kind_of(value) == "request" else None

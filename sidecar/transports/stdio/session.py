"""The stdio transport: lines of one server as exchanges, whatever its wrap process asks about them.

Every line of the client is an exchange of its own; what it opens is answered on one listening exchange that lasts as long as
the wrap process, as on the transport of 2024-11-05. A failure of ours refuses; nothing is passed on unjudged.
"""

import asyncio
import json
from typing import Any

import orjson

from sidecar import limits
from sidecar.decode import jsonrpc, lines, lossless
from sidecar.errors import place_of
from sidecar.events import Caller
from sidecar.exchange import replies
from sidecar.exchange.pipeline import Pipeline
from sidecar.exchange.services import wire_finding
from sidecar.logs import get_logger
from sidecar.outcomes import ErrorType, Status
from sidecar.record.call_row import NOTED, CallRow, WrittenRow
from sidecar.record.ledger import CallRecord
from sidecar.record.row_ids import new_id
from sidecar.settings import Server
from sidecar.state.call import Call
from sidecar.state.exchange import EVENT_STREAM, Exchange, ExchangeState, Request
from sidecar.wrap import frames

log = get_logger("sidecar.proxy")

_CLIENT_NOTE = b"client"


class StdioSession:
    """One wrap process. ``user`` is the operating system's user it runs as."""

    def __init__(self, pipeline: Pipeline, server: Server, wrap: str, user: str) -> None:
        self._pipeline = pipeline
        self._services = pipeline.services
        self._listening = self._exchange(server, wrap, user, b"")
        self._listening.request.method = "GET"
        self._listening.is_mcp = True
        self._listening.state = ExchangeState.STREAMING
        self._listening.response.headers = {"content-type": EVENT_STREAM}
        self._noted: dict[str, str] = {}
        self._given_up: set[str] = set()
        self._said: tuple[Any, ...] = ()
        self._is_over = False
        self._stray_lines = 0

    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return len(self._listening.open_calls())

    def from_client(self, line: bytes) -> bytes:
        """The VERDICT on a line that goes to the server."""
        body = line.rstrip(b"\r\n")
        if body[:1] != b"{" and lines.is_stray_to_server(body):
            return self._stray()
        listening = self._listening
        exchange = self._exchange(listening.server, listening.wrap, listening.request.user, lines.one_line(body))
        before = exchange.request.body
        try:
            exchange.reply = self._pipeline.request(exchange)
            if exchange.reply is None:
                if exchange.calls:
                    listening.era, listening.protocol = exchange.era, exchange.protocol
                self._pipeline.forward_line(exchange, listening)
                self._expect_no_answer()
        except Exception as error:
            self._failed(error, exchange)
        if exchange.reply is not None:
            return frames.verdict(is_passed=False, back=_as_line(exchange), notes=self._notes(exchange))
        notes = self._notes(exchange)
        if not exchange.request.is_changed and before is body:
            return frames.verdict(is_passed=True, notes=notes)
        return frames.verdict(is_passed=False, onward=exchange.request.body + b"\n", notes=notes)

    def from_server(self, line: bytes) -> bytes:
        """The VERDICT on a line that goes to the client."""
        body = line.rstrip(b"\r\n")
        read = lines.from_server(body)
        if read.kind == "stray":
            return self._stray()
        sent: bytes | None
        try:
            if read.kind == "unreadable":
                sent = self._pipeline.unreadable_line(self._listening)
            else:
                sent = self._pipeline.line(self._listening, read.value, whole := lines.one_line(body))
                if sent is whole and whole is body:
                    return frames.verdict(is_passed=True, notes=self._notes())
        except Exception as error:
            sent = self._withheld(error, read.value)
        return frames.verdict(is_passed=False, onward=sent + b"\n" if sent else b"", notes=self._notes())

    def too_long(self, way: str, head: bytes, tail: bytes) -> bytes:
        """The VERDICT on a line over its bound, of which only both ends are known: it cannot be judged."""
        rpc_id = lines.id_of(head, tail)
        text = f"a line is longer than {limits.STDIO_LINE_BYTES_MAX // limits.MIB} MiB"
        self._pipeline.note_refusal("too-large", text)
        if way == frames.IN:
            refused = replies.unread(jsonrpc.Refusal(jsonrpc.INVALID_REQUEST, "too-large", text), rpc_id)
            return frames.verdict(is_passed=False, back=lossless.canonical(refused) + b"\n")
        found = self._listening.calls.get(jsonrpc.id_key(rpc_id))
        waiting = [found] if found else self._listening.open_calls()
        if len(waiting) != 1:
            return frames.verdict(is_passed=False)
        sent = self._refused(waiting[0], "upstream_error", "too_large", f"The answer was not passed on: {text}.")
        return frames.verdict(is_passed=False, onward=sent + b"\n", notes=self._notes())

    def end(self, reason: str) -> bytes:
        """The VERDICT on the end of the server's output: errors for what a client still waits for, if it does."""
        self._is_over = True
        sent = self._pipeline.close(self._listening, reason)
        self._forget()
        return frames.verdict(is_passed=False, onward=sent)

    def lost(self) -> None:
        """The wrap process is gone, whether it said so or not."""
        stopping: ErrorType = "sidecar_stopped" if self._services.is_stopping else "wrap_gone"
        for call in self._listening.open_calls():
            self._services.end(call, "no_response", error_type="server_ended" if self._is_over else stopping)
        self._forget()
        if self._stray_lines:
            detail = f"lines of {self._listening.server.name} that are no messages"
            self._services.ledger.health("stray_lines", self._stray_lines, detail, self._services.clock())

    def restore(self, notes: list[bytes]) -> None:
        """Take up what another proxy knew of this process: its client, and calls whose answer is still to come."""
        for note in notes:
            said = json.loads(note)
            if "row" not in said:
                self._listening.era, self._listening.protocol = said["era"], said["protocol"]
                if said["client"]:
                    self._services.correlation.clients[self._listening.peer] = tuple(said["client"])
                continue
            row: WrittenRow = CallRow(**said["row"])
            row.call_id = new_id()
            row.describe("resumes", said["id"])
            call = Call(
                record=CallRecord(row, self._listening.server, row.method, said["started"]),
                rpc_id=said["rpc_id"],
                method=row.method,
                tool=row.tool,
                args=said["args"],
                caller=Caller(**said["caller"]),
                session=row.session,
                era=row.era,
                is_streamed=True,
            )
            self._listening.calls[jsonrpc.id_key(call.rpc_id)] = call
            self._services.correlation.open_call(self._listening.peer, call, has_session=bool(self._listening.wire_session))
            self._noted[call.id] = said["id"]

    def _exchange(self, server: Server, wrap: str, user: str, body: bytes) -> Exchange:
        request = Request(
            method="POST",
            path="",
            headers={},
            body=body,
            address="",
            seen_at=self._services.clock(),
            started=self._services.timer(),
            user=user,
        )
        return Exchange(server, request, wrap=wrap, era=self._listening.era if body else "handshake")

    def _expect_no_answer(self) -> None:
        """Most servers do not answer what was cancelled, and such a call must not stay open as long as its server."""
        for call in self._listening.open_calls():
            if call.is_cancelled and call.id not in self._given_up:
                self._given_up.add(call.id)
                asyncio.get_running_loop().call_later(limits.CANCELLED_ANSWER_S, self._give_up, call)

    def _give_up(self, call: Call) -> None:
        self._given_up.discard(call.id)
        if not call.is_ended:
            self._services.end(call, "cancelled", error_type="cancelled")

    def _stray(self) -> bytes:
        self._stray_lines += 1
        return frames.verdict(is_passed=True)

    def _notes(self, exchange: Exchange | None = None) -> bytes:
        """What changed of what another proxy would have to know, and what is over is dropped here too."""
        listening = self._listening
        notes = []
        for call in exchange.calls.values() if exchange is not None and exchange.reply is None else ():
            self._noted[call.id] = call.id
            notes.append(frames.note(call.id.encode(), _note_of(call)))
        for key, call in [(key, call) for key, call in listening.calls.items() if call.is_ended]:
            del listening.calls[key]
            if (name := self._noted.pop(call.id, None)) is not None:
                notes.append(frames.note(name.encode(), b""))
        client = self._services.correlation.clients.get(listening.peer)
        if (said := (client, listening.era, listening.protocol)) != self._said:
            self._said = said
            facts = {"client": client, "era": listening.era, "protocol": listening.protocol}
            notes.append(frames.note(_CLIENT_NOTE, orjson.dumps(facts)))
        return b"".join(notes)

    def _forget(self) -> None:
        peer = self._listening.peer
        self._services.correlation.clients.pop(peer)
        for call in self._services.correlation.waiting_of(peer):
            self._services.end(call, "no_response", error_type="session_ended")

    def _refused(self, call: Call, status: Status, error_type: ErrorType, text: str) -> bytes:
        self._services.end(call, status, error_type=error_type, error_message=text)
        return lossless.canonical(replies.server_failed(call.rpc_id, text))

    def _failed(self, error: Exception, exchange: Exchange) -> None:
        exchange.reply = self._pipeline.fail_internally(exchange, _said_of(error))

    def _withheld(self, error: Exception, payload: Any) -> bytes | None:
        where = _said_of(error)
        self._services.note(wire_finding("internal", f"the sidecar could not judge a message ({where})"))
        rpc_id = payload.get("id") if isinstance(payload, dict) else None
        call = self._listening.calls.get(jsonrpc.id_key(rpc_id))
        if call is None or call.is_ended:
            return None
        return self._refused(call, "blocked", "internal", "The sidecar could not judge this message, so it was not passed on.")


def _said_of(error: Exception) -> str:
    """Where a fault of ours is, never with which data; it is logged."""
    where = place_of(error)
    log.error("line refused: judging it failed", where=where)
    return where


def _as_line(exchange: Exchange) -> bytes:
    """Our answer as a line; nothing answers what asked nothing."""
    body = exchange.reply.body if exchange.reply is not None else b""
    if not body or (exchange.is_mcp and orjson.loads(body).get("id") is None):
        return b""
    return body + b"\n"


def _note_of(call: Call) -> bytes:
    row = {name: getattr(call.row, name) for name in NOTED}
    caller = {name: getattr(call.caller, name) for name in ("user", "client", "client_version", "address")}
    said = {
        "id": call.id,
        "rpc_id": call.rpc_id,
        "args": call.args,
        "caller": caller,
        "started": call.record.started,
        "row": row,
    }
    if call.row.request_bytes > limits.WRAP_NOTE_BYTES_MAX:
        said["args"] = {}
    return lossless.canonical(said)

"""What requests and responses share: the judge, the record, what is remembered between exchanges, and the clocks."""

from collections.abc import Callable
from typing import Any, Unpack

from sidecar.events import Caller, Finding, Message
from sidecar.exchange import replies
from sidecar.inventory import Inventory
from sidecar.judging.definitions import ListedDefinitions
from sidecar.judging.message_judge import MessageJudge
from sidecar.outcomes import Status
from sidecar.policy.load import PolicySet
from sidecar.record.call_row import WrittenRow, new_row
from sidecar.record.ledger import Ledger, Outcome
from sidecar.record.row_ids import microseconds
from sidecar.sessions.continuations import Continuations
from sidecar.sessions.correlation import Correlation
from sidecar.sessions.identity import Session, Sessions
from sidecar.sessions.open_streams import OpenStreams
from sidecar.state.call import Call, CallState
from sidecar.state.exchange import Exchange, Reply


class Services:
    """Shared by requests and answers. ``clock`` gives unix seconds, ``timer`` is steady, ``is_stopping`` tells of the end."""

    def __init__(
        self,
        message_judge: MessageJudge,
        ledger: Ledger,
        sessions: Sessions,
        inventory: Inventory,
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self.message_judge = message_judge
        self.definitions = ListedDefinitions(message_judge, ledger, inventory)
        self.ledger = ledger
        self.correlation = Correlation(lambda call: self.end(call, "no_response", error_type="forgotten"))
        self.open_streams = OpenStreams()
        self.continuations = Continuations()
        self.clock = clock
        self.timer = timer
        self.is_stopping = False
        self._sessions = sessions

    def end(self, call: Call, status: Status, **outcome: Unpack[Outcome]) -> None:
        """Write a call's end, once, and remember it for a replay of its answer."""
        if call.is_ended:
            return
        was_waiting = call.is_waiting
        call.move(CallState.ENDED)
        call.carry_over = None
        self.ledger.end(call.record, status, now_s=self.timer(), **outcome)
        self.correlation.end_call(call, was_waiting=was_waiting)

    def end_on(self, exchange: Exchange, call: Call, status: Status, **outcome: Unpack[Outcome]) -> None:
        """The same for a call that ends on this exchange, which tells its HTTP status and, where it is its own, its times."""
        row, started = call.row, call.record.started
        if exchange.request.started == started and not call.is_ended:
            row.headers_us = microseconds((exchange.response.headers_at or started) - started)
            if exchange.stream.events_at:
                times = [microseconds(at - started) for at in exchange.stream.events_at]
                row.first_us = times[0]
                row.describe("events_us", ",".join(map(str, times)))
        outcome["http_status"] = exchange.response.status
        self.end(call, status, **outcome)

    def is_listed(self, policies: PolicySet, message: Message, now: float) -> bool:
        """Whether a caller sees under these policies what it could call by ``message``."""
        return self.message_judge.lists(policies, message, now) and not self.definitions.is_withheld(policies, message, now)

    def refuse(self, exchange: Exchange, methods: list[str], payload: Any) -> Reply:
        """A refusal as the client of this transport expects it: as the response, or on the stream where it waits."""
        if self.open_streams.send(exchange, payload if isinstance(payload, list) else [payload]):
            return replies.accepted()
        return replies.refused(exchange, methods, payload)

    def fail(self, exchange: Exchange, ids: list[Any], text: str, status: int) -> Reply:
        """The JSON-RPC errors of requests that got no answer, in the same way."""
        if ids and self.open_streams.send(exchange, [replies.server_failed(each, text) for each in ids]):
            return replies.accepted()
        return replies.failure(exchange, ids, text, status)

    def note(self, finding: Finding) -> None:
        """Write a finding that belongs to no call."""
        self.ledger.own_finding(finding, self.clock())

    def note_replay(self, call: Call) -> None:
        """Something that is recorded came once more: told in the call's row while it is open, after that as a finding of it."""
        call.replays += 1
        if not call.is_ended:
            call.row.describe("replayed", str(call.replays))
        elif call.replays == 1:
            title = "A message of this call was sent again"
            finding = Finding("wire.replayed", "", "info", "enforce", "log", "match", title=title)
            self.ledger.own_finding(finding, self.clock(), call.id)

    def row_of(self, exchange: Exchange, session_kind: str, protocol: str = "") -> WrittenRow:
        """A row that says by what a message came; ``protocol`` where it is known better than by the exchange."""
        row = new_row()
        row.transport = exchange.transport
        row.protocol = protocol or exchange.protocol
        row.era = exchange.era
        row.session_kind = session_kind
        row.mcp_session = self.wire_session_of(exchange)
        return row

    def wire_session_of(self, exchange: Exchange) -> str:
        """The keyed hash of the session id that the server gave, which is a secret of its peers."""
        wire = exchange.wire_session
        return self._sessions.of_wire(exchange.server.name, wire) if wire and not exchange.wrap else ""

    def session_of(self, exchange: Exchange, caller: Caller, now: float, trace_id: str = "") -> Session:
        """The session of a message, from what is known of who sent it."""
        return self._sessions.session(
            trace_id=trace_id,
            user=caller.user,
            client=caller.client,
            address=exchange.request.address,
            server=exchange.server.name,
            mcp_session=exchange.wire_session,
            now=now,
            wrap=exchange.wrap,
        )


def wire_finding(reason: str, text: str) -> Finding:
    """A finding for bytes that were refused before any rule could judge them."""
    return Finding(
        rule=f"wire.{reason}", policy="", severity="medium", mode="enforce", action="block", kind="error", title=text[:200]
    )

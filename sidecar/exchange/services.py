"""What both ways of an exchange stand on: the judge, the record, what is remembered between exchanges, and the clocks."""

from collections.abc import Callable
from typing import Any

from sidecar.events import Caller, Finding
from sidecar.exchange import replies
from sidecar.exchange.state import Exchange, Reply
from sidecar.inventory.tracking import Inventory
from sidecar.judging.definitions import ListedDefinitions
from sidecar.judging.message_judge import MessageJudge
from sidecar.record.ledger import Call, Ledger
from sidecar.sessions.continuations import Continuations
from sidecar.sessions.correlation import Correlation
from sidecar.sessions.identity import Session, Sessions
from sidecar.sessions.open_streams import OpenStreams


class Services:
    """Shared by requests and answers. ``clock`` gives unix seconds, ``timer`` is steady, ``is_stopping`` tells of the end."""

    def __init__(
        self,
        judging: MessageJudge,
        ledger: Ledger,
        sessions: Sessions,
        inventory: Inventory,
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self.judging = judging
        self.definitions = ListedDefinitions(judging, ledger, inventory)
        self.ledger = ledger
        self.correlation = Correlation(lambda call: self.end(call, "no_response", error_type="forgotten"))
        self.open_streams = OpenStreams()
        self.continuations = Continuations()
        self.clock = clock
        self.timer = timer
        self.is_stopping = False
        self._sessions = sessions

    def end(self, call: Call, status: str, **known: Any) -> None:
        """Write a call's end, once, and remember it for a replay of its answer."""
        self.ledger.end(call, status, now_s=self.timer(), **known)
        self.correlation.ended(call)

    def end_on(self, exchange: Exchange, call: Call, status: str, **known: Any) -> None:
        """The same for a call that ends on this exchange, which tells its HTTP status and, where it is its own, its times."""
        if exchange.started == call.started:
            came = [max(0, int((at - call.started) * 1e6)) for at in (exchange.headers_at or call.started, *exchange.events_at)]
            call.row["headers_us"] = came[0]
            if exchange.events_at:
                call.row["first_us"] = came[1]
                call.row["attrs"] = {**call.row.get("attrs", {}), "events_us": ",".join(map(str, came[1:]))}
        self.end(call, status, http_status=exchange.status, **known)

    def refused(self, exchange: Exchange, methods: list[str], payload: Any) -> Reply:
        """A refusal as the client of this transport expects it: as the response, or on the stream where it waits."""
        if self.open_streams.answer(exchange, payload if isinstance(payload, list) else [payload]):
            return replies.accepted()
        return replies.refused(exchange, methods, payload)

    def failure(self, exchange: Exchange, ids: list[Any], text: str, status: int) -> Reply:
        """The JSON-RPC errors of requests that got no answer, in the same way."""
        if ids and self.open_streams.answer(exchange, [replies.server_failed(each, text) for each in ids]):
            return replies.accepted()
        return replies.failure(exchange, ids, text, status)

    def note(self, finding: Finding) -> None:
        """Write a finding that belongs to no call."""
        self.ledger.own_finding(finding, self.clock())

    def replayed(self, call: Call) -> None:
        """Something that is recorded came once more: told in the call's row while it is open, after that as a finding of it."""
        call.replays += 1
        if not call.is_ended:
            call.attribute("replayed", str(call.replays))
        elif call.replays == 1:
            title = "A message of this call was sent again"
            finding = Finding("wire.replayed", "", "info", "enforce", "log", "match", title=title)
            self.ledger.own_finding(finding, self.clock(), call.id)

    def carried(self, exchange: Exchange, protocol: str = "") -> dict[str, str]:
        """The columns that say by what a message came; ``protocol`` where it is known better than by the exchange."""
        known = {"transport": exchange.transport, "protocol": protocol or exchange.protocol, "era": exchange.era}
        if (wire := exchange.wire_session) and not exchange.peer:
            known["mcp_session"] = self._sessions.of_wire(exchange.server.name, wire)
        return known

    def session_of(self, exchange: Exchange, caller: Caller, now: float, trace_id: str = "") -> Session:
        """The session of a message, from what is known of who sent it."""
        return self._sessions.session(
            trace_id=trace_id,
            user=caller.user,
            client=caller.client,
            address=exchange.address,
            server=exchange.server.name,
            mcp_session=exchange.wire_session,
            now=now,
            wrap=exchange.peer,
        )


def wire_finding(reason: str, text: str) -> Finding:
    """A finding for bytes that were refused before any rule could judge them."""
    return Finding(
        rule=f"wire.{reason}", policy="", severity="medium", mode="enforce", action="block", kind="error", title=text[:200]
    )

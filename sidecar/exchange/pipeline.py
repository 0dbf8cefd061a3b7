"""The pipeline: every transport hands over an exchange by five calls, and from here on all is the same.

``request`` and ``response`` may replace a body or answer in its place, ``opened`` says that an event stream begins, ``event``
returns what to send for one of its events, ``closed`` ends what is still open. A message is recorded before it is passed on,
and judged before it is recorded.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sidecar.decode.jsonrpc import ids_in
from sidecar.exchange.completion import Completion
from sidecar.exchange.notices import send_notice
from sidecar.exchange.oauth import OAuthWatch, is_oauth
from sidecar.exchange.requests import Requests
from sidecar.exchange.responses import Responses
from sidecar.exchange.services import Services, wire_finding
from sidecar.inventory.tracking import Inventory
from sidecar.judging.message_judge import MessageJudge
from sidecar.policy.load import PolicySet
from sidecar.record.ledger import Ledger
from sidecar.sessions.catalogue import Catalogue
from sidecar.sessions.identity import Sessions
from sidecar.state.exchange import Exchange


class Pipeline:
    """Decodes, judges, acts and records, for every transport. ``clock`` gives unix seconds, ``timer`` a steady clock."""

    def __init__(
        self,
        judging: MessageJudge,
        ledger: Ledger,
        sessions: Sessions,
        inventory: Inventory | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.services = Services(judging, ledger, sessions, inventory or Inventory(), clock, timer)
        self._requests = Requests(self.services)
        self._catalogue = Catalogue(self.services.open_streams, self.services.is_listed, partial(send_notice, self.services))
        self._completion = Completion(self.services)
        self._responses = Responses(self.services, self._catalogue, self._completion)
        self._oauth = OAuthWatch(lambda metric, value, text: ledger.health(metric, value, text, clock()))

    def request(self, exchange: Exchange) -> None:
        """A request arrived whole. Sets ``exchange.answer`` when it must not be passed on."""
        exchange.is_oauth = is_oauth(exchange)
        if not exchange.is_oauth:
            self._requests.take(exchange)

    def response(self, exchange: Exchange) -> None:
        """The response arrived whole. May replace ``exchange.response_body`` and its status."""
        self._oauth.look(exchange)
        self._responses.whole(exchange)

    def opened(self, exchange: Exchange) -> None:
        """The response is an event stream and begins; ``exchange.inject`` is set until it is ``closed``."""
        self.services.open_streams.opened(exchange)

    def event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event of the response's stream; returns the bytes to send in its place, usually the same."""
        return self._responses.event(exchange, raw)

    def passed_on(self, exchange: Exchange, listening: Exchange) -> None:
        """A request over stdio goes on; what it opened is answered by messages of the exchange ``listening``."""
        self._responses.passed_on(exchange, listening)

    def message(self, exchange: Exchange, payload: Any, raw: bytes) -> bytes | None:
        """One message of a server over stdio, parsed and as it came; returns what to send in its place, or None."""
        return self._responses.message(exchange, payload, raw)

    def unreadable(self, exchange: Exchange) -> bytes | None:
        """A line of a server over stdio that a client may read as we cannot: an error for the call it may answer, or None."""
        return self._responses.unreadable(exchange)

    def closed(self, exchange: Exchange, reason: str) -> bytes:
        """The exchange is over: ``reason`` is empty for a clean end, ``client`` if the client left, else what went wrong.

        Returns what should still be sent on an open event stream.
        """
        return self._completion.closed(exchange, reason)

    def failed(self, exchange: Exchange, reason: str, status: int) -> None:
        """The server gave no usable response; sets the answer for the client and records why."""
        self._completion.failed(exchange, reason, status)

    def internal_failure(self, exchange: Exchange, where: str) -> None:
        """A fault of the sidecar: refuse what is open, and record a finding of kind ``error`` that says where."""
        calls = exchange.open_calls()
        text = "The sidecar could not judge this message, so it was not passed on."
        ids = [call.rpc_id for call in calls] or ids_in(exchange.body)
        exchange.answer = self.services.failure(exchange, ids, text, 500)
        self.services.note(wire_finding("internal", f"the sidecar could not judge a message ({where})"))
        for call in calls:
            self.services.end(call, "blocked", error_type="internal", error_message=text)

    def turned_away(self, reason: str, text: str) -> None:
        """A request that was refused at the door: noted, and not alerted, because whoever knocks decides how often."""
        self.services.note(replace(wire_finding(reason, text), action="log"))

    def policies_changed(self, old: PolicySet, new: PolicySet) -> None:
        """Other policies are in force. Clients that listen are told when what they may list is not the same any more."""
        self._catalogue.policies_changed(old, new, self.services.clock())

    def definition_approved(self, server: str, kind: str) -> None:
        """A person accepted a definition. Clients that listen are told, because a list may hold more now."""
        self._catalogue.grew(server, f"{kind}s")

    def stop(self) -> None:
        """End what is still open; no call may be silently absent."""
        for call in self.services.correlation.waiting():
            self.services.end(call, "no_response", error_type="sidecar_stopped")

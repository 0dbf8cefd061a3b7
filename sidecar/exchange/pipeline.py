"""The pipeline: every transport hands over an exchange by five calls, and from here on all is the same.

``request`` and ``response`` may replace a body or return a reply to send in its place, ``open_stream`` says that an event
stream begins, ``event`` returns what to send for one of its events, ``close`` ends what is still open. A message is judged
before it is recorded, and recorded before it is passed on.
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
from sidecar.inventory import Inventory
from sidecar.judging.message_judge import MessageJudge
from sidecar.policy.load import PolicySet
from sidecar.record.ledger import Ledger
from sidecar.sessions.catalogue import Catalogue
from sidecar.sessions.identity import Sessions
from sidecar.state.exchange import Exchange, ExchangeState, Reply


class Pipeline:
    """Decodes, judges, acts and records, for every transport. ``clock`` gives unix seconds, ``timer`` a steady clock."""

    def __init__(
        self,
        message_judge: MessageJudge,
        ledger: Ledger,
        sessions: Sessions,
        inventory: Inventory | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.services = Services(message_judge, ledger, sessions, inventory or Inventory(), clock, timer)
        self._requests = Requests(self.services)
        self._catalogue = Catalogue(self.services.open_streams, self.services.is_listed, partial(send_notice, self.services))
        self._completion = Completion(self.services)
        self._responses = Responses(self.services, self._catalogue, self._completion)
        self._oauth = OAuthWatch(lambda metric, value, text: ledger.health(metric, value, text, clock()))

    def request(self, exchange: Exchange) -> Reply | None:
        """A request arrived whole: what to answer in its place, or None when ``exchange.request`` goes on to the server."""
        exchange.is_oauth = is_oauth(exchange)
        reply = None if exchange.is_oauth else self._requests.judge(exchange)
        exchange.move(ExchangeState.FORWARDED if reply is None else ExchangeState.ENDED)
        return reply

    def response(self, exchange: Exchange) -> Reply | None:
        """The response arrived whole: what to answer in its place, or None when ``exchange.response`` goes back."""
        self._oauth.look(exchange)
        exchange.move(ExchangeState.ENDED)
        return self._responses.judge(exchange)

    def open_stream(self, exchange: Exchange) -> None:
        """The response is an event stream and begins; ``exchange.stream.inject`` is set until it is closed."""
        exchange.move(ExchangeState.STREAMING)
        self.services.open_streams.add(exchange)

    def event(self, exchange: Exchange, raw: bytes) -> bytes:
        """One event of the response's stream; returns the bytes to send in its place, usually the same."""
        return self._responses.judge_event(exchange, raw)

    def forward_line(self, exchange: Exchange, listening: Exchange) -> None:
        """A request over stdio goes on; what it opened is answered by messages of the exchange ``listening``."""
        self._responses.forward(exchange, listening)

    def line(self, exchange: Exchange, payload: Any, raw: bytes) -> bytes | None:
        """One message of a server over stdio, parsed and as it came; returns what to send in its place, or None."""
        return self._responses.judge_line(exchange, payload, raw)

    def unreadable_line(self, exchange: Exchange) -> bytes | None:
        """A line of a server over stdio that a client may read as we cannot: an error for the call it may answer, or None."""
        return self._responses.withhold_line(exchange)

    def close(self, exchange: Exchange, reason: str) -> bytes:
        """The exchange is over: ``reason`` is empty for a clean end, ``client`` if the client left, else what went wrong.

        Returns what should still be sent on an open event stream.
        """
        exchange.move(ExchangeState.ENDED)
        return self._completion.close(exchange, reason)

    def fail(self, exchange: Exchange, reason: str, status: int) -> Reply:
        """The server gave no usable response: records why, and returns what the client is answered."""
        exchange.move(ExchangeState.ENDED)
        return self._completion.fail(exchange, reason, status)

    def fail_internally(self, exchange: Exchange, where: str) -> Reply:
        """A fault of the sidecar: refuse what is open, and record a finding of kind ``error`` that says where."""
        exchange.state = ExchangeState.ENDED
        calls = exchange.open_calls()
        text = "The sidecar could not judge this message, so it was not passed on."
        ids = [call.rpc_id for call in calls] or ids_in(exchange.request.body)
        reply = self.services.fail(exchange, ids, text, 500)
        self.services.note(wire_finding("internal", f"the sidecar could not judge a message ({where})"))
        for call in calls:
            self.services.end(call, "blocked", error_type="internal", error_message=text)
        return reply

    def note_refusal(self, reason: str, text: str) -> None:
        """A request was refused before it was read: noted, and not alerted, because its sender decides how often."""
        self.services.note(replace(wire_finding(reason, text), action="log"))

    def policies_changed(self, old: PolicySet, new: PolicySet) -> None:
        """Other policies are in force. Clients that listen are told when what they may list is not the same any more."""
        self._catalogue.policies_changed(old, new, self.services.clock())

    def definition_approved(self, server: str, kind: str) -> None:
        """A person accepted a definition. Clients that listen are told, because a list may hold more now."""
        self._catalogue.announce(server, f"{kind}s")

    def stop(self) -> None:
        """End what is still open; no call may be silently absent."""
        for call in self.services.correlation.waiting():
            self.services.end(call, "no_response", error_type="sidecar_stopped")

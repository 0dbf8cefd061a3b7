"""What servers list and who has read it, so that a policy edit that alters a list is told to clients that keep lists.

A client keeps what it listed until it is told otherwise: by ``notifications/<kind>/list_changed`` on the stream its session
listens on (MCP 2024-11-05 to 2025-11-25), or on an open ``subscriptions/listen`` whose acknowledged filter holds that kind
(MCP 2026-07-28, subscriptions). Only what access allows or hides alters a list; what a rule redacts in it does not.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sidecar import limits
from sidecar.decode import mcp
from sidecar.events import Caller, Message
from sidecar.methods import LISTEN, MEMBER_METHODS
from sidecar.policy.load import PolicySet
from sidecar.sessions.correlation import Bounded
from sidecar.sessions.open_streams import OpenStreams
from sidecar.state.call import Call, Peer
from sidecar.state.exchange import Exchange

_SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"


class Catalogue:
    """Names by server and kind, and what each session has listed.

    ``is_listed(policies, message, now)`` tells whether a caller sees what it could call by the message, and
    ``notify(stream, notice, caller)`` sends a notification on an open stream.
    """

    def __init__(
        self,
        open_streams: OpenStreams,
        is_listed: Callable[[PolicySet, Message, float], bool],
        notify: Callable[[Exchange, Mapping[str, Any], Caller], None],
    ) -> None:
        self._open_streams = open_streams
        self._is_listed = is_listed
        self._notify = notify
        self._names: dict[tuple[str, str], set[str]] = {}
        self._listers: Bounded[Peer, dict[str, Caller]] = Bounded(limits.SESSIONS_MAX)

    def remember(self, exchange: Exchange, call: Call, message: Message) -> None:
        """A list arrived, one page or all of it; what the server names, before anything is hidden of it."""
        kind, entries = mcp.listed(message.method, message.payload)
        if not kind:
            return
        names = self._names.setdefault((message.server, kind), set())
        if "cursor" not in call.args:
            names.clear()
        field = MEMBER_METHODS[kind].subject
        names |= {name for each in entries if isinstance(each, dict) and isinstance(name := each.get(field), str)}
        while len(names) > limits.LISTED_NAMES_MAX:
            names.pop()
        if exchange.wire_session:
            peer = exchange.peer
            self._listers[peer] = {**(self._listers.get(peer) or {}), kind: call.caller}

    def acknowledge(self, exchange: Exchange, params: Any) -> None:
        """A server acknowledged a subscription: what its stream will tell of, as far as it is about lists."""
        honoured = params.get("notifications")
        if isinstance(honoured, dict):
            exchange.stream.subscribed = frozenset(
                kind for kind in MEMBER_METHODS if honoured.get(f"{kind}ListChanged") is True
            )

    def policies_changed(self, old: PolicySet, new: PolicySet, now: float) -> None:
        """Other policies are in force: tell every client that listens and whose list is another one now."""
        answers: dict[tuple[str, str, Caller], bool] = {}
        for stream in self._open_streams:
            for kind, caller, meta in self._wanted(stream):
                key = (stream.server.name, kind, caller)
                if key not in answers:
                    answers[key] = self._differs(old, new, now, *key)
                if answers[key]:
                    self._tell(stream, kind, caller, meta)

    def announce(self, server: str, kind: str) -> None:
        """A list of a server may hold more than before: tell every client that listens."""
        for stream in self._open_streams:
            for wanted, caller, meta in self._wanted(stream) if stream.server.name == server else ():
                if wanted == kind:
                    self._tell(stream, kind, caller, meta)

    def _wanted(self, stream: Exchange) -> list[tuple[str, Caller, dict[str, Any]]]:
        """The kinds of list this stream's client wants to be told of, for which caller, and what marks the notice as its."""
        if stream.request.method == "GET":
            listed = self._listers.get(stream.peer) or {}
            return [(kind, listed[kind], {}) for kind in MEMBER_METHODS if kind in listed]
        call = next((call for call in stream.open_calls() if call.method == LISTEN), None)
        if call is None:
            return []
        meta = {"_meta": {_SUBSCRIPTION_ID: call.rpc_id}}
        return [(kind, call.caller, meta) for kind in MEMBER_METHODS if kind in stream.stream.subscribed]

    def _differs(self, old: PolicySet, new: PolicySet, now: float, server: str, kind: str, caller: Caller) -> bool:
        method = MEMBER_METHODS[kind].name
        for name in self._names.get((server, kind), ()):
            asked = Message(server, "request", "request", method, tool=name, caller=caller)
            if self._is_listed(old, asked, now) is not self._is_listed(new, asked, now):
                return True
        return False

    def _tell(self, stream: Exchange, kind: str, caller: Caller, params: dict[str, Any]) -> None:
        notice = {"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed", **({"params": params} if params else {})}
        self._notify(stream, notice, caller)

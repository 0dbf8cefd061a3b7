"""What must be remembered between exchanges: who a session is, what a server asked, which calls wait for a resumed stream.

Both peers number their requests from zero, so nothing is ever looked up by an id alone: the key is the peer (server and
session, or address where there is none), the direction, the id's type and its value.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from sidecar import limits
from sidecar.intercept.calls import Call
from sidecar.intercept.exchange import Exchange

Peer = tuple[str, str]
Key = tuple[str, object]


class Bounded[K, V]:
    """A table that forgets its least recently used entry beyond ``size_max``; what it forgets is in ``evicted``."""

    def __init__(self, size_max: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._size_max = size_max
        self.evicted: list[V] = []

    def __setitem__(self, key: K, value: V) -> None:
        if (old := self._entries.pop(key, None)) is not None and old is not value:
            self.evicted.append(old)
        self._entries[key] = value
        while len(self._entries) > self._size_max:
            self.evicted.append(self._entries.popitem(last=False)[1])

    def get(self, key: K) -> V | None:
        """The entry, which is then the most recently used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def pop(self, key: K) -> V | None:
        """The entry, which is then forgotten."""
        return self._entries.pop(key, None)

    def take(self, fits: Callable[[K], bool]) -> list[V]:
        """The entries whose key fits, which are then forgotten."""
        return [self._entries.pop(key) for key in [key for key in self._entries if fits(key)]]

    def values(self) -> Iterator[V]:
        """Every entry."""
        return iter(self._entries.values())


def peer_of(exchange: Exchange) -> Peer:
    """Who is on the other side, as the two ends of one id space."""
    return exchange.server.name, exchange.mcp_session or f"address {exchange.address}"


class Links:
    """The tables themselves."""

    def __init__(self) -> None:
        self.clients: Bounded[Peer, tuple[str, str, str]] = Bounded(limits.SESSIONS_MAX)
        """Name, version and protocol that a session's ``initialize`` declared."""
        self.asked: Bounded[tuple[Peer, Key], Call] = Bounded(limits.PENDING_SERVER_REQUESTS_MAX)
        """Requests of servers that wait for the client's answer, which arrives as a POST of its own."""
        self.resumable: Bounded[tuple[Peer, Key], Call] = Bounded(limits.PENDING_SERVER_REQUESTS_MAX)
        """Calls whose stream ended before their answer; the client fetches it with ``Last-Event-ID``."""
        self.answered: Bounded[tuple[Peer, Key], Call] = Bounded(limits.SESSIONS_MAX)
        """Calls answered on a stream with event ids, so that a replayed answer is judged as what it answers."""
        self.schemas: Bounded[tuple[str, str], dict[str, Any]] = Bounded(limits.SESSIONS_MAX)
        """``outputSchema`` by server and tool, as last listed: what a rewritten result must still satisfy."""

    def forgotten(self) -> list[Call]:
        """Calls that were pushed out of a table, and so will never be answered here."""
        calls = self.asked.evicted + self.resumable.evicted
        self.asked.evicted, self.resumable.evicted = [], []
        for table in (self.clients, self.answered, self.schemas):
            table.evicted.clear()
        return calls

    def waiting(self) -> list[Call]:
        """Every call that still waits for an answer on another exchange."""
        return [*self.asked.values(), *self.resumable.values()]

    def waiting_of(self, peer: Peer) -> list[Call]:
        """The calls of one peer that still wait, which are then forgotten."""
        return self.asked.take(lambda key: key[0] == peer) + self.resumable.take(lambda key: key[0] == peer)

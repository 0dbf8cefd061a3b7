"""What must be remembered between exchanges: who a session is, which calls are open, what a server asked.

Both peers number their requests from zero, so nothing is ever looked up by an id alone: the key is the peer (server and
session, or address where there is none) and the id. Answers are found as clients find them: within the session, on
whichever stream they come, and with ``1``, ``1.0`` and ``"1"`` as one id.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from sidecar import limits
from sidecar.decode import lossless
from sidecar.decode.jsonrpc import id_key, loose_key
from sidecar.state.call import Call, Key, Peer


class Bounded[K, V]:
    """A table that forgets its least recently used entry beyond ``size_max``, and hands what it forgets to ``forgot``."""

    def __init__(self, size_max: int, forgot: Callable[[V], None] | None = None) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._size_max = size_max
        self._forgot = forgot

    def __setitem__(self, key: K, value: V) -> None:
        old = self._entries.pop(key, None)
        if self._forgot is not None and old is not None and old is not value:
            self._forgot(old)
        self._entries[key] = value
        while len(self._entries) > self._size_max:
            _, oldest = self._entries.popitem(last=False)
            if self._forgot is not None:
                self._forgot(oldest)

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


class Correlation:
    """The tables. ``abandoned`` is told of calls that are pushed out and will never be answered here."""

    def __init__(self, abandoned: Callable[[Call], None]) -> None:
        self.clients: Bounded[Peer, tuple[str, str, str]] = Bounded(limits.SESSIONS_MAX)
        """Name, version and protocol that a session's ``initialize`` declared."""
        self.asked: Bounded[Key, Call] = Bounded(limits.PENDING_SERVER_REQUESTS_MAX, abandoned)
        """Requests of servers that wait for the client's answer, which arrives as a POST of its own."""
        self.open: Bounded[Key, Call] = Bounded(limits.PENDING_SERVER_REQUESTS_MAX, self._pushed_out)
        """Requests of clients that are not answered yet, on whichever stream their answer may come."""
        self.answered: Bounded[Key, Call] = Bounded(limits.ANSWERED_MAX)
        """Calls that ended, so that an answer that is replayed or comes late is judged as what it answers."""
        self.settled: Bounded[Key, Call] = Bounded(limits.ANSWERED_MAX)
        """Requests of servers that were answered, so that a second answer is known as one, and a replay as that."""
        self._seen_events: OrderedDict[int, int] = OrderedDict()
        self._schemas: Bounded[tuple[str, str], Any] = Bounded(limits.SCHEMAS_MAX)
        self._abandoned = abandoned

    def open_call(self, peer: Peer, call: Call, *, has_session: bool) -> None:
        """A request is passed on. Only in a session must its id be unused."""
        call.key = (peer, loose_key(call.rpc_id))
        if has_session and self.open.get(call.key) is not None:
            call.row.mark("duplicate-id")
        self.open[call.key] = call

    def end_call(self, call: Call, *, was_waiting: bool) -> None:
        """A call is over; its answer may still be replayed."""
        if call.key is not None:
            if self.open.get(call.key) is call:
                self.open.pop(call.key)
            if call.is_streamed or was_waiting:
                self.answered[call.key] = call.remembered()

    def is_replay(self, peer: Peer, event_id: bytes, data: bytes) -> bool:
        """Whether an event came before in this session. An id that comes again with other data is no replay."""
        key, value = hash((peer, event_id)), hash(data)
        if self._seen_events.get(key) == value:
            return True
        self._seen_events[key] = value
        if len(self._seen_events) > limits.EVENT_IDS_MAX:
            self._seen_events.popitem(last=False)
        return False

    def settle(self, peer: Peer, rpc_id: Any) -> Call | None:
        """The request of a server that an answer of its client closes; it is remembered for a second answer."""
        key = (peer, id_key(rpc_id))
        call = self.asked.pop(key)
        if call is not None:
            self.settled[key] = call.remembered()
        return call

    def remember_schema(self, server: str, tool: str, schema: Any) -> None:
        """Keep what a tool promises of its structured results; one that is too large promises what cannot be checked."""
        self._schemas[server, tool] = schema if len(lossless.canonical(schema)) <= limits.SCHEMA_BYTES_MAX else False

    def schema(self, server: str, tool: str) -> Any:
        """The ``outputSchema`` of a tool as last listed, or None."""
        return self._schemas.get((server, tool))

    def waiting(self) -> list[Call]:
        """Every call that is still open."""
        return [*self.asked.values(), *self.open.values()]

    def waiting_of(self, peer: Peer) -> list[Call]:
        """The calls of one peer that still wait on no exchange of their own, which are then forgotten."""
        asked = self.asked.take(lambda key: key[0] == peer)
        return asked + [call for call in self.open.values() if call.is_waiting and call.key is not None and call.key[0] == peer]

    def _pushed_out(self, call: Call) -> None:
        # A call whose own exchange goes on is found there; only one that waits elsewhere is lost by being forgotten.
        if call.is_waiting:
            self._abandoned(call)

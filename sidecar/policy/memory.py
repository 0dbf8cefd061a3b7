"""What judging remembers between messages: what each session has done, and what conditions keep. All bounded."""

from collections import OrderedDict
from typing import Any

from sidecar.limits import SESSIONS_MAX


class State:
    """Session facts and memories. Not thread-safe: one event loop judges, and it judges one message at a time.

    ``forgotten`` counts sessions dropped because a bound was reached; a dropped one starts from nothing.
    """

    __slots__ = ("_memories", "_sessions", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0
        self._memories: dict[type[Any], Any] = {}
        self._sessions: OrderedDict[str, tuple[int, tuple[str, ...]]] = OrderedDict()

    def add_call(self, session: str, server: str) -> None:
        """Note one more call of ``session``, to ``server``."""
        calls, servers = self._sessions.get(session, (0, ()))
        if server not in servers:
            servers = (*servers, server)
        self._sessions[session] = (calls + 1, servers)
        self._sessions.move_to_end(session)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
            self.forgotten += 1

    def session(self, session: str) -> tuple[int, tuple[str, ...]]:
        """How many calls ``session`` has made, and to which servers, in the order of the first call to each."""
        return self._sessions.get(session, (0, ()))

    def memory[Memory](self, kind: type[Memory]) -> Memory:
        """What one condition remembers; ``kind()`` makes it when it is first asked for, and bounds it."""
        found = self._memories.get(kind)
        if found is None:
            found = self._memories[kind] = kind()
        return found

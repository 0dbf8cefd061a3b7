"""What judging remembers between messages: sliding windows of calls, and what each session has done. All bounded."""

from collections import OrderedDict, deque

from sidecar.limits import RATE_ENTRIES_MAX, RATE_WINDOWS_MAX, SESSIONS_MAX

Key = tuple[str, ...]


class State:
    """Windows and session facts. Not thread-safe: one event loop judges, and it judges one message at a time.

    ``forgotten`` counts windows and sessions dropped because a bound was reached; a dropped one starts from nothing.
    """

    __slots__ = ("_entries", "_sessions", "_windows", "forgotten")

    def __init__(self) -> None:
        self.forgotten = 0
        self._entries = 0
        self._windows: OrderedDict[Key, deque[float]] = OrderedDict()
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

    def is_above(self, key: Key, now: float, over_s: int, above: int) -> bool:
        """Count a call at ``now`` (unix seconds) in the window ``key``: are more than ``above`` in the last ``over_s``?

        Exact: the ``above + 1`` newest moments decide, so no more are kept.
        """
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = deque(maxlen=above + 1)
        elif window.maxlen != above + 1:
            self._entries -= len(window)
            window = self._windows[key] = deque(window, maxlen=above + 1)
            self._entries += len(window)
        self._windows.move_to_end(key)
        if len(window) <= above:
            self._entries += 1
        window.append(now)
        while self._windows and (len(self._windows) > RATE_WINDOWS_MAX or self._entries > RATE_ENTRIES_MAX):
            _, oldest = self._windows.popitem(last=False)
            self._entries -= len(oldest)
            self.forgotten += 1
        return len(window) > above and window[0] > now - over_s

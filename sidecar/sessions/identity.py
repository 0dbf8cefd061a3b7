"""Which messages belong to one conversation of one client, across servers, and how sure that is.

Revision 2026-07-28 has no session of its own and earlier ones have one per server, so the session is ours. Its kind tells
how it is known, best first: ``wrap`` (one process of ``sidecar wrap``, which has one client), ``trace`` (trace id in
``_meta``), ``user`` (verified user and client), ``mcp-session`` (``Mcp-Session-Id`` of one server), ``client`` (address and
self-declared name; ends after half an hour of silence).
"""

import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from sidecar import limits

SessionKind = Literal["wrap", "trace", "user", "mcp-session", "client"]


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation. ``id`` is a keyed hash: a session id of the wire is a bearer secret and never recorded."""

    id: str
    kind: SessionKind


class Sessions:
    """Gives each message its session. Bounded: the least recently seen is forgotten first."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._conversations: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, ...], Session] = OrderedDict()

    def session(
        self, *, trace_id: str, user: str, client: str, address: str, server: str, mcp_session: str, now: float, wrap: str = ""
    ) -> Session:
        """The session of a message seen at ``now`` (unix seconds), from what is known of it; empty strings are unknown."""
        if wrap:
            return self._hashed("wrap", wrap)
        if trace_id:
            return self._hashed("trace", trace_id)
        if user:
            return self._with_gap("user", user, client, now)
        if mcp_session:
            return self._hashed("mcp-session", server, mcp_session)
        return self._with_gap("client", address, client, now)

    def of_wire(self, server: str, mcp_session: str) -> str:
        """The hash of a server's own session id, which is the session's id where nothing better is known."""
        return self._hashed("mcp-session", server, mcp_session).id if mcp_session else ""

    def _with_gap(self, kind: SessionKind, who: str, client: str, now: float) -> Session:
        """A conversation known only by who speaks starts anew after silence."""
        name = f"{kind}\0{who}\0{client}"
        last, started = self._conversations.pop(name, (now, now))
        if now - last > limits.SESSION_IDLE_S:
            started = now
        self._conversations[name] = (now, started)
        while len(self._conversations) > limits.SESSIONS_MAX:
            self._conversations.popitem(last=False)
        return self._hashed(kind, who, client, str(int(started)))

    def _hashed(self, kind: SessionKind, *parts: str) -> Session:
        name = (kind, *parts)
        if (known := self._known.get(name)) is not None:
            return known
        text = "\0".join(name).encode("utf-8", "surrogatepass")
        made = Session(hmac.digest(self._key, b"session\0" + text, "sha256").hex()[:24], kind)
        self._known[name] = made
        while len(self._known) > limits.SESSIONS_MAX:
            self._known.popitem(last=False)
        return made

"""OAuth beside MCP on a server's own address: left alone, and recognised where it cannot work (MCP authorization).

Clients compare the addresses in a server's metadata with the one they use, so a server that does not know the listener in
front of it sends every client away. Only the operator can fix that, so the operator is told.
"""

import re
from collections.abc import Callable
from typing import Final

from sidecar.decode import jsonrpc
from sidecar.logs import get_logger
from sidecar.state.exchange import Exchange

log = get_logger("sidecar.proxy")

NEEDS_FORWARD: Final = "oauth_needs_forward"
"""The health row of a server whose OAuth cannot work behind its listener."""

_WELL_KNOWN: Final = "/.well-known/"
_PROTECTED_RESOURCE: Final = "/.well-known/oauth-protected-resource"
_ENDPOINTS: Final = frozenset(("authorize", "token", "register", "revoke", "introspect"))
"""The last part of an endpoint's path: MCP 2025-03-26 fixes the first three, others name theirs so."""

_ORIGIN: Final = re.compile(r"https?://((?:[\w.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?)(?=[/?#]|$)", re.IGNORECASE)
_METADATA: Final = re.compile(r'resource_metadata="?([^",\s]+)', re.IGNORECASE)


def is_oauth(exchange: Exchange) -> bool:
    """Whether a request is of OAuth, so that it and its response pass as they are and are not recorded.

    A JSON-RPC message is never one, wherever it is sent.
    """
    path = exchange.request.path.partition("?")[0]
    if exchange.request.method in ("GET", "HEAD"):
        return not exchange.request.body and (_WELL_KNOWN in path or path.rpartition("/")[2] in _ENDPOINTS)
    is_encoded = exchange.request.headers.get("content-encoding", "identity").lower() != "identity"
    if exchange.request.method != "POST" or path.rpartition("/")[2] not in _ENDPOINTS or is_encoded:
        return False
    if exchange.request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return not jsonrpc.looks_like_json(exchange.request.body)
    value = jsonrpc.read_leniently(exchange.request.body)
    # Some servers take "Method" for "method", and some serve MCP under every path.
    return isinstance(value, dict) and value.keys().isdisjoint(("jsonrpc", "method")) and not jsonrpc.is_misspelt(value)


class OAuthWatch:
    """Tells once for each server that its OAuth cannot work behind its listener. ``note`` writes a row of health."""

    def __init__(self, note: Callable[[str, float, str], None]) -> None:
        self._note = note
        self._told: set[str] = set()

    def look(self, exchange: Exchange) -> None:
        """A response came from a server."""
        is_challenge = exchange.response.status == 401
        if exchange.request.is_forwarded or not (is_challenge or _PROTECTED_RESOURCE in exchange.request.path):
            return
        if exchange.server.name in self._told:
            return
        address = _challenged(exchange) if is_challenge else _declared(exchange)
        named = _ORIGIN.match(address)
        if named is None or named[1].lower() == exchange.request.headers.get("host", "").lower():
            return
        self._told.add(exchange.server.name)
        here = exchange.server.listen
        text = (
            f"{exchange.server.name} demands OAuth as {named[0]}, which clients that come by {here} refuse; "
            f"let them come through 'forward' (see: sidecar ca), or give the server http://{here} as its public address"
        )
        log.warning(text)
        self._note(NEEDS_FORWARD, 1, text)


def _challenged(exchange: Exchange) -> str:
    """The metadata's address in a ``WWW-Authenticate`` header (RFC 9728 §5.1)."""
    found = _METADATA.search(exchange.response.headers.get("www-authenticate", ""))
    return found[1] if found else ""


def _declared(exchange: Exchange) -> str:
    """The ``resource`` a protected-resource document is about (RFC 9728 §2)."""
    value = jsonrpc.read_leniently(exchange.response.body) if exchange.response.body else None
    resource = value.get("resource") if isinstance(value, dict) else None
    return resource if isinstance(resource, str) else ""

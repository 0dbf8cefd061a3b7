"""Connection rules of every HTTP transport: which fields end here, how long a connection lives, where a redirect leads.

RFC 9110 §7.6.1 says which fields concern one connection only, RFC 9112 §9.3 and §9.6 when a connection closes.

A client that closes its sending side has left, on every transport: a full close begins with the same bytes on the wire, and in
MCP 2026-07-28 closing the connection is how a client cancels, which must not wait until somebody tries to write.
"""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from sidecar.decode.http1 import Fields
from sidecar.state.exchange import Exchange

VERSION: Final = "HTTP/1.1"
"""What is written in every head: an intermediary sends its own version, not that of the other side (RFC 9110 §6.2)."""

HOP_BY_HOP: Final = frozenset(("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"))
"""Headers that concern one connection and are never passed on (RFC 9110 §7.6.1)."""

_OPTIONS_ALONE: Final = frozenset(("", "keep-alive", "close", "Keep-Alive", "Close"))
"""The values of ``Connection`` that name no field. Nearly all are one of these, so nothing else is looked at for them."""

_KEPT: Final = frozenset(("accept", "authorization", "host", "last-event-id", "location", "origin", "www-authenticate"))
_KEPT_PREFIXES: Final = ("content-", "mcp-")
"""Fields that ``Connection`` cannot take away. They are for every recipient, so naming them there is an error of the sender
(RFC 9110 §7.6.1), and they say who may enter, how a body is read and which session it belongs to. Without this, a client could
hide its ``Origin`` from the check, or leave a server without the ``Content-Type`` by which the body was judged."""

_PORTS: Final = {"http": 80, "https": 443}


def without_named(fields: Fields, connection: str) -> Fields:
    """The fields of a head without those that its ``Connection`` field names; ``fields`` itself where it names none.

    To be called before an exchange is made of the head: what is dropped is then used neither for judging nor by the other
    side, so both see the same message. Hop-by-hop fields stay, because some are still read; they are dropped when a head is
    written.
    """
    if connection in _OPTIONS_ALONE:
        return fields
    named = {name for name in _options(connection) if name not in _KEPT and not name.startswith(_KEPT_PREFIXES)} - HOP_BY_HOP
    kept = [field for field in fields if field[0].lower() not in named]
    return fields if len(kept) == len(fields) else kept


def is_last(version: str, connection: str, *, is_proxy: bool = False) -> bool:
    """Whether a connection closes after the message with this version and ``Connection`` field (RFC 9112 §9.3).

    ``is_proxy``: we are the proxy of a client of HTTP/1.0. ``keep-alive`` may then come from a proxy between us that passed it
    on without knowing it, and would wait for a close for ever (RFC 9112 §C.2.2).
    """
    if not connection:
        return version != VERSION
    options = _options(connection)
    return "close" in options or (version != VERSION and (is_proxy or "keep-alive" not in options))


def connection_fields(version: str, closes: bool) -> Fields:
    """What a response says about its connection to a client of an HTTP version."""
    if closes:
        return [("connection", "close")]
    return [] if version == VERSION else [("connection", "keep-alive")]


def has_body(method: str, status: int) -> bool:
    """Whether a response has a body at all, whatever its head says of one (RFC 9112 §6.3)."""
    return method != "HEAD" and status >= 200 and status not in (204, 304)


def rewrite_redirect(exchange: Exchange, location: str) -> str:
    """Where a redirect leads. One to the server's own address, however it is written, would lead past the sidecar.

    A server behind a TLS terminator names itself by ``http``, so that is its own address too.
    """
    try:
        there, upstream = urlsplit(location), urlsplit(exchange.server.upstream)
        ports = (there.port or _PORTS.get(there.scheme or upstream.scheme), upstream.port or _PORTS[upstream.scheme])
    except ValueError:
        return location
    is_server = there.netloc and there.hostname == upstream.hostname and (ports[0] == ports[1] or ports == (80, 443))
    if exchange.request.is_forwarded or not is_server:
        return location
    return urlunsplit(("http", exchange.request.headers.get("host") or exchange.server.listen, *there[2:]))


def _options(connection: str) -> set[str]:
    return {option.strip(" \t").lower() for option in connection.split(",")}

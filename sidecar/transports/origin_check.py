"""Who may speak to a listener at all: the names it is called by and the web pages that may call it.

A page on the web can make a browser send requests to a loopback address under a name of its own (DNS rebinding), so the
``Host`` and ``Origin`` of every request are checked here, before the server's own check, which sees its own ``Host``
(MCP 2025-06-18, transports, security warning).
"""

import socket
from urllib.parse import urlsplit

from sidecar.addresses import is_loopback
from sidecar.settings import Server
from sidecar.transports.routing import ServerRouting


class OriginCheck:
    """The names and origins one listener answers to."""

    def __init__(self, server: Server) -> None:
        self._is_local = is_loopback(server.host)
        names = {"localhost", "127.0.0.1", "[::1]"} if self._is_local else {socket.gethostname().lower(), "localhost"}
        bare = server.listen.rpartition(":")[0].lower()
        names.add(bare)
        self._names = {name for host in (*names, *server.hosts) for name in (host.lower(), f"{host.lower()}:{server.port}")}
        self._origins = {origin.lower().rstrip("/") for origin in server.origins}
        self._known: dict[tuple[str, str], str] = {}

    def objection(self, host: str, origin: str, local_address: str) -> str:
        """Why a request may not enter, or an empty text. ``local_address`` is the address it was sent to."""
        known = self._known.get((host, origin))
        if known is not None:
            return known
        said = self._host_objection(host.lower(), local_address) or self._origin_objection(origin.lower())
        if len(self._known) < 1000:
            self._known[host, origin] = said
        return said

    def _host_objection(self, host: str, local_address: str) -> str:
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if host in self._names or name == local_address or name.strip("[]") == local_address:
            return ""
        return "the Host header is none of this listener's names; add it to 'hosts' of this server in sidecar.yaml"

    def _origin_objection(self, origin: str) -> str:
        if not origin or origin in self._origins:
            return ""
        parts = urlsplit(origin)
        if parts.netloc in self._names or (self._is_local and is_loopback(parts.hostname or "")):
            return ""
        return "the Origin header is not allowed here; add it to 'origins' of this server in sidecar.yaml"


class TargetOriginCheck:
    """The names of a server that clients ask for by its own name, through a proxy.

    Only the ``Host`` is checked: it must be the one the request goes to. The server then sees ``Host`` and ``Origin`` as
    the client wrote them, so its own checks hold.
    """

    def __init__(self, server: Server, routing: ServerRouting) -> None:
        self._server = server
        self._routing = routing
        self._port = 443 if server.is_tls else 80

    def objection(self, host: str, origin: str, local_address: str) -> str:
        """Why a request may not go on, or an empty text; the last two are for the server to judge."""
        _ = (origin, local_address)
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        is_there = self._routing.find(name or host, int(port) if name and port.isdecimal() else self._port) is self._server
        return "" if is_there else "the Host header is not that of the server the request goes to"

"""Which traffic is whose, where one listener sees traffic for many hosts: a server's is judged, all other is passed on."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sidecar import limits
from sidecar.addresses import is_loopback, plain_host
from sidecar.settings import Server

SERVER: Final = "sidecar.server"
"""Metadata of a flow: the server it belongs to."""
FORWARDED: Final = "sidecar.forwarded"
"""Metadata of a flow: its client asked for the server by the server's own name."""
OTHER: Final = "sidecar.other"
"""Metadata of a flow that belongs to no server and is passed on: the name it is counted under."""
REFUSED: Final = "sidecar.refused"
"""Metadata of a flow that may not go anywhere: status and reason."""

FOR_THE_PROXY: Final = frozenset(("proxy-connection", "proxy-authorization"))
"""Headers between a client and its proxy; they are not the server's (RFC 9110 §11.7.2)."""

Target = tuple[str, int]


class ServerRouting:
    """The servers by the host and port their clients ask for, and by the addresses those hosts have."""

    def __init__(self, servers: Iterable[Server]) -> None:
        self._servers = {_canonical(*server.target): server for server in servers if server.upstream}
        self._addresses: dict[Target, Server] = {}
        self.ports = frozenset(port for _, port in self._servers)

    def named(self, host: str, port: int) -> Server | None:
        """The server that has exactly this address in the settings."""
        return self._servers.get(_canonical(host, port))

    def find(self, host: str, port: int) -> Server | None:
        """The server that stands at an address, or None for any other host."""
        return self.named(host, port) or self._addresses.get((plain_host(host), port))

    async def resolve(self) -> None:
        """Learn the addresses of servers that are set by name, so that asking for an address is no way past."""
        loop = asyncio.get_running_loop()
        found: dict[Target, Server] = {}
        for (host, port), server in self._servers.items():
            try:
                answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError:
                # A name server may fail for a while; what was known of the host stays known.
                answers = []
                found |= {known: owner for known, owner in self._addresses.items() if owner is server}
            for *_, address in answers:
                found.setdefault((plain_host(str(address[0])), port), server)
        self._addresses = found


def _canonical(host: str, port: int) -> Target:
    """One spelling for each host. All names of this machine are one, or asking for another of them would go unjudged."""
    name = plain_host(host)
    return ("localhost" if is_loopback(name) else name), port


@dataclass(slots=True)
class _Passed:
    count: int = 0
    sent: int = 0
    received: int = 0


class OtherHosts:
    """Counts what is passed on for hosts that are no server's; nothing else of it is ever looked at.

    ``note(metric, value, detail)`` writes one row of health.
    """

    def __init__(self, note: Callable[[str, float, str], None]) -> None:
        self._note = note
        self._passed: dict[str, _Passed] = {}

    def add(self, host: str, *, count: int = 0, sent: int = 0, received: int = 0) -> None:
        """Connections or requests, and bytes either way, for a host (``name:port``)."""
        if host not in self._passed and len(self._passed) >= limits.OTHER_HOSTS_MAX:
            host = "further hosts"
        passed = self._passed.setdefault(host, _Passed())
        passed.count += count
        passed.sent += sent
        passed.received += received

    def write(self) -> None:
        """Record what was counted since the last time: one ``passed_on`` row of health for each host."""
        passed_before, self._passed = self._passed, {}
        for host, passed in passed_before.items():
            text = f"{host}: {passed.count} new connections or requests, {passed.sent} bytes out, {passed.received} bytes in"
            self._note("passed_on", passed.sent + passed.received, text)


def other_host(host: str, port: int) -> str:
    """The name an other host is counted under."""
    return f"{host[: limits.HOST_CHARS_MAX]}:{port}"

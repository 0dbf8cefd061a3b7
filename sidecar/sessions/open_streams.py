"""The event streams that are open, and what reaches a client by one of them because of something that happened elsewhere.

In the transport of 2024-11-05 every answer comes on the stream of the client's one GET, whatever POST asked: that stream
begins by naming the ``endpoint`` to post to, and by this endpoint it is known here (MCP 2024-11-05, transports, HTTP+SSE).
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from sidecar.decode import lossless, sse
from sidecar.state.exchange import Exchange, session_in

_DEFAULT_PORTS = {"http": 80, "https": 443}


class OpenStreams:
    """Open streams. There are as many as connections that hold them, so nothing else bounds them."""

    def __init__(self) -> None:
        self._open: dict[int, Exchange] = {}
        self._by_endpoint: dict[tuple[str, str], list[Exchange]] = {}

    def add(self, exchange: Exchange) -> None:
        """A stream begins."""
        self._open[id(exchange)] = exchange

    def remove(self, exchange: Exchange) -> None:
        """A stream is over; nothing can be sent on it any more."""
        exchange.stream.inject = None
        self._open.pop(id(exchange), None)
        self._forget_endpoint(exchange)

    def __iter__(self) -> Iterator[Exchange]:
        return iter([*self._open.values()])

    def name_endpoint(self, exchange: Exchange, said: str) -> None:
        """The stream of a GET names where its client is to post: ``said`` as the server wrote it."""
        self._forget_endpoint(exchange)
        path = urlsplit(urljoin(exchange.request.path, said))
        exchange.stream.endpoint = path.path + (f"?{path.query}" if path.query else "")
        for key in _keys(exchange.server.name, exchange.stream.endpoint):
            self._by_endpoint.setdefault(key, []).append(exchange)

    def _forget_endpoint(self, exchange: Exchange) -> None:
        for key in _keys(exchange.server.name, exchange.stream.endpoint) if exchange.stream.endpoint else ():
            rest = [stream for stream in self._by_endpoint.pop(key, []) if stream is not exchange]
            if rest:
                self._by_endpoint[key] = rest

    def of(self, exchange: Exchange) -> Exchange | None:
        """The open stream on which the answers to a POST come, in the transport of 2024-11-05; None in every other."""
        if not self._by_endpoint or exchange.mcp_session:
            return None
        for key in _keys(exchange.server.name, exchange.request.path):
            streams = self._by_endpoint.get(key, [])
            # An endpoint without a session in it is the same for every client; then the address tells them apart.
            same = [stream for stream in streams if stream.request.address == exchange.request.address]
            if streams:
                return (same or streams)[-1]
        return None

    def send(self, exchange: Exchange, messages: Iterable[Any]) -> bool:
        """Send our own answers to a POST on the stream where its client waits for them; False where there is none."""
        stream = self.of(exchange)
        if stream is None or stream.stream.inject is None:
            return False
        for message in messages:
            stream.stream.inject(sse.message_event(lossless.canonical(message)))
        return True


def own_endpoint(exchange: Exchange, said: str) -> str:
    """The endpoint as the client should read it: one at the server's own address would lead it past the sidecar."""
    there, upstream = urlsplit(said), urlsplit(exchange.server.upstream)
    here = exchange.request.headers.get("host", "")
    if not there.netloc or there.netloc == here:
        return said
    is_upstream = (there.hostname, _port(there.port, there.scheme or upstream.scheme)) == (
        upstream.hostname,
        _port(upstream.port, upstream.scheme),
    )
    return urlunsplit(("", "", *there[2:])) if is_upstream else said


def _port(port: int | None, scheme: str) -> int | None:
    return port or _DEFAULT_PORTS.get(scheme)


def _keys(server: str, path: str) -> list[tuple[str, str]]:
    """What a stream is found by: exactly its endpoint, else the session id in it, in the spelling of either SDK."""
    session = session_in(path)
    return [(server, path), (server, f"session {session}")] if session else [(server, path)]

"""HTTP/1.1 as mitmproxy reads it, and what its reader has no answer for: trailers and interim responses.

A peer may send either at any time. Both are dropped, as RFC 9110 allows for trailers (§6.5.1) and as clients do with interim
responses they did not ask for (§15.2): neither carries a message of MCP, and what is not passed on need not be judged.
"""

from collections.abc import Callable
from typing import Any, Final

import h11
from mitmproxy.proxy import events
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Connection, Http1Server
from mitmproxy.proxy.layers.http._http1 import TBodyReader as BodyReader

_INTERIM: Final = b" 1"
_SWITCHING: Final = b" 101"
_VERSION: Final = len(b"HTTP/1.1")


class _WithoutTrailers:
    """A body reader whose end of message brings no headers."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __call__(self, buffer: Any) -> Any:
        return _ended(self._reader(buffer))

    def read_eof(self) -> Any:
        return _ended(self._reader.read_eof())


def _ended(event: Any) -> Any:
    return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


def _read_body(connection: Http1Connection, read: Callable[[events.Event], CommandGenerator[None]], event: events.Event) -> Any:
    reader: BodyReader | _WithoutTrailers = connection.body_reader
    if not isinstance(reader, _WithoutTrailers):
        connection.body_reader = _WithoutTrailers(reader)  # type: ignore[assignment]
    yield from read(event)


class ClientSide(Http1Server):
    """The connection of a client."""

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read a request's body to its end, without its trailers."""
        yield from _read_body(self, super().read_body, event)


class ServerSide(Http1Client):
    """The connection to a server."""

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        """Read the head of the final response. A 101 is one: it ends HTTP, and whoever sees it must refuse it."""
        if isinstance(event, events.DataReceived) and self.request:
            while self._begins_interim() and self.buf.maybe_extract_lines():
                pass
        yield from super().read_headers(event)

    def _begins_interim(self) -> bool:
        status = bytes(self.buf)[_VERSION : _VERSION + len(_SWITCHING)]
        return status.startswith(_INTERIM) and len(status) == len(_SWITCHING) and status != _SWITCHING

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """Read a response's body to its end, without its trailers."""
        yield from _read_body(self, super().read_body, event)


def adopt(layer: Layer | None) -> None:
    """Have a new connection to a server, found below its TLS if it has some, read by ``ServerSide``.

    mitmproxy makes it by the name of its own class, and that cannot be set; it has read nothing yet.
    """
    while layer is not None and type(layer) is not Http1Client:
        layer = getattr(layer, "child_layer", None)
    if layer is not None:
        layer.__class__ = ServerSide
        layer.state = layer.read_headers

"""Layers that wait for a connection's first bytes and then become what those ask for."""

from collections.abc import Callable
from typing import Final

from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers.tcp import TCPLayer

from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.transports.routing import OtherHosts, other_host

log = get_logger("sidecar.proxy")

TLS_HANDSHAKE: Final = b"\x16"
"""The first byte of a client that speaks TLS (RFC 8446 §5.1)."""


class ProtocolDetection(Layer):
    """A layer that gives way to another."""

    def become(self, layer: Layer, received: bytes) -> CommandGenerator[None]:
        """From here on the connection is another layer's, which first reads what was received already."""
        self._handle_event = layer.handle_event  # type: ignore[method-assign]
        yield from layer.handle_event(events.Start())
        if received:
            yield from layer.handle_event(events.DataReceived(self.context.client, received))

    def end(self) -> CommandGenerator[None]:
        """Close the connection and take nothing more of it."""
        yield commands.CloseConnection(self.context.client)
        self._handle_event = self._ended  # type: ignore[method-assign]

    def _ended(self, event: events.Event) -> CommandGenerator[None]:
        yield from ()


class RequireProtocol(ProtocolDetection):
    """Lets a connection go on only if it speaks what its server speaks; anything else could not be judged."""

    def __init__(self, context: Context, server: Server, make: Callable[[], Layer]) -> None:
        super().__init__(context)
        self._server = server
        self._make = make

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.context.client)
        elif isinstance(event, events.DataReceived):
            if event.data.startswith(TLS_HANDSHAKE) is not self._server.is_tls:
                spoken = "without TLS" if self._server.is_tls else "with TLS"
                log.warning(
                    "connection closed: its client speaks another protocol than the server",
                    server=self._server.name,
                    client=spoken,
                    upstream=self._server.upstream,
                )
                yield from self.end()
                return
            yield from self.become(self._make(), event.data)


class Tunnel(TCPLayer):
    """Bytes of another host's connection, counted and passed on, never looked at."""

    def __init__(self, context: Context, other_hosts: OtherHosts) -> None:
        super().__init__(context, ignore=True)
        self._other_hosts = other_hosts
        assert context.server.address
        self._host = other_host(*context.server.address[:2])
        other_hosts.add(self._host, count=1)

    def relay_messages(self, event: events.Event) -> CommandGenerator[None]:
        """Count, then pass on."""
        if isinstance(event, events.DataReceived):
            size = len(event.data)
            is_sent = event.connection == self.context.client
            self._other_hosts.add(self._host, sent=size * is_sent, received=size * (not is_sent))
        yield from super().relay_messages(event)

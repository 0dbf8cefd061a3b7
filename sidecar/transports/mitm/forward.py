"""The listener clients set as their proxy: it looks only into what is meant for a server, and tunnels all else unseen.

RFC 9112 §3.2.2 (absolute form) and RFC 9110 §9.3.6 (CONNECT) say what arrives here.
"""

from typing import Final

from mitmproxy.net.http import url
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import RegularMode

from sidecar import limits
from sidecar.transports.mitm.dispatch import DispatchedLayer, Dispatcher
from sidecar.transports.mitm.http_layer import SidecarHttpLayer
from sidecar.transports.mitm.listener import ManyHostsListener
from sidecar.transports.mitm.protocol_detection import Tunnel

_CONNECT: Final = b"CONNECT "
_CONNECTED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class SidecarForwardMode(RegularMode):
    """``sidecarforward@host:port``: a listener that clients set as their HTTP and HTTPS proxy."""


def forward_spec(address: str) -> str:
    """How mitmproxy is told of the listener at an address."""
    return f"{SidecarForwardMode.type_name}@{address}"


class ForwardLayer(DispatchedLayer):
    """Reads the head of a CONNECT and becomes the tunnel it asks for; anything else becomes HTTP to any host."""

    def __init__(self, context: Context, dispatcher: Dispatcher) -> None:
        super().__init__(context, dispatcher)
        self._head = bytearray()

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.context.client)
        elif isinstance(event, events.DataReceived):
            self._head += event.data
            if not self._head.startswith(_CONNECT[: len(self._head)]):
                route = self._dispatcher.route_absolute
                yield from self.become(SidecarHttpLayer(self.context, route, HTTPMode.regular), bytes(self._head))
            elif (end := self._head.find(b"\r\n\r\n")) >= 0:
                yield from self._connect(bytes(self._head[:end]), bytes(self._head[end + 4 :]))
            elif len(self._head) > limits.HEADER_BYTES_MAX:
                yield from self._refuse(431, "the head of the request is too large")

    def _connect(self, head: bytes, rest: bytes) -> CommandGenerator[None]:
        parts = head.partition(b"\r\n")[0].split(b" ")
        try:
            host, port = url.parse_authority(parts[1].decode("ascii"), check=True)
        except ValueError:
            host, port = "", None
        if len(parts) != 3 or port is None:
            yield from self._refuse(400, "CONNECT takes host:port")
            return
        server = self._dispatcher.routing.find(host, port)
        if server is not None:
            yield commands.SendData(self.context.client, _CONNECTED)
            yield from self.become(self._dispatcher.interception(self.context, server), rest)
            return
        if reason := self._dispatcher.objection(host, port):
            yield from self._refuse(403, reason)
            return
        self.context.server.address = (host, port)
        if (yield commands.OpenConnection(self.context.server)):
            yield from self._refuse(502, f"no answer from {host}:{port}")
            return
        yield commands.SendData(self.context.client, _CONNECTED)
        yield from self.become(Tunnel(self.context, self._dispatcher.other_hosts), rest)

    def _refuse(self, status: int, reason: str) -> CommandGenerator[None]:
        body = f"sidecar: {reason}\n".encode()
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
        yield commands.SendData(self.context.client, head.encode() + b"connection: close\r\n\r\n" + body)
        yield from self.end()


class ForwardListener(ManyHostsListener[SidecarForwardMode]):
    """The socket of the forward mode."""

    first_layer = ForwardLayer

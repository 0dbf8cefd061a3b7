"""The listener for redirected traffic: iptables sends it here, and the kernel still knows where it was going (Linux).

Only ports some server has are looked at. There the name in a TLS hello (SNI), the ``Host`` of a plain request or the address
itself says whose a connection is; all other traffic goes where it was going, as it is.
"""

from typing import Any

from mitmproxy import platform
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.tls import parse_client_hello
from mitmproxy.proxy.mode_specs import TransparentMode

from sidecar import limits
from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.transports.mitm.dispatch import DispatchedLayer, Dispatcher
from sidecar.transports.mitm.http_layer import SidecarHttpLayer
from sidecar.transports.mitm.listener import ManyHostsListener
from sidecar.transports.mitm.protocol_detection import TLS_HANDSHAKE, Tunnel

log = get_logger("sidecar.proxy")


class SidecarTransparentMode(TransparentMode):
    """``sidecartransparent@host:port``: a listener for redirected connections."""


def transparent_spec(address: str) -> str:
    """How mitmproxy is told of the listener at an address."""
    return f"{SidecarTransparentMode.type_name}@{address}"


class TransparentLayer(DispatchedLayer):
    """Waits for as many bytes as it takes to tell whose a connection is."""

    def __init__(self, context: Context, dispatcher: Dispatcher) -> None:
        super().__init__(context, dispatcher)
        assert context.server.address
        self._host, self._port = context.server.address[:2]
        self._received = bytearray()

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Start):
            if self._port not in self._dispatcher.routing.ports:
                # Nothing is waited for: in many protocols the server speaks first.
                yield from self._pass_on()
        elif isinstance(event, events.ConnectionClosed):
            yield from self.end()
        elif isinstance(event, events.DataReceived):
            self._received += event.data
            if self._received.startswith(TLS_HANDSHAKE):
                yield from self._tls()
            elif self._received[:1].isalpha():
                layer = SidecarHttpLayer(self.context, self._dispatcher.route_redirected)
                yield from self.become(layer, bytes(self._received))
            else:
                yield from self._unreadable()

    def _tls(self) -> CommandGenerator[None]:
        try:
            hello = parse_client_hello(bytes(self._received))
        except ValueError:
            yield from self._unreadable()
            return
        if hello is None:
            if len(self._received) > limits.HEADER_BYTES_MAX:
                yield from self.end()
            return
        server = self._server(hello.sni)
        if server is None:
            yield from self._pass_on()
        else:
            yield from self.become(self._dispatcher.interception(self.context, server), bytes(self._received))

    def _server(self, sni: str | None) -> Server | None:
        """One address may serve many names, so where the client gives one, it decides."""
        routing = self._dispatcher.routing
        if sni:
            return routing.named(sni, self._port) or routing.named(self._host, self._port)
        return routing.find(self._host, self._port)

    def _unreadable(self) -> CommandGenerator[None]:
        """What comes for a server and cannot be judged goes nowhere."""
        if self._dispatcher.routing.find(self._host, self._port) is None:
            yield from self._pass_on()
            return
        log.warning("connection closed: its bytes are neither HTTP nor TLS", host=self._host, port=self._port)
        yield from self.end()

    def _pass_on(self) -> CommandGenerator[None]:
        """To where it was going."""
        if (yield commands.OpenConnection(self.context.server)):
            yield from self.end()
            return
        yield from self.become(Tunnel(self.context, self._dispatcher.other_hosts), bytes(self._received))


class TransparentListener(ManyHostsListener[SidecarTransparentMode]):
    """The socket of the transparent mode."""

    first_layer = TransparentLayer

    def accepts(self, context: Context, writer: Any) -> bool:
        """Take only what was redirected: a connection to the listener itself would be sent to itself for ever."""
        try:
            assert platform.original_addr is not None
            destination = platform.original_addr(writer.get_extra_info("socket"))
        except OSError:
            destination = None
        if destination is None or destination == tuple(context.client.sockname[:2]):
            log.warning("connection closed: no rule redirected it to the transparent listener")
            return False
        context.server.address = destination
        return True

"""The ways traffic takes through a listener that sees many hosts: into a server's judgement, past it, or nowhere."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer

from sidecar.addresses import is_loopback
from sidecar.intercept.routes import FORWARDED, OTHER, REFUSED, SERVER, Others, Routes, other_host
from sidecar.intercept.streams import SidecarHttpLayer
from sidecar.settings import Server

log = logging.getLogger("sidecar.intercept")

_TLS_HANDSHAKE: Final = b"\x16"


class Roads:
    """What listeners for many hosts share: whose traffic is whose, and what becomes of the rest."""

    def __init__(self, routes: Routes, others: Others, *, own: Iterable[tuple[str, int]], passes_others: bool) -> None:
        self.routes = routes
        self.others = others
        self._own = frozenset(own)
        self._passes_others = passes_others

    def objection(self, host: str, port: int) -> str:
        """Why a client may not reach another host through here, or an empty text."""
        name = host.strip("[]").rstrip(".").lower()
        if any(port == own and (name == listen or is_loopback(name)) for listen, own in self._own):
            return "this is the sidecar's own address"
        if not self._passes_others:
            return f"{host}:{port} is no server of sidecar.yaml, and other hosts are not passed on here (see other_hosts)"
        return ""

    def route_absolute(self, flow: HTTPFlow) -> None:
        """The way of a plain request that names its host in the request line."""
        request = flow.request
        host, port = request.data.host, request.data.port
        if not host:
            said = "this is a proxy; set it as the HTTP proxy of a client (a server's own listener is another address)"
            flow.metadata[REFUSED] = (400, said)
        elif (server := self.routes.find(host, port)) is not None:
            if request.scheme != ("https" if server.is_tls else "http"):
                flow.metadata[REFUSED] = (400, f"the server {server.name} is {server.upstream}")
                return
            flow.metadata[SERVER], flow.metadata[FORWARDED] = server, True
            request.data.host, request.data.port = server.target
        elif request.scheme != "http":
            flow.metadata[REFUSED] = (400, "use CONNECT for https")
        elif reason := self.objection(host, port):
            flow.metadata[REFUSED] = (403, reason)
        else:
            flow.metadata[OTHER] = other_host(host, port)

    def interception(self, context: Context, server: Server) -> Layer:
        """The layer that looks into a connection a client opened to a server."""
        context.server.address = server.target

        def route(flow: HTTPFlow) -> None:
            flow.metadata[SERVER], flow.metadata[FORWARDED] = server, True

        def plain() -> Layer:
            return SidecarHttpLayer(context, route)

        def tls() -> Layer:
            # The certificate is checked against the name in the settings, whatever name the client gives.
            context.server.sni = server.target[0]
            outer = ServerTLSLayer(context)
            outer.child_layer = ClientTLSLayer(context)
            outer.child_layer.child_layer = SidecarHttpLayer(context, route)
            return outer

        return Expecting(context, server, tls if server.is_tls else plain)


class Expecting(Layer):
    """Lets a connection go on only if it speaks what its server speaks; anything else could not be judged."""

    def __init__(self, context: Context, server: Server, make: Callable[[], Layer]) -> None:
        super().__init__(context)
        self._server = server
        self._make = make

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.context.client)
        elif isinstance(event, events.DataReceived):
            if event.data.startswith(_TLS_HANDSHAKE) is not self._server.is_tls:
                spoken = "without TLS" if self._server.is_tls else "with TLS"
                log.warning("%s: a client spoke %s to %s; its connection was closed",
                            self._server.name, spoken, self._server.upstream)  # fmt: skip
                yield commands.CloseConnection(self.context.client)
                return
            inner = self._make()
            self._handle_event = inner.handle_event  # type: ignore[method-assign]
            yield from inner.handle_event(events.Start())
            yield from inner.handle_event(event)

"""Decides what becomes of traffic at a listener that sees many hosts: judged for a server, passed on unseen, or refused."""

from collections.abc import Iterable

from mitmproxy.http import HTTPFlow
from mitmproxy.net.http import url
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer

from sidecar.addresses import is_loopback, plain_host
from sidecar.settings import Server
from sidecar.transports.mitm.http_layer import SidecarHttpLayer
from sidecar.transports.mitm.protocol_detection import ProtocolDetection, RequireProtocol
from sidecar.transports.routing import FORWARDED, OTHER, REFUSED, SERVER, OtherHosts, ServerRouting, other_host


class Dispatcher:
    """What listeners for many hosts share: whose traffic is whose, and what becomes of the rest."""

    def __init__(
        self, routing: ServerRouting, other_hosts: OtherHosts, *, own: Iterable[tuple[str, int]], passes_others: bool
    ) -> None:
        self.routing = routing
        self.other_hosts = other_hosts
        self._own = frozenset(own)
        self._passes_others = passes_others

    def objection(self, host: str, port: int) -> str:
        """Why a client may not reach another host through here, or an empty text."""
        name = plain_host(host)
        if any(port == own and (name == plain_host(listen) or is_loopback(name)) for listen, own in self._own):
            return "this is the sidecar's own address"
        if not self._passes_others:
            return f"{host}:{port} is no server of sidecar.yaml, and other hosts are not passed on here (see other_hosts)"
        return ""

    def route_absolute(self, flow: HTTPFlow) -> None:
        """Route a plain request that names its host in the request line."""
        request = flow.request
        host, port = request.data.host, request.data.port
        if not host:
            said = "this is a proxy; set it as the HTTP proxy of a client (a server's own listener is another address)"
            flow.metadata[REFUSED] = (400, said)
        elif (server := self.routing.find(host, port)) is not None:
            if request.scheme != ("https" if server.is_tls else "http"):
                flow.metadata[REFUSED] = (400, f"the server {server.name} is {server.upstream}")
                return
            flow.metadata[SERVER], flow.metadata[FORWARDED] = server, True
        elif request.scheme != "http":
            flow.metadata[REFUSED] = (400, "use CONNECT for https")
        elif reason := self.objection(host, port):
            flow.metadata[REFUSED] = (403, reason)
        else:
            flow.metadata[OTHER] = other_host(host, port)

    def route_redirected(self, flow: HTTPFlow) -> None:
        """Route a plain request that was redirected here: its ``Host`` says whose it is, else where it was going."""
        address, port = (flow.server_conn.address or ("", 0))[:2]
        try:
            host = url.parse_authority(flow.request.host_header or "", check=True)[0]
        except ValueError:
            host = ""
        server = self.routing.find(host, port) or self.routing.find(address, port)
        if server is None:
            flow.metadata[OTHER] = other_host(address, port)
        elif server.is_tls:
            flow.metadata[REFUSED] = (400, f"the server {server.name} is {server.upstream}")
        else:
            flow.metadata[SERVER], flow.metadata[FORWARDED] = server, True

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

        return RequireProtocol(context, server, tls if server.is_tls else plain)


class DispatchedLayer(ProtocolDetection):
    """The first layer of a connection at a listener for many hosts."""

    def __init__(self, context: Context, dispatcher: Dispatcher) -> None:
        super().__init__(context)
        self._dispatcher = dispatcher

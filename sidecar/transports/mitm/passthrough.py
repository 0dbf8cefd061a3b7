"""Plain HTTP for hosts that are no server's: passed on as it comes, counted, and never judged, held or recorded."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from mitmproxy.http import HTTPFlow, Response
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tcp import TCPFlow

from sidecar.addresses import is_loopback
from sidecar.transports.mitm.dispatch import Dispatcher
from sidecar.transports.mitm.listener import Hook, Hooks
from sidecar.transports.routing import FOR_THE_PROXY, OTHER, REFUSED, other_host


class Passthrough:
    """The hooks of flows that belong to no server, put in front of those of the HTTP transport."""

    def __init__(self, dispatcher: Dispatcher, judged: Hooks) -> None:
        self._other_hosts = dispatcher.other_hosts
        self._routing = dispatcher.routing
        own: dict[str, Callable[[HTTPFlow], None]] = {
            "requestheaders": self.requestheaders,
            "request": self.request,
            "responseheaders": self.responseheaders,
            "response": self.response,
            "error": self.error,
        }
        self.hooks: Hooks = {
            **judged,
            **{name: _either(mine, judged[name]) for name, mine in own.items()},
            "tcp_message": self.tcp_message,
            "server_connect": self.server_connect,
        }

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Pass the body on as it arrives."""
        if REFUSED in flow.metadata:
            return
        for name in FOR_THE_PROXY:
            flow.request.headers.pop(name, None)
        host: str = flow.metadata[OTHER]
        self._other_hosts.add(host, count=1)

        def sent(chunk: bytes) -> list[bytes]:
            self._other_hosts.add(host, sent=len(chunk))
            return [chunk] if chunk else []

        flow.request.stream = sent

    def request(self, flow: HTTPFlow) -> None:
        """Refuse what may not go anywhere."""
        if REFUSED in flow.metadata:
            status, reason = flow.metadata[REFUSED]
            flow.response = plain(status, reason)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """Pass the response on as it arrives."""
        if REFUSED in flow.metadata:
            return
        host: str = flow.metadata[OTHER]

        def received(chunk: bytes) -> list[bytes]:
            self._other_hosts.add(host, received=len(chunk))
            return [chunk] if chunk else []

        assert flow.response is not None
        flow.response.stream = received

    def response(self, flow: HTTPFlow) -> None:
        """Nothing is left to do."""

    def error(self, flow: HTTPFlow) -> None:
        """What the client reads when its host does not answer."""
        flow.response = plain(502, f"no answer from {flow.request.host}:{flow.request.port}")

    def tcp_message(self, flow: TCPFlow) -> None:
        """After an upgrade (WebSocket) bytes go both ways; mitmproxy would keep them all."""
        message = flow.messages[-1]
        host = other_host(*(flow.server_conn.address or ("", 0))[:2])
        size = len(message.content)
        self._other_hosts.add(host, sent=size * message.from_client, received=size * (not message.from_client))
        flow.messages.clear()

    async def server_connect(self, data: ServerConnectionHookData) -> None:
        """Keep clients of other machines out of what only this machine may reach: its loopback and link-local addresses."""
        peer, target = data.client.peername, data.server.address
        if target is None or peer is None or is_loopback(peer[0]) or self._routing.find(*target[:2]) is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.getaddrinfo(*target[:2], type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            data.server.error = "its name has no address"
            return
        if any(_is_private_to_us(str(address[0])) for *_, address in answers):
            data.server.error = "it is an address of the sidecar's own machine"
        else:
            # To what was looked at, not to what the name may mean a moment later.
            data.server.address = (str(answers[0][-1][0]), target[1])


def _is_private_to_us(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified


def plain(status: int, reason: str) -> Response:
    """A response of the proxy itself, for people and programs that asked for no server of ours."""
    return Response.make(status, f"sidecar: {reason}\n", {"content-type": "text/plain; charset=utf-8"})


def _either(mine: Callable[[HTTPFlow], None], theirs: Hook) -> Hook:
    def hook(flow: Any) -> Awaitable[None] | None:
        if OTHER in flow.metadata or REFUSED in flow.metadata:
            mine(flow)
            return None
        return theirs(flow)

    return hook

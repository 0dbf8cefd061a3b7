"""Plain HTTP for hosts that are no server's: passed on as it comes, counted, and never judged, held or recorded."""

from collections.abc import Awaitable, Callable
from typing import Any

from mitmproxy.http import HTTPFlow, Response
from mitmproxy.tcp import TCPFlow

from sidecar.intercept.routes import FOR_THE_PROXY, OTHER, REFUSED, Others, other_host
from sidecar.intercept.server import Hook, Hooks


class Passing:
    """The hooks of flows that belong to no server, put in front of those of the carrier."""

    def __init__(self, others: Others, carrier: Hooks) -> None:
        self._others = others
        own: dict[str, Callable[[HTTPFlow], None]] = {
            "requestheaders": self.requestheaders,
            "request": self.request,
            "responseheaders": self.responseheaders,
            "response": self.response,
            "error": self.error,
        }
        self.hooks: Hooks = {
            **carrier,
            **{name: _either(mine, carrier[name]) for name, mine in own.items()},
            "tcp_message": self.tcp_message,
        }

    def requestheaders(self, flow: HTTPFlow) -> None:
        """Pass the body on as it arrives."""
        if REFUSED in flow.metadata:
            return
        for name in FOR_THE_PROXY:
            flow.request.headers.pop(name, None)
        host: str = flow.metadata[OTHER]
        self._others.add(host, count=1)

        def sent(chunk: bytes) -> list[bytes]:
            self._others.add(host, sent=len(chunk))
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
            self._others.add(host, received=len(chunk))
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
        self._others.add(host, sent=size * message.from_client, received=size * (not message.from_client))
        flow.messages.clear()


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

"""Refuses requests that other web pages send to the review page, before Streamlit sees them.

A browser sends any page's requests to a loopback address too. Two checks stop that, as MCP listeners do them (DNS
rebinding: https://owasp.org/www-community/attacks/DNS_Rebinding): the ``Host`` must be an address or one of our names,
since a name that an attacker points here is neither; and an ``Origin``, where a browser sends one, must be the page's
own. Streamlit has checks of its own, but they trust every port of this machine and ask a public service for its public
address.
"""

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class OwnOrigin:
    """An ASGI middleware that refuses (403) requests from other web pages and under other host names.

    ``base`` is the page's public address (``settings.link_base``), ``names`` are further host names of the page.
    """

    def __init__(self, app: Application, base: str, names: tuple[str, ...] = ()) -> None:
        self._app = app
        parts = urlsplit(base)
        self._base = f"{parts.scheme}://{parts.netloc}".lower()
        self._names = {"localhost", (parts.hostname or "").lower(), *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed; refuse the rest."""
        if scope["type"] not in ("http", "websocket") or self.is_own(scope["headers"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = b"This page is only for its own address; set page_url to the address you reach it by.\n"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    def is_own(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers comes from the page itself, or not from a web page at all."""
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or len(origins) > 1 or not self._is_our_name(hosts[0]):
            return False
        return not origins or origins[0] == self._base or origins[0] in (f"http://{hosts[0]}", f"https://{hosts[0]}")

    def _is_our_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return bool(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

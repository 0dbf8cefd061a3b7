"""mitmproxy as a listener of ours: a proxy mode, its server and its connection handler, added by subclass registration.

mitmproxy's HTTP layers and hooks are used unchanged. What is ours is how hooks are called: straight from a table, in the
event that causes them, without a task or a lock round trip, and all bytes of one event leave in one write.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import SimpleNamespace, TracebackType
from typing import Any, ClassVar, Literal, cast

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers import ServerTLSLayer
from mitmproxy.proxy.mode_servers import AsyncioServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode
from mitmproxy.proxy.server import ConnectionIO, LiveConnectionHandler
from mitmproxy.utils import asyncio_utils

from sidecar import limits
from sidecar.addresses import host_port
from sidecar.errors import place_of
from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.transports.http_policy import HttpPolicy
from sidecar.transports.idle_probe import IdleProbe
from sidecar.transports.mitm.dispatch import DispatchedLayer, Dispatcher
from sidecar.transports.mitm.http_layer import CheckReusable, SidecarHttpLayer
from sidecar.transports.mitm.tls import SidecarTls
from sidecar.transports.plain.downstream import PlainListener
from sidecar.transports.routing import SERVER

log = get_logger("sidecar.proxy")

Hook = Callable[[Any], Awaitable[None] | None]
Hooks = Mapping[str, Hook]

_ACCEPT_BACKLOG = 2048


class SidecarMode(ReverseMode):
    """``sidecar:http://server:port@host:port``: a listener that stands for one MCP server."""


class SidecarMaster(Master):
    """mitmproxy's master with our listeners; ``hooks`` receives every hook by name, and no addon sees one.

    Connections to servers over plain HTTP begin in ``transports.plain``, on the same ``http_policy``.
    ``specs`` are further listeners, for many hosts each; they share ``dispatcher``.
    """

    def __init__(
        self,
        servers: tuple[Server, ...],
        hooks: Hooks,
        http_policy: HttpPolicy,
        tls: SidecarTls,
        dispatcher: Dispatcher | None = None,
        specs: Iterable[str] = (),
    ) -> None:
        super().__init__(Options())
        self.http_policy = http_policy
        self.plain_listeners: list[PlainListener] = []
        self.proxyserver = Proxyserver()
        self.addons.add(self.proxyserver)
        self.addons.add(tls)
        self.hooks: Hooks = {**hooks, **tls.hooks}
        self.servers_by_spec = {_spec(server): server for server in servers if server.listen}
        self.dispatcher = dispatcher
        self.options.update(
            mode=[*self.servers_by_spec, *specs],
            # One version of HTTP, so one reader with one set of bounds; clients that can do more agree to this one.
            http2=False,
            connection_strategy="lazy",
            tcp_timeout=limits.IDLE_CONNECTION_S,
        )
        # A snapshot is read several times a request; mitmproxy's own option object checks every read.
        # The Host header is ours to judge first, so mitmproxy must not have replaced it by then.
        # WebSocket is refused for servers, and for other hosts its frames are nothing to be read and written anew.
        names = self.options.keys()
        options = {name: getattr(self.options, name) for name in names} | {"keep_host_header": True, "websocket": False}
        self.connection_options: Any = SimpleNamespace(**options)

    async def start_listeners(self) -> list[tuple[str, Exception]]:
        """Start every listener; the addresses of those that could not, with the reason."""
        await self.proxyserver.setup_servers()
        return [
            (_address(listener.mode.full_spec), listener.last_exception)
            for listener in self.proxyserver.servers
            if listener.last_exception is not None
        ]

    async def stop_listeners(self) -> None:
        """Take no new connections; those that are open go on."""
        await self.proxyserver.servers.update([])

    def cut_connections(self) -> None:
        """Close every connection of every client."""
        for listener in self.plain_listeners:
            listener.cut()
        for handler in [*self.proxyserver.connections.values()]:
            if handler.client in handler.transports:
                handler.close_connection(handler.client)

    @property
    def is_idle(self) -> bool:
        """Whether no client is connected."""
        return not self.proxyserver.connections and not any(listener.connections for listener in self.plain_listeners)


def this_master() -> SidecarMaster:
    """The one master of this process; mitmproxy itself hands it around like this."""
    return cast(SidecarMaster, ctx.master)


def _spec(server: Server) -> str:
    return f"sidecar:{server.upstream}@{server.listen}"


def _address(spec: str) -> str:
    return spec.rpartition("@")[2]


class Listener[M: ProxyMode](AsyncioServerInstance[M]):
    """One listening socket; what its connections speak is told by ``make_top_layer``."""

    async def listen(self, host: str, port: int) -> list[Any]:
        """Bind to exactly the address of the settings."""
        host, port = host_port(_address(self.mode.full_spec))
        return [await asyncio.start_server(self.handle_stream, host, port, backlog=_ACCEPT_BACKLOG)]

    async def handle_stream(self, reader: Any, writer: Any = None) -> None:
        """One connection of a client, for as long as it lasts."""
        master = this_master()
        handler = SidecarHandler(reader, writer, master.connection_options, self.mode, master.hooks)
        if not self.accepts(handler.context, writer):
            writer.close()
            return
        handler.layer = self.make_top_layer(handler.context)
        with self.manager.register_connection(handler.client.id, handler):  # type: ignore[arg-type]
            await handler.handle_client()

    def accepts(self, context: Context, writer: Any) -> bool:
        """Whether a connection may go on; what is known only of its socket can be put into its context here."""
        _ = (context, writer)
        return True


class ManyHostsListener[M: ProxyMode](Listener[M]):
    """A socket for many hosts: ``first_layer`` reads the first bytes of a connection and asks the dispatcher whose it is."""

    first_layer: ClassVar[type[DispatchedLayer]]

    def make_top_layer(self, context: Context) -> Layer:
        """What the client sends first decides."""
        dispatcher = this_master().dispatcher
        assert dispatcher is not None
        return self.first_layer(context, dispatcher)


class SidecarListener(Listener[SidecarMode]):
    """The socket of one server."""

    def make_top_layer(self, context: Context) -> Layer:
        """Plain or TLS towards the server, then HTTP; nothing is guessed from the first bytes."""
        server = this_master().servers_by_spec[self.mode.full_spec]

        def route(flow: HTTPFlow) -> None:
            flow.metadata[SERVER] = server

        context.server.address = self.mode.address
        if self.mode.scheme == "http":
            return SidecarHttpLayer(context, route)
        context.server.sni = self.mode.address[0]
        tls = ServerTLSLayer(context)
        tls.child_layer = SidecarHttpLayer(context, route)
        return tls

    async def listen(self, host: str, port: int) -> list[Any]:
        """Begin with the plain transport where the server speaks plain HTTP."""
        if self.mode.scheme != "http":
            return await super().listen(host, port)
        master = this_master()
        server = master.servers_by_spec[self.mode.full_spec]
        listener = PlainListener(master.http_policy, server, self.handle_stream)
        master.plain_listeners.append(listener)
        loop = asyncio.get_running_loop()
        return [await loop.create_server(listener, server.host, server.port, backlog=_ACCEPT_BACKLOG)]


class SidecarHandler(LiveConnectionHandler):
    """Drives the layers of one client connection: events in, commands out, hooks called in place."""

    def __init__(self, reader: Any, writer: Any, options: Any, mode: ProxyMode, hooks: Hooks) -> None:
        super().__init__(reader, writer, options, mode)
        self.context: Context = self.layer.context
        self.context.layers.clear()
        self.max_conns = defaultdict(lambda: asyncio.Semaphore(limits.CONNECTIONS_PER_CLIENT_MAX))
        self._hooks = hooks
        self._waiting: deque[events.Event] = deque()
        self._is_advancing = False
        self._outgoing: dict[Connection, list[bytes]] = {}

    async def handle_hook(self, hook: commands.StartHook) -> None:
        """Hooks outside of the layers (connections coming and going)."""
        if (pending := self._call(hook)) is not None:
            await pending

    async def server_event(self, event: events.Event) -> None:
        """Advance the layers by one event and by everything that follows from it at once."""
        self.advance(event)

    def advance(self, event: events.Event) -> None:
        """The same, for whoever is not in a task of this connection."""
        self.timeout_watchdog.register_activity()
        self._waiting.append(event)
        if self._is_advancing:
            return
        self._is_advancing = True
        try:
            while self._waiting:
                for command in self.layer.handle_event(self._waiting.popleft()):
                    self._carry_out(command)
        except Exception as error:
            self._close_after_error(error)
        finally:
            self._is_advancing = False
            self._flush()

    async def drain_writers(self) -> None:
        """Backpressure, at no cost while nothing is waiting to be written."""
        for transport in self.transports.values():
            writer = transport.writer
            if isinstance(writer, asyncio.StreamWriter) and writer.transport.get_write_buffer_size():
                await super().drain_writers()  # type: ignore[no-untyped-call]
                return

    def _carry_out(self, command: commands.Command) -> None:
        if isinstance(command, commands.SendData):
            self._outgoing.setdefault(command.connection, []).append(command.data)
        elif isinstance(command, CheckReusable):
            command.is_kept = self._is_kept(command.connection)
        elif isinstance(command, commands.StartHook):
            pending = self._call(command)
            if pending is not None:
                asyncio_utils.create_task(self._finish(command, pending), name=f"hook {command.name}", keep_ref=True)
            elif command.blocking:
                self._waiting.append(events.HookCompleted(command))
        elif isinstance(command, commands.OpenConnection):
            self._open(command)
        elif isinstance(command, commands.CloseConnection):
            self._flush()
            if command.connection in self.transports:
                self.close_connection(command.connection, getattr(command, "half_close", False))
        elif isinstance(command, commands.RequestWakeup):
            self.wakeup_timer.add(asyncio_utils.create_task(self.wakeup(command), name="wakeup", keep_ref=False))
        elif isinstance(command, commands.Log):
            self.log(command.message, command.level)
        else:
            raise RuntimeError(f"unexpected command {type(command).__name__}")

    def _is_kept(self, connection: Connection) -> bool:
        transport = self.transports.get(connection)
        writer = transport.writer if transport is not None else None
        if not isinstance(writer, asyncio.StreamWriter) or writer.is_closing():
            return False
        return IdleProbe(writer.transport).is_quiet()

    def _open(self, command: commands.OpenConnection) -> None:
        connection = command.connection
        # Registered first: with eager tasks the connection may already have failed when create_task returns.
        self.transports[connection] = ConnectionIO()
        handler = asyncio_utils.create_task(self.open_connection(command), name="server connection", keep_ref=True)
        if connection in self.transports and self.transports[connection].handler is None:
            self.transports[connection].handler = handler

        def give_up() -> None:
            if connection.state is ConnectionState.CLOSED and not handler.done():
                handler.cancel(f"no connection within {limits.CONNECT_TIMEOUT_S:.0f} s")

        asyncio.get_running_loop().call_later(limits.CONNECT_TIMEOUT_S, give_up)

    def _call(self, hook: commands.StartHook) -> Awaitable[None] | None:
        function = self._hooks.get(hook.name)
        if function is None:
            return None
        (data,) = hook.args()
        try:
            return function(data)
        except Exception as error:
            # Whoever let an exception out of a hook may not have judged: never let the flow go on.
            self._close_after_error(error)
            if isinstance(data, Flow) and data.killable:
                data.kill()
            return None

    async def _finish(self, hook: commands.StartHook, pending: Awaitable[None]) -> None:
        with self.timeout_watchdog.disarm():
            await pending
        await self.server_event(events.HookCompleted(hook))

    def _flush(self) -> None:
        for connection, chunks in self._outgoing.items():
            transport = self.transports.get(connection)
            if transport is not None and transport.writer is not None and not transport.writer.is_closing():
                transport.writer.write(b"".join(chunks))
        self._outgoing.clear()

    def _close_after_error(self, error: Exception) -> None:
        """Say where it happened, never with which data, and drop the connection rather than guess its state."""
        log.error("connection closed: it failed inside the sidecar", where=place_of(error))
        if self.client in self.transports:
            self.close_connection(self.client)

    def log(
        self,
        message: str,
        level: int = logging.INFO,
        exc_info: Literal[True] | tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        """mitmproxy's own notes: only what went wrong, and without what it quotes from traffic."""
        if level >= logging.ERROR:
            log.log(level, "mitmproxy: %s", message.split(":")[0][:80])

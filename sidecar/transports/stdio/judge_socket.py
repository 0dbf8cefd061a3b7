"""The judge socket: where wrap processes of this user ask about the lines of their servers, on a Unix socket.

Two connections of one wrap process, one for each way, stand for one server over stdio (``sidecar.wrap.frames`` tells what
they say). Each asks one thing at a time, so order is kept by waiting for the answer.
"""

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from sidecar import limits
from sidecar.errors import SettingsError
from sidecar.exchange.pipeline import Pipeline
from sidecar.logs import get_logger
from sidecar.settings import Server
from sidecar.transports.stdio.session import StdioSession
from sidecar.wrap import frames
from sidecar.wrap.socket_path import base_of, hold, holder, let_go, open_run_folder

log = get_logger("sidecar.proxy")

_FRAME_BYTES_MAX = limits.STDIO_LINE_BYTES_MAX + limits.MIB
_BACKLOG = 1024


class JudgeSocket:
    """The socket of one settings file and the wrap processes that came through it."""

    def __init__(self, pipeline: Pipeline, servers: Mapping[str, Server], file: str) -> None:
        self._pipeline = pipeline
        self._servers = servers
        self._file = file
        self._base = base_of(file)
        self._lock: int | None = None
        self._listener: asyncio.Server | None = None
        self._wraps: dict[str, tuple[StdioSession, list[WrapConnection]]] = {}

    async def open(self) -> None:
        """Listen. Where no socket can be made (a read-only home, say) there is none, and HTTP goes on without it.

        Raises:
            SettingsError: another proxy serves these settings.
        """
        try:
            open_run_folder()
            self._lock = hold(self._base + ".lock")
            if self._lock is None:
                owner = holder(self._base + ".lock")
                text = f"another proxy (process {owner}) runs with these settings; stop it first, or leave it to its work"
                raise SettingsError(f"{self._file}: error[running]: {text}")
            listening = self._bound()
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_unix_server(lambda: WrapConnection(self), sock=listening, cleanup_socket=False)
        except OSError as error:
            log.warning("servers over stdio cannot be served", error=str(error))

    def stop_listening(self) -> None:
        """Take no new wrap processes; those that came go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with suppress(FileNotFoundError):
                os.unlink(self._base + ".sock")

    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return sum(session.open_calls() for session, _ in self._wraps.values())

    def cut(self) -> None:
        """Part from every wrap process; each looks for the next proxy when it has something to ask."""
        for _, connections in [*self._wraps.values()]:
            for connection in [*connections]:
                connection.drop()

    def close(self) -> None:
        """Make room for the next proxy."""
        if self._lock is not None:
            let_go(self._base + ".lock", self._lock)
            self._lock = None

    def enter(self, connection: "WrapConnection", hello: bytes, user: str) -> tuple[StdioSession, str]:
        """The wrap process a new connection belongs to, and its way. Raises ``ValueError`` when it may not enter."""
        version, wrap_id, server, given_way, notes = hello.split(b"\0", 4)
        if version != frames.VERSION:
            raise ValueError("the sidecar that runs is of another version; restart it")
        wrap, name, way = wrap_id.decode(), server.decode(), given_way.decode()
        if way == frames.OUT:
            session, connections = self._wraps[wrap]
            connections.append(connection)
            return session, way
        if wrap in self._wraps:
            for each in [*self._wraps[wrap][1]]:
                each.drop()
        session = StdioSession(self._pipeline, self._servers.get(name) or Server(name=name), wrap, user)
        session.restore([content for _, content in frames.notes_in(memoryview(notes))])
        self._wraps[wrap] = (session, [connection])
        return session, way

    def leave(self, connection: "WrapConnection") -> None:
        """A connection is lost, and with it the wrap process it belonged to: one way alone is none."""
        for wrap, (session, connections) in [*self._wraps.items()]:
            if connection in connections:
                del self._wraps[wrap]
                session.lost()
                for each in connections:
                    each.drop()

    def turned_away(self) -> None:
        """Somebody else's process asked."""
        self._pipeline.note_refusal("another-user", "a process of another user connected to the judge socket")

    def _bound(self) -> socket.socket:
        """A listening socket under its name, from its first moment on: a stale one of a killed proxy is replaced."""
        draft = self._base + ".new"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(draft)
            os.chmod(draft, 0o600)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
            os.rename(draft, self._base + ".sock")
        except BaseException:
            listening.close()
            raise
        return listening


class WrapConnection(asyncio.Protocol):
    """One way of one wrap process."""

    def __init__(self, judge_socket: JudgeSocket) -> None:
        self._judge_socket = judge_socket
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._user = ""
        self._way = ""
        self._session: StdioSession | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nobody is listened to whom the kernel does not know as this user."""
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if not frames.is_ours(sock):
            self._judge_socket.turned_away()
            self._transport.abort()
            return
        self._user = _user_name(frames.user_of(sock))

    def connection_lost(self, exc: Exception | None) -> None:
        """The wrap process, or one way of it, is gone."""
        self._transport = None
        self._judge_socket.leave(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of a frame, or of several."""
        self._buffer += data
        while self._transport is not None and len(self._buffer) >= frames.HEAD.size:
            length, kind = frames.HEAD.unpack_from(self._buffer)
            if length > _FRAME_BYTES_MAX:
                self.drop()
                return
            end = frames.HEAD.size + length
            if len(self._buffer) < end:
                return
            whole = self._buffer
            self._buffer = whole[end:]
            try:
                self._take(kind, memoryview(whole)[frames.HEAD.size : end])
            except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
                log.error("wrap process disconnected: protocol error", error=type(error).__name__)
                self.drop()

    def drop(self) -> None:
        """Close this connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, kind: int, payload: memoryview) -> None:
        if kind == frames.HELLO:
            self._greet(bytes(payload))
            return
        session = self._session
        if session is None:
            raise ValueError("it did not greet")
        if kind == frames.LINES:
            judge: Callable[[bytes], bytes] = session.from_client if self._way == frames.IN else session.from_server
            said = b"".join([judge(line) for line in frames.lines_in(payload)])
        elif kind == frames.LONG:
            (head,) = frames.COUNT.unpack_from(payload)
            said = session.too_long(self._way, bytes(payload[4 : 4 + head]), bytes(payload[4 + head :]))
        elif kind == frames.END:
            said = session.end(bytes(payload).decode()[: limits.NAME_CHARS_MAX])
        else:
            raise ValueError("an unknown frame")
        self._send(frames.frame(frames.VERDICT, said))

    def _greet(self, hello: bytes) -> None:
        said = ""
        try:
            self._session, self._way = self._judge_socket.enter(self, hello, self._user)
        except ValueError as error:
            said = str(error)
        self._send(frames.frame(frames.HELLO, said.encode()))

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)

"""An MCP server whose every byte a shape decides: HTTP/1.1 by hand, so that nothing tidies up what is sent.

``python -m tests.wire.server PORT`` serves it alone.
"""

import asyncio
import contextlib
import json
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.wire.parts import JSON, Ask, Wait, http
from tests.wire.shapes import SHAPES, tools

_WAIT_S = 2.0


@dataclass(slots=True)
class Request:
    """One HTTP request, as far as the fixture cares."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class _Answers:
    arrived: dict[str, asyncio.Future[Any]] = field(default_factory=dict)

    def of(self, rpc_id: str) -> asyncio.Future[Any]:
        return self.arrived.setdefault(rpc_id, asyncio.get_running_loop().create_future())


class WireServer:
    """The fixture on a port of its own, in a thread of its own."""

    def __init__(self, port: int = 0) -> None:
        self._answers = _Answers()
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, started), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def _run(self, port: int, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        serving = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", port, backlog=512))
        self.port: int = serving.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        serving.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ValueError):
            while (request := await _request(reader)) is not None:
                if not await self._send(request, writer):
                    break
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()

    async def _send(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may serve another."""
        ask, steps = self._steps(request)
        for step in steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, Wait):
                with contextlib.suppress(TimeoutError):
                    ask.answers[step.id] = await asyncio.wait_for(asyncio.shield(self._answers.of(step.id)), _WAIT_S)
                self._answers.arrived.pop(step.id, None)
            elif step == "close":
                return False
            elif step == "abort":
                writer.transport.abort()
                return False
            else:
                writer.write(step if isinstance(step, bytes) else step(ask))
                await writer.drain()
        return True

    def _steps(self, request: Request) -> tuple[Ask, Any]:
        nobody = Ask(b"null", "", False)
        if request.method == "GET" and "last-event-id" in request.headers:
            name, _, rpc_id = request.headers["last-event-id"].partition("/")
            shape = SHAPES.get(name)
            if shape is not None and shape.resumed is not None:
                ask = Ask(rpc_id.encode(), name, False, {}, request.headers)
                return ask, shape.resumed(ask)
        if request.method != "POST":
            status = b"200 OK" if request.method == "DELETE" else b"405 Method Not Allowed"
            return nobody, [http(b"", b"allow: POST, DELETE\r\n", status=status)]
        message = json.loads(request.body)
        if "method" not in message:
            waiting = self._answers.arrived.get(str(message["id"]))
            if waiting is not None and not waiting.done():
                waiting.set_result({name: message[name] for name in ("result", "error") if name in message})
        if "method" not in message or "id" not in message:
            return nobody, [http(b"", b"", status=b"202 Accepted")]
        return self._answer(request, message, json.dumps(message["id"]).encode())

    def _answer(self, request: Request, message: dict[str, Any], rpc_id: bytes) -> tuple[Ask, Any]:
        is_modern = request.headers.get("mcp-protocol-version", "") >= "2026"
        params = message.get("params") or {}
        ask = Ask(rpc_id, str(params.get("name", "")), is_modern, params, request.headers | {":path": request.path})
        if message["method"] == "tools/call" and ask.name in SHAPES:
            return ask, SHAPES[ask.name].steps(ask)
        return ask, [_plumbing(ask, message["method"])]


def _plumbing(ask: Ask, method: str) -> bytes:
    """What every client does before it calls."""
    cached = b'"resultType":"complete","ttlMs":0,"cacheScope":"private",' if ask.is_modern else b""
    capabilities = b'"capabilities":{"tools":{},"logging":{}}'
    info = b'"serverInfo":{"name":"wire","version":"1"}'
    session = b""
    if method == "initialize":
        version = json.dumps(ask.params.get("protocolVersion")).encode()
        result = b'{"protocolVersion":%s,%s,%s}' % (version, capabilities, info)
        session = b"mcp-session-id: wire-session-of-nobody\r\n"
    elif method == "server/discover":
        meta = b'"_meta":{"io.modelcontextprotocol/%s}' % info[1:]
        result = b'{%s"supportedVersions":["2026-07-28"],%s,%s}' % (cached, capabilities, meta)
    elif method == "tools/list":
        result = b'{%s"tools":%s}' % (cached, tools())
    else:
        return http(
            b'{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}' % ask.id, status=b"404 Not Found"
        )
    return http(b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (ask.id, result), JSON + session)


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    return Request(method, path, headers, body)


if __name__ == "__main__":
    server = WireServer(int(sys.argv[1]))
    print(f"http://127.0.0.1:{server.port}/mcp with {len(SHAPES)} shapes")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()

"""The listener itself, in this process and on real sockets: faults of ours refuse, streams flow event by event.

Everything holds with either transport below it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar import limits
from sidecar.events import Message
from sidecar.judging.carry_over import CarryOver
from sidecar.policy.judgement import Judgement
from sidecar.settings import Server
from sidecar.transports.http_policy import HttpPolicy
from sidecar.transports.mitm.flows import MitmTransport
from sidecar.transports.mitm.listener import SidecarMaster
from sidecar.transports.mitm.tls import SidecarTls
from tests.play import SECRETS, Play, aws_key
from tests.ports import free_port

LIST = b'{"jsonrpc":"2.0","id":3,"method":"tools/list"}'

more_head = ""


@pytest.fixture(autouse=True, params=["plain", "mitmproxy"])
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which transport moves the bytes: ``TE`` is good HTTP that the plain one leaves to mitmproxy's."""
    global more_head
    more_head = "" if request.param == "plain" else "te: trailers\r\n"
    yield request.param
    more_head = ""


class Upstream:
    """A server whose answer the test writes piece by piece."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.writer: asyncio.StreamWriter | None = None
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writer = writer
        self.connections += 1
        while data := await reader.read(65536):
            self.requests.append(data)
            self.arrived.set()
        self.left.set()
        writer.close()

    def send(self, data: bytes) -> None:
        """The server's next bytes."""
        assert self.writer is not None
        self.writer.write(data)


@asynccontextmanager
async def listening(tmp_path: Path) -> AsyncIterator[tuple[Play, Upstream, int]]:
    """A listener before an upstream, and the port to reach it."""
    play, upstream, port = Play(tmp_path / "policies", SECRETS), Upstream(), free_port()
    behind = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}"
    play.server = Server(name="crm", listen=f"127.0.0.1:{port}", upstream=address)
    http_policy = HttpPolicy(play.pipeline, [play.server])
    mitm = MitmTransport(http_policy)
    master = mitm.master = SidecarMaster((play.server,), mitm.hooks, http_policy, SidecarTls(None, {}))
    assert await master.start_listeners() == []
    assert master.options.tcp_timeout == limits.IDLE_CONNECTION_S
    try:
        yield play, upstream, port
    finally:
        await master.stop_listeners()
        master.cut_connections()
        while not master.is_idle:
            await asyncio.sleep(0.01)
        behind.close()
        if upstream.writer is not None:
            upstream.writer.close()
        master._legacy_log_events.uninstall()


async def ask(port: int, body: bytes = LIST) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(port, body))
    return reader, writer


def request(port: int, body: bytes = LIST, path: str = "/mcp") -> bytes:
    named = f"host: 127.0.0.1:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more_head}"
    return f"POST {path} HTTP/1.1\r\n{named}\r\n".encode() + body


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)


async def chunk_of(reader: asyncio.StreamReader) -> bytes:
    size = int(await asyncio.wait_for(reader.readline(), 30), 16)
    return (await reader.readexactly(size + 2))[:-2]


@pytest.mark.parametrize("broken", ["request", "response"])
def test_a_fault_of_ours_refuses_instead_of_passing_on(tmp_path: Path, broken: str) -> None:
    """When judging fails in a way nobody foresaw, nothing passes: the client reads an error, the record has a finding."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            real = play.pipeline.services.message_judge.judge

            def judged(message: Message, raw: bytes, now: float, carry_over: CarryOver | None = None) -> Judgement:
                if message.direction == broken:
                    raise RuntimeError("unforeseen")
                return real(message, raw, now, carry_over)

            play.pipeline.services.message_judge.judge = judged  # type: ignore[method-assign]
            reader, writer = await ask(port)
            if broken == "response":
                await asyncio.wait_for(upstream.arrived.wait(), 30)
                upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n")
                upstream.send(b'{"jsonrpc":"2.0","id":3,"result":{}}')
            head = await head_of(reader)
            assert b" 500 " in head
            said = json.loads(await asyncio.wait_for(reader.read(1000), 30))
            assert said["id"] == 3
            assert "could not judge" in said["error"]["message"]
            assert (upstream.requests == []) is (broken == "request")
            assert any(row["rule"] == "wire.internal" and row["kind"] == "error" for row in play.findings)
            assert "unforeseen" not in play.everything.decode()
            writer.close()

    asyncio.run(scenario())


def test_events_arrive_while_the_stream_is_open(tmp_path: Path) -> None:
    """Each event is passed on when it is complete, not when the stream ends; half an event waits."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            assert b"text/event-stream" in await head_of(reader)
            first, second = b"data: 1\n\n", b": ping\n\n"
            upstream.send(b"%x\r\n%s\r\n" % (len(first), first))
            assert await chunk_of(reader) == first
            upstream.send(b"%x\r\n%s\r\n" % (3, second[:3]))
            upstream.send(b"%x\r\n%s\r\n" % (len(second) - 3, second[3:]))
            assert await chunk_of(reader) == second
            writer.close()
            await asyncio.wait_for(upstream.left.wait(), 30)

    asyncio.run(scenario())


def test_a_client_that_leaves_frees_the_server_at_once(tmp_path: Path) -> None:
    """In the modern era closing the connection is the cancellation, so it is passed on, and recorded."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            _, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            writer.close()
            await asyncio.wait_for(upstream.left.wait(), 30)
            assert play.calls[0]["status"] == "cancelled"

    asyncio.run(scenario())


def test_a_server_that_closes_without_saying_so(tmp_path: Path) -> None:
    """A request that follows at once is not sent into the closing connection, and so not lost."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port) + request(port))
            body = b'{"jsonrpc":"2.0","id":3,"result":{"tools":[]}}'
            for number in (1, 2):
                await asyncio.wait_for(upstream.arrived.wait(), 30)
                upstream.arrived.clear()
                upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
                upstream.send(body)
                assert upstream.writer is not None
                upstream.writer.close()
                assert b" 200 " in await head_of(reader)
                assert await reader.readexactly(len(body)) == body
                assert upstream.connections == number
            writer.close()

    asyncio.run(scenario())


def test_an_event_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends an event cannot fill the memory: the client gets an error, the server is left."""
    monkeypatch.setattr(limits, "EVENT_BYTES_MAX", 1000)

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            await head_of(reader)
            upstream.send(b"data: " + b"x" * 3000)
            said = await chunk_of(reader)
            assert b'"id":3' in said
            assert b"longer than" in said
            await asyncio.wait_for(upstream.left.wait(), 30)
            assert play.calls[0]["status"] == "upstream_error"
            writer.close()

    asyncio.run(scenario())


def test_an_upgrade_opens_no_tunnel(tmp_path: Path) -> None:
    """A server that answers 101 gets no way past the judge: the client reads an error."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw bytes")
            assert b" 502 " in await head_of(reader)
            assert json.loads(await asyncio.wait_for(reader.read(1000), 30))["id"] == 3
            assert play.calls[0]["status"] == "upstream_error"
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("content_type", ["text/event-streamx", "application/json, text/event-stream", "TEXT/EVENT-STREAM"])
def test_whatever_a_client_takes_for_a_stream_is_one(tmp_path: Path, content_type: str) -> None:
    """Clients look at the type of a response in different ways; a stream to any of them is judged event by event."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n".encode())
            assert b"text/event-stream" in (await head_of(reader)).lower()
            escaped = "".join(f"\\u{ord(each):04x}" for each in aws_key())
            upstream.send(f'data: {{"jsonrpc":"2.0","id":3,"result":{{"k":"{escaped}"}}}}\n\n'.encode())
            assert b"[secrets.aws-key]" in await chunk_of(reader)
            writer.close()

    asyncio.run(scenario())


def test_a_head_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless headers of a client or a server fill no memory."""
    monkeypatch.setattr(limits, "HEADER_BYTES_MAX", 2000)

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /mcp HTTP/1.1\r\nx: " + b"y" * 5000)
            assert b" 431 " in await head_of(reader)
            writer.close()
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 5000)
            assert b" 502 " in await head_of(reader)
            assert play.calls[0]["status"] == "upstream_error"
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("media_type", ["text/event-stream", "application/json"])
def test_no_client_is_told_another_encoding(tmp_path: Path, media_type: str) -> None:
    """What was judged is UTF-8; a client that decodes by the header would read something else in the same bytes."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            body = b'{"jsonrpc":"2.0","id":3,"result":{}}'
            body = body if media_type == "application/json" else b"data: " + body + b"\n\n"
            said = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}; charset=utf-7\r\ncontent-length: {len(body)}\r\n\r\n"
            upstream.send(said.encode() + body)
            head = (await head_of(reader)).lower()
            assert f"content-type: {media_type}\r\n".encode() in head
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said", [b"200 O\x00K\r\n", b"200 OK\r\nx: a\rb\r\n", b"200 OK\r\nx: \x01\r\n", b"200200 OK\r\n", b"200 OK\r\nx\\y: z\r\n"]
)
def test_a_head_strict_clients_would_not_read_is_an_error(tmp_path: Path, said: bytes) -> None:
    """A response that only lenient parsers read becomes an error with its id, and nothing of it is quoted."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await ask(port)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 " + said + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            assert b" 502 " in await head_of(reader)
            error = json.loads(await asyncio.wait_for(reader.read(1000), 30))
            assert error["id"] == 3
            assert "its response is not valid HTTP" in error["error"]["message"]
            assert play.calls[0]["status"] == "upstream_error"
            writer.close()

    asyncio.run(scenario())

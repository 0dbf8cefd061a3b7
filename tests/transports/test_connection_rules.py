"""How connections live and end, and what they keep for themselves: the same on either HTTP transport, on real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.settings import Server
from sidecar.state.exchange import Exchange, Request
from sidecar.transports.connection_rules import is_last, rewrite_redirect, without_named
from tests.play import Play
from tests.transports.mitm.test_flows import Upstream, chunk_of, head_of, listening, request, transport

__all__ = ["transport"]

SERVER = Server(name="crm", listen="127.0.0.1:9001", upstream="https://crm.example")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

Scene = Callable[[Play, Upstream, int], Awaitable[None]]


def run(folder: Path, scene: Scene) -> None:
    """A scene between a client and an upstream, with a listener between them."""

    async def scenario() -> None:
        async with listening(folder) as (play, upstream, port):
            await asyncio.wait_for(scene(play, upstream, port), 60)

    asyncio.run(scenario())


def ask(port: int, more: str = "", rpc_id: int = 1, version: str = "1.1") -> bytes:
    body = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}' % rpc_id
    asked = request(port, body).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1)
    return asked.replace(b"\r\n\r\n", f"\r\n{more}\r\n".encode(), 1) if more else asked


def result(rpc_id: int = 1) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[]}}' % rpc_id


def answer(rpc_id: int = 1, more: bytes = b"", head: bytes = HEAD) -> bytes:
    return head + more + b"content-length: %d\r\n\r\n" % len(result(rpc_id)) + result(rpc_id)


async def arrived(upstream: Upstream) -> bytes:
    """The head of the next request as the server received it, in lower case."""
    await asyncio.wait_for(upstream.arrived.wait(), 30)
    upstream.arrived.clear()
    return upstream.requests[-1].partition(b"\r\n\r\n")[0].lower()


async def response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next response with a length: its head in lower case, and its body."""
    head = (await head_of(reader)).lower()
    size = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    return head, await asyncio.wait_for(reader.readexactly(size), 30)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the connection is closed."""
    return await asyncio.wait_for(reader.read(-1), 30)


@pytest.mark.parametrize("said", ["close", "Close", "keep-alive, CLOSE"])
def test_a_client_that_asks_to_close_is_closed_after_its_answer(tmp_path: Path, said: str) -> None:
    """A client that reads to the end of the connection gets its answer and the end, and is told so (RFC 9112 §9.6)."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port, f"connection: {said}\r\n"))
        assert b"\nconnection" not in await arrived(upstream)
        upstream.send(answer())
        whole = await rest(reader)
        assert b"connection: close\r\n" in whole and whole.endswith(result())
        writer.close()

    run(tmp_path, scene)


def test_what_a_client_sends_after_asking_to_close_is_no_request(tmp_path: Path) -> None:
    """A request behind one with ``Connection: close`` is neither judged nor sent: its sender cannot expect an answer."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port, "connection: close\r\n") + ask(port, rpc_id=2))
        await arrived(upstream)
        upstream.send(answer())
        assert (await rest(reader)).endswith(result())
        await asyncio.wait_for(upstream.left.wait(), 30)
        assert [row["rpc_id"] for row in play.calls] == ["1"]
        assert b"".join(upstream.requests).count(b"POST") == 1
        writer.close()

    run(tmp_path, scene)


@pytest.mark.parametrize("case", ["refused", "failed", "stream"])
def test_whatever_the_answer_is_the_connection_closes_after_it(tmp_path: Path, case: str) -> None:
    """A refusal, an error because the server is gone, and an event stream end the connection of a client that asked for it."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asked = ask(port, "connection: close\r\n")
        writer.write(asked.replace(b"host: 127.0.0.1", b"host: evil.example", 1) if case == "refused" else asked)
        if case != "refused":
            await arrived(upstream)
            upstream.send(STREAM_HEAD + b"9\r\ndata: 1\n\n\r\n0\r\n\r\n" if case == "stream" else b"")
            assert upstream.writer is not None
            upstream.writer.close()
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + {"refused": b"421", "failed": b"502", "stream": b"200"}[case])
        assert b"connection: close" in head.lower().split(b"\r\n")
        assert body.endswith(b"0\r\n\r\n" if case == "stream" else b"}")
        writer.close()

    run(tmp_path, scene)


def test_a_client_that_closes_its_sending_side_has_left(tmp_path: Path) -> None:
    """A half-closed connection looks like a closed one on the wire, and a cancel must not wait to find out."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port))
        await arrived(upstream)
        writer.write_eof()
        await asyncio.wait_for(upstream.left.wait(), 30)
        writer.close()
        assert [row["status"] for row in play.calls] == ["cancelled"]

    run(tmp_path, scene)


def test_a_refusal_is_read_by_a_client_that_closes_its_sending_side(tmp_path: Path) -> None:
    """What is answered at once arrives all the same."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port).replace(b"host: 127.0.0.1", b"host: evil.example", 1))
        writer.write_eof()
        assert (await rest(reader)).startswith(b"HTTP/1.1 421 ")
        writer.close()

    run(tmp_path, scene)


def test_fields_of_the_servers_connection_stay_there(tmp_path: Path) -> None:
    """A response that is held until it is whole says nothing of the connection it came over (RFC 9110 §7.6.1)."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port))
        await arrived(upstream)
        more = (
            b"Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
            b"Trailer: x-sum\r\nUpgrade: h2c\r\nX-Kept: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        upstream.send(HEAD + more + b"%x\r\n%b\r\n0\r\n\r\n" % (len(result()), result()))
        head, body = await response(reader)
        names = sorted(line.partition(b":")[0] for line in head.split(b"\r\n")[1:-2])
        assert names == [b"content-length", b"content-type", b"x-kept"]
        assert body == result()
        writer.write(ask(port, rpc_id=2))
        await arrived(upstream)
        upstream.send(answer(2))
        assert (await response(reader))[1] == result(2)
        assert upstream.connections == 1
        writer.close()

    run(tmp_path, scene)


def test_fields_a_client_names_for_its_connection_do_not_reach_the_server(tmp_path: Path) -> None:
    """Fields named in ``Connection`` end here; all others arrive, and the connection lives on."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in (1, 2):
            more = "Connection: keep-alive, X-Hop ,x-other\r\nX-Hop: 1\r\nx-OTHER: 2\r\nX-End: 3\r\nKeep-Alive: timeout=5\r\n"
            writer.write(ask(port, more, number))
            head = await arrived(upstream)
            assert b"x-end: 3" in head
            assert not [name for name in (b"x-hop", b"x-other", b"keep-alive", b"\nconnection") if name in head]
            upstream.send(answer(number))
            assert (await response(reader))[1] == result(number)
        writer.close()

    run(tmp_path, scene)


def test_fields_a_server_names_for_its_connection_do_not_reach_the_client(tmp_path: Path) -> None:
    """It is the same for responses, held or streamed; what a client needs to read them stays, even if it is named."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        named = (
            b"Connection: X-Hop, Content-Type, Content-Length, Mcp-Session-Id\r\nX-Hop: 1\r\nmcp-session-id: s\r\nx-end: 3\r\n"
        )
        writer.write(ask(port))
        await arrived(upstream)
        upstream.send(answer(more=named))
        head, body = await response(reader)
        assert body == result()
        assert b"x-hop" not in head and b"\nconnection" not in head
        assert b"content-type: application/json\r\n" in head and b"mcp-session-id: s\r\n" in head and b"x-end: 3\r\n" in head
        writer.write(ask(port, rpc_id=2))
        await arrived(upstream)
        upstream.send(STREAM_HEAD[:-2] + named + b"\r\n9\r\ndata: 1\n\n\r\n")
        head = (await head_of(reader)).lower()
        assert b"x-hop" not in head and b"text/event-stream" in head and b"mcp-session-id: s\r\n" in head
        assert await chunk_of(reader) == b"data: 1\n\n"
        writer.close()

    run(tmp_path, scene)


def test_naming_a_field_hides_it_from_no_check(tmp_path: Path) -> None:
    """A web page's ``Origin`` is refused although ``Connection`` names it."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port, "connection: origin, host\r\norigin: https://evil.example\r\n"))
        assert b" 403 " in await head_of(reader)
        assert upstream.requests == []
        writer.close()

    run(tmp_path, scene)


def test_what_says_how_a_request_is_read_cannot_be_taken_away(tmp_path: Path) -> None:
    """Server and sidecar read the same request: content, session and credentials arrive although ``Connection`` names them."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        names = "content-type, content-length, host, authorization, mcp-session-id"
        writer.write(ask(port, f"connection: {names}\r\nauthorization: Basic eA==\r\nmcp-session-id: s\r\n"))
        head = await arrived(upstream)
        for field in (
            b"content-type: application/json",
            b"content-length: ",
            b"host: ",
            b"authorization: ",
            b"mcp-session-id: s",
        ):
            assert b"\n" + field in head
        writer.close()

    run(tmp_path, scene)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_client_of_http_1_0_keeps_its_connection_if_it_asks(tmp_path: Path, is_kept: bool) -> None:
    """Each answer says whether the connection stays open, and it does what it says (RFC 9112 §9.3, §C.2.2)."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in (1, 2) if is_kept else (1,):
            writer.write(ask(port, "Connection: Keep-Alive\r\n" if is_kept else "", number, "1.0"))
            await arrived(upstream)
            assert upstream.requests[-1].startswith(b"POST /mcp HTTP/1.1\r\n")
            upstream.send(answer(number))
            head, body = await response(reader)
            assert body == result(number)
            assert (b"connection: keep-alive\r\n" if is_kept else b"connection: close\r\n") in head
        if not is_kept:
            assert await rest(reader) == b""
        writer.close()

    run(tmp_path, scene)


def test_a_stream_to_a_client_of_http_1_0_ends_with_its_connection(tmp_path: Path) -> None:
    """It knows no chunks, so even where it wants the connection kept, the end of the stream is the end of that."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port, "connection: keep-alive\r\n", version="1.0"))
        await arrived(upstream)
        event = b"data: " + result() + b"\n\n"
        upstream.send(STREAM_HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
        assert b"connection: close" in head and b"transfer-encoding" not in head
        assert body == event
        writer.close()

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (HEAD, True),
        (HEAD + b"connection: Close\r\n", False),
        (HEAD + b"connection: x-a, close\r\n", False),
        (HEAD.replace(b"1.1", b"1.0"), False),
        (HEAD.replace(b"1.1", b"1.0") + b"connection: Keep-Alive\r\n", True),
    ],
)
def test_a_servers_connection_is_used_again_only_if_it_says_so(tmp_path: Path, head: bytes, is_kept: bool) -> None:
    """No request goes into a connection its server is about to close; the client's own stays open and says HTTP/1.1."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in (1, 2):
            writer.write(ask(port, rpc_id=number))
            await arrived(upstream)
            upstream.send(answer(number, head=head))
            got, body = await response(reader)
            assert got.startswith(b"http/1.1 200 ok\r\n") and b"\nconnection" not in got
            assert body == result(number)
        assert upstream.connections == (1 if is_kept else 2)
        writer.close()

    run(tmp_path, scene)


def test_a_response_without_a_body_has_none_whatever_its_head_says(tmp_path: Path) -> None:
    """``204`` with the type of a stream is no stream, so the next response on the connection begins where it should."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask(port))
        await arrived(upstream)
        upstream.send(b"HTTP/1.1 204 No Content\r\ncontent-type: text/event-stream\r\n\r\n")
        head = (await head_of(reader)).lower()
        assert b" 204 " in head and b"transfer-encoding" not in head and b"content-length" not in head
        writer.write(ask(port, rpc_id=2))
        await arrived(upstream)
        upstream.send(answer(2))
        assert (await head_of(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()

    run(tmp_path, scene)


def test_the_length_of_a_body_that_head_leaves_out_is_the_servers(tmp_path: Path) -> None:
    """A client that asks with HEAD learns how long the body would be, and reads none."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"HEAD /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
        await arrived(upstream)
        upstream.send(HEAD + b"content-length: 4711\r\n\r\n")
        whole = await rest(reader)
        assert whole.endswith(b"\r\n\r\n") and b"content-length: 4711\r\n" in whole
        writer.close()

    run(tmp_path, scene)


@pytest.mark.parametrize(
    ("version", "connection", "is_proxy", "expected"),
    [
        ("HTTP/1.1", "", False, False),
        ("HTTP/1.1", "keep-alive", False, False),
        ("HTTP/1.1", "x-a,\tClose", False, True),
        ("HTTP/1.1", "closed", False, False),
        ("HTTP/1.0", "", False, True),
        ("HTTP/1.0", "Keep-Alive", False, False),
        ("HTTP/1.0", "keep-alive, close", False, True),
        ("HTTP/1.0", "keep-alive", True, True),
        ("HTTP/1.1", "keep-alive", True, False),
    ],
)
def test_a_connection_closes_as_the_standard_says(version: str, connection: str, is_proxy: bool, expected: bool) -> None:
    """Every version and option, in any spelling; a proxy keeps no connection of a client of HTTP/1.0."""
    assert is_last(version, connection, is_proxy=is_proxy) is expected


@pytest.mark.parametrize(
    ("connection", "dropped"),
    [
        ("keep-alive", set()),
        ("x-a", {"X-A"}),
        (" X-A ,, x-b", {"X-A", "x-b"}),
        ("upgrade", set()),
        ("Host, Content-Type, Mcp-Name, ORIGIN", set()),
        ("x a", set()),
    ],
)
def test_only_fields_of_the_connection_can_be_named(connection: str, dropped: set[str]) -> None:
    """Named fields go, whatever their spelling; hop-by-hop fields are left to whoever writes the head."""
    fields = [(name, "1") for name in ("Host", "X-A", "x-b", "Content-Type", "Mcp-Name", "Origin", "Upgrade")]
    kept = without_named(fields, connection)
    assert {name for name, _ in fields} - {name for name, _ in kept} == dropped
    assert (kept is fields) is (not dropped)


def redirected(location: str) -> str:
    """The address a client reads where its server wrote this one."""
    request = Request("POST", "/mcp", {"host": "localhost:9001"}, b"", "127.0.0.1", 0.0, 0.0)
    exchange = Exchange(SERVER, request)
    return rewrite_redirect(exchange, location)


@pytest.mark.parametrize(
    "location",
    [
        "https://crm.example/mcp/?a=1",
        "https://crm.example:443/mcp/?a=1",
        "HTTPS://CRM.example/mcp/?a=1",
        "http://crm.example/mcp/?a=1",
        "//crm.example/mcp/?a=1",
    ],
)
def test_a_redirect_to_the_server_itself_stays_at_the_sidecar(location: str) -> None:
    """However a server writes its own address, the client that follows it is judged on."""
    assert redirected(location) == "http://localhost:9001/mcp/?a=1"


@pytest.mark.parametrize(
    "location", ["/mcp/", "https://other.example/mcp", "https://crm.example:8443/x", "https://crm.example.evil.example/", "//["]
)
def test_any_other_redirect_is_the_servers_own(location: str) -> None:
    """What leads elsewhere, or is no address, is passed on as it came."""
    assert redirected(location) == location

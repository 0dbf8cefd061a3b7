"""What a client sees of the plain transport: requests in any pieces, in order, and mitmproxy's for whatever is unusual."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.transports.mitm.test_flows import Upstream, chunk_of, head_of, listening, request

JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def listing(rpc_id: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}' % rpc_id


def result(rpc_id: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[]}}' % rpc_id


def answer(body: bytes, more: bytes = b"") -> bytes:
    return JSON_HEAD + more + b"content-length: %d\r\n\r\n" % len(body) + body


async def asked(upstream: Upstream) -> bytes:
    """The next request as the server received it."""
    await asyncio.wait_for(upstream.arrived.wait(), 30)
    upstream.arrived.clear()
    return upstream.requests[-1]


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The body of the next response."""
    head = (await head_of(reader)).lower()
    size = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(size)


def test_requests_sent_at_once_are_answered_in_order(tmp_path: Path) -> None:
    """A client may send the next request before it has the answer; each gets its own, over one connection to the server."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"".join(request(port, listing(each)) for each in (1, 2, 3)))
            for each in (1, 2, 3):
                assert (await asked(upstream)).endswith(listing(each))
                upstream.send(answer(result(each)))
                assert await answered(reader) == result(each)
            assert upstream.connections == 1
            writer.close()

    asyncio.run(scenario())


def test_a_request_in_single_bytes_is_the_same_request(tmp_path: Path) -> None:
    """However the network cuts a request, the server gets it whole, and the client the answer as the server wrote it."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            whole = request(port, listing(7))
            for index in range(len(whole)):
                writer.write(whole[index : index + 1])
                await asyncio.sleep(0)
            assert (await asked(upstream)).endswith(listing(7))
            said = answer(result(7), b"x-odd:   spaced \r\n")
            for index in range(len(said)):
                upstream.send(said[index : index + 1])
                await asyncio.sleep(0)
            assert await answered(reader) == result(7)
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("is_first", [True, False])
def test_an_unusual_request_is_served_on_the_same_connection(tmp_path: Path, is_first: bool) -> None:
    """A body in chunks, first or after others on its connection, reaches the server whole and is recorded like any other."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if not is_first:
                writer.write(request(port, listing(1)))
                await asked(upstream)
                upstream.send(answer(result(1)))
                assert await answered(reader) == result(1)
            body = listing(2)
            writer.write(
                f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n".encode()
                + b"transfer-encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
            )
            assert (await asked(upstream)).endswith(body)
            upstream.send(answer(result(2)))
            assert await answered(reader) == result(2)
            assert [row["status"] for row in play.calls] == ["ok"] * (1 if is_first else 2)
            writer.close()

    asyncio.run(scenario())


def test_what_a_server_says_unasked_answers_nothing(tmp_path: Path) -> None:
    """A second response to one request is not given to whoever asks next."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port, listing(1)))
            await asked(upstream)
            upstream.send(answer(result(1)) + answer(result(2)))
            assert await answered(reader) == result(1)
            writer.write(request(port, listing(2)))
            assert (await asked(upstream)).endswith(listing(2))
            assert upstream.connections == 2
            upstream.send(answer(b'{"jsonrpc":"2.0","id":2,"result":{"real":true}}'))
            assert b"real" in await answered(reader)
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("ending", [b"connection: close\r\n", b"transfer-encoding: chunked\r\nconnection: close\r\n"])
def test_a_server_that_closes_after_each_answer(tmp_path: Path, ending: bytes) -> None:
    """The client's connection lives on; the next request gets a new connection to the server."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for each in (1, 2):
                writer.write(request(port, listing(each)))
                await asked(upstream)
                body = result(each)
                framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if b"chunked" in ending else body
                upstream.send(JSON_HEAD + ending + b"\r\n" + framed)
                assert upstream.writer is not None
                upstream.writer.close()
                assert await answered(reader) == body
            assert upstream.connections == 2
            writer.close()

    asyncio.run(scenario())


def test_an_answer_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    """A server that dies in the middle of its answer: the client reads an error with its id, not half an answer."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port, listing(5)))
            await asked(upstream)
            upstream.send(JSON_HEAD + b"content-length: 100\r\n\r\n" + b'{"jsonrpc"')
            assert upstream.writer is not None
            upstream.writer.close()
            said = json.loads(await answered(reader))
            assert said["id"] == 5
            assert "in the middle of its answer" in said["error"]["message"]
            assert play.calls[0]["status"] == "upstream_error"
            writer.close()

    asyncio.run(scenario())


def test_a_slow_reader_holds_the_server_back(tmp_path: Path) -> None:
    """A client that does not read its stream fills no memory here: the server is not read either, until it does."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(request(port))
            await asked(upstream)
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            event = b"data: " + b"x" * 60_000 + b"\n\n"
            sent = 0
            assert upstream.writer is not None
            transport = upstream.writer.transport
            while transport.get_write_buffer_size() < 1_000_000 and sent < 2_000:
                upstream.send(b"%x\r\n%b\r\n" % (len(event), event))
                sent += 1
                await asyncio.sleep(0)
            assert sent < 2_000, "the sidecar took 120 MB for a client that read nothing"
            upstream.send(b"0\r\n\r\n")
            await head_of(reader)
            left = sent * len(event)
            while left:
                left -= len(await chunk_of(reader))
            writer.close()

    asyncio.run(scenario())


def test_a_second_response_changes_nothing_of_the_first(tmp_path: Path) -> None:
    """A client reads the status and the reason that the server gave its answer, whatever the server says behind it."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port, listing(1)))
            await asked(upstream)
            upstream.send(answer(result(1)) + b"HTTP/1.1 403 Never\r\ncontent-length: 0\r\n\r\n")
            assert (await head_of(reader)).startswith(b"HTTP/1.1 200 OK\r\n")
            writer.close()

    asyncio.run(scenario())


def test_a_client_that_asks_on_and_on_and_reads_nothing_is_held_back(tmp_path: Path) -> None:
    """A flood of requests whose answers nobody reads fills no memory here, and each is answered once the client reads."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, _, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            many = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n" * 2_000
            sent = 0
            while writer.transport.get_write_buffer_size() < 1_000_000 and sent < 500:
                writer.write(many)
                sent += 1
                await asyncio.sleep(0)
            assert sent < 500, "the sidecar took 40 MB from a client that read nothing"
            for _ in range(5_000):
                assert b"421" in (await head_of(reader)).splitlines()[0]
                await reader.readuntil(b"}}")
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said",
    [
        JSON_HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        JSON_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        JSON_HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        JSON_HEAD + b"x: a\r\n folded: b\r\ncontent-length: 2\r\n\r\n{}",
        JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_a_server_that_speaks_http_wrongly_is_an_error(tmp_path: Path, said: bytes) -> None:
    """What clients could read in two ways is not passed on; the client reads an error with its id, at once."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port, listing(5)))
            await asked(upstream)
            upstream.send(said)
            said_to_client = json.loads(await answered(reader))
            assert said_to_client["id"] == 5
            assert "its response is not valid HTTP" in said_to_client["error"]["message"]
            writer.close()

    asyncio.run(scenario())


def test_a_server_that_ends_lines_with_lf_alone_is_understood(tmp_path: Path) -> None:
    """Clients understand it, so it passes."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, upstream, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(port, listing(5)))
            await asked(upstream)
            upstream.send(answer(result(5)).replace(b"\r\n", b"\n"))
            assert await answered(reader) == result(5)
            writer.close()

    asyncio.run(scenario())

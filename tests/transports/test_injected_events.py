"""Events of ours in a stream of the server's, on real sockets."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.exchange.test_pipeline import call
from tests.play import aws_key
from tests.transports.mitm.test_flows import chunk_of, head_of, listening

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def request(port: int, method: str, path: str, body: bytes = b"", version: str = "1.1", more: str = "") -> Connection:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/{version}\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n{more}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


@pytest.mark.parametrize("more", ["", "te: trailers\r\n"], ids=["plain", "mitmproxy"])
def test_a_refusal_arrives_between_two_events(tmp_path: Path, more: str) -> None:
    """It is a chunk of its own while half of the server's next event is still held, and that event stays whole."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await request(port, "GET", "/sse", more=more)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            await head_of(reader)
            first = b"event: endpoint\ndata: /message?sessionId=5f\n\n"
            half, rest = b'data: {"jsonrpc":"2.0",', b'"method":"notifications/x"}\n\n'
            upstream.send(b"%x\r\n%s\r\n%x\r\n%s\r\n" % (len(first), first, len(half), half))
            assert await chunk_of(reader) == first
            post, post_writer = await request(port, "POST", "/message?sessionId=5f", json.dumps(call(aws_key())).encode())
            assert b" 202 " in await head_of(post)
            said = await chunk_of(reader)
            assert said.startswith(b"event: message\ndata: ")
            assert json.loads(said.splitlines()[1][6:])["result"]["isError"] is True
            upstream.send(b"%x\r\n%s\r\n" % (len(rest), rest))
            assert await chunk_of(reader) == half + rest
            assert len(upstream.requests) == 1, "the refused call reached nobody"
            writer.close()
            post_writer.close()
            await asyncio.wait_for(upstream.left.wait(), 30)
            assert list(play.pipeline.services.open_streams) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_of_any_http_version_reads_it(tmp_path: Path, version: str) -> None:
    """HTTP/1.0 knows no chunks, so there the bytes stand as they are."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            reader, writer = await request(port, "GET", "/sse", version=version)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            await head_of(reader)
            (stream,) = play.pipeline.services.open_streams
            inject = stream.stream.inject
            assert inject is not None
            inject(b": ours\n\n")
            expected = b": ours\n\n" if version == "1.0" else b"8\r\n: ours\n\n\r\n"
            assert await asyncio.wait_for(reader.readexactly(len(expected)), 30) == expected
            writer.close()
            await asyncio.wait_for(upstream.left.wait(), 30)
            assert stream.stream.inject is None

    asyncio.run(scenario())


@pytest.mark.parametrize("more", ["", "te: trailers\r\n"], ids=["plain", "mitmproxy"])
def test_trailers_of_a_response_reach_nobody(tmp_path: Path, more: str) -> None:
    """They would come after the judging, so either transport leaves them out, and the answer before them arrives."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            body = b'{"jsonrpc":"2.0","id":3,"method":"tools/list"}'
            reader, writer = await request(port, "POST", "/mcp", body, more=more)
            await asyncio.wait_for(upstream.arrived.wait(), 30)
            answer = b'{"jsonrpc":"2.0","id":3,"result":{}}'
            upstream.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            upstream.send(b"%x\r\n%s\r\n0\r\nx-note: %s\r\n\r\n" % (len(answer), answer, aws_key().encode()))
            assert b" 200 " in await head_of(reader)
            assert await asyncio.wait_for(reader.readuntil(answer), 30)
            writer.close()
            assert aws_key().encode() not in await asyncio.wait_for(reader.read(), 30)
            await asyncio.wait_for(upstream.left.wait(), 30)
            assert aws_key().encode() not in play.everything
            assert [row["status"] for row in play.calls] == ["ok"]

    asyncio.run(scenario())

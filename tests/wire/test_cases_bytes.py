"""Cases 11 to 14 and 23: bodies, events and HTTP as bytes, between a real listener and real sockets."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.state.exchange import Exchange
from sidecar.transports.http_policy import HttpPolicy
from tests.exchange.test_pipeline import call, result
from tests.play import SECRETS, Play, aws_key
from tests.transports.mitm.test_flows import Upstream, chunk_of, head_of, listening, transport

__all__ = ["transport"]

BODY = json.dumps(call()).encode()
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"n":1.00,"t":"%s"}}'
EVENT = b"id: 1\ndata: " + ANSWER + b"\n\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n%s\r\n"

Scene = Callable[[Play, Upstream, int], Awaitable[None]]


def played(tmp_path: Path, scene: Scene) -> None:
    """Run one scene between a client and a server, with the sidecar in between."""

    async def run() -> None:
        async with listening(tmp_path) as (play, upstream, port):
            await asyncio.wait_for(scene(play, upstream, port), 30)

    asyncio.run(run())


async def send(
    port: int, body: bytes = BODY, head: str = "", first: str = "POST /mcp HTTP/1.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The client's request, byte by byte as given."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = f"content-length: {len(body)}\r\n" if "ength" not in head and "ncoding: chunked" not in head else ""
    lines = f"{first}\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n{length}{head}\r\n"
    writer.write(lines.encode() + body)
    return reader, writer


async def whole(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A response with a length: its head and its body."""
    head = await head_of(reader)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head, await reader.readexactly(int(length.split(b":")[1]))


async def answered(upstream: Upstream, raw: bytes) -> None:
    """The server gives this answer as soon as it was asked."""
    await upstream.arrived.wait()
    upstream.arrived.clear()
    upstream.send(raw)


def response(body: bytes, head: str = "", status: str = "200 OK", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body


def packed(encoding: str, plain: bytes) -> bytes:
    tools: dict[str, Any] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}
    return bytes(tools[encoding](plain))


def test_case_11_a_gzipped_request(tmp_path: Path) -> None:
    """Refused by default, before the server sees a byte; unpacked for the server where the settings ask for it."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, gzip.compress(BODY), "content-encoding: gzip\r\n")
        assert b" 400 " in (await whole(reader))[0] and upstream.requests == []
        writer.close()
        for server in (play.server,):
            object.__setattr__(server, "parsing", "canonical")
        reader, writer = await send(port, gzip.compress(BODY), "content-encoding: gzip\r\ndigest: sha-256=x\r\n")
        await answered(upstream, response(ANSWER % b"x"))
        head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
        assert json.loads(body) == call() and b"content-encoding" not in head.lower() and b"digest" not in head.lower()
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert (await whole(reader))[1] == ANSWER % b"x"
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_case_11_an_encoded_answer_is_judged_and_passed_on_plain(tmp_path: Path, encoding: str) -> None:
    """The server is asked for a plain body; should it send another, every client reads what was judged."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, head="accept-encoding: gzip, br, zstd\r\n")
        await answered(upstream, response(packed(encoding, ANSWER % aws_key().encode()), f"content-encoding: {encoding}\r\n"))
        head, body = await whole(reader)
        assert body == ANSWER % b"[secrets.aws-key]" and b"content-encoding" not in head.lower()
        assert b"accept-encoding: identity" in upstream.requests[0].lower()
        assert play.calls[0]["verdict"] == "redact"
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [("gzip", gzip.compress(ANSWER)[:-6]), ("zstd", zstandard.compress(ANSWER)[:-3]), ("gzip", ANSWER), ("x-rot13", ANSWER)],
)
def test_case_11_a_truncated_body_is_an_error(tmp_path: Path, encoding: str, raw: bytes) -> None:
    """Some clients take what there is of a broken body; none gets it. The client reads an error with its id."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        await answered(upstream, response(raw, f"content-encoding: {encoding}\r\n"))
        head, body = await whole(reader)
        assert b" 502 " in head and json.loads(body)["id"] == 1
        assert play.calls[0]["status"] == "upstream_error"
        writer.close()

    played(tmp_path, scene)


def test_case_11_a_gzipped_event_stream_is_judged_event_by_event(tmp_path: Path) -> None:
    """A server that compresses its stream all the same, flushing after each event, hides nothing and delays nothing."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        await answered(upstream, STREAM % b"content-encoding: gzip\r\n")
        head = await head_of(reader)
        assert b"content-encoding" not in head.lower()
        packer = zlib.compressobj(wbits=31)
        for said, seen in (
            (b": hello\n\n", b": hello\n\n"),
            (
                b"id: 1\ndata: " + ANSWER % aws_key().encode() + b"\n\n",
                b"id: 1\ndata: " + ANSWER % b"[secrets.aws-key]" + b"\n\n",
            ),
        ):
            part = packer.compress(said) + packer.flush(zlib.Z_SYNC_FLUSH)
            upstream.send(b"%x\r\n%s\r\n" % (len(part), part))
            assert await chunk_of(reader) == seen
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize(("encoding", "stream"), [("br", b"x"), ("gzip", b"data: plain\n\n")])
def test_case_11_an_event_stream_nobody_can_read(tmp_path: Path, encoding: str, stream: bytes) -> None:
    """The client gets an error with its id, and nothing unjudged."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        await answered(upstream, STREAM % f"content-encoding: {encoding}\r\n".encode())
        upstream.send(b"%x\r\n%s\r\n" % (len(stream), stream))
        await head_of(reader)
        said = await reader.readuntil(b"}}")
        assert b'"id":1' in said and b"plain" not in said
        assert play.calls[0]["status"] == "upstream_error"
        writer.close()

    played(tmp_path, scene)


EVENTS = [
    b": a comment first\n\n", b"retry: 100\r\nid: a\r\ndata:\r\n\r\n",
    b'data: {"jsonrpc":"2.0",\ndata: "method":"x"}\n\n',
    b'event: other\ndata: {"jsonrpc":"2.0","method":"y"}\n\n', b"id: a\x00b\ndata: {}\n\n", b"data\n\n", b":\n\n", b"\n\n",
    b'data:{"jsonrpc":"2.0","method":"z"}\r\r', b"unknown: field\r\n\r\n", 'data: "é€😀"\n\n'.encode(), b"retry: soon\n\n",
    b'event: message\r\ndata: {"jsonrpc":"2.0","id":77,"result":{}}\r\n\r\n',
]  # fmt: skip


def stream_of(play: Play) -> tuple[Exchange, Callable[[bytes], bytes], Callable[[str], bytes]]:
    exchange = play.post(call())
    exchange.response.status = 200
    exchange.response.headers = {"content-type": "text/event-stream"}
    stream = HttpPolicy(play.pipeline, [play.server]).open_stream(exchange, lambda _: None)
    return exchange, stream.feed, stream.end


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(EVENTS), st.lists(st.integers(1, 40), min_size=1))
def test_case_12_13_any_stream_in_any_chunks_passes_as_it_came(play: Any, events: list[bytes], sizes: list[int]) -> None:
    """Comments, unknown fields, any line ends, cut anywhere (within a character or a line end too): not a byte changes."""
    raw = b"".join(events)
    exchange, feed, end = stream_of(play())
    got, at = b"", 0
    while at < len(raw):
        size = sizes[at % len(sizes)]
        got += feed(raw[at : at + size])
        at += size
    tail = end("")
    assert got + tail.partition(b"event: message\ndata: {")[0] == raw
    assert [call.is_ended for call in exchange.calls.values()] in ([], [True])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9), min_size=1), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_case_12_13_a_redacted_event_keeps_all_but_its_data(play: Any, sizes: list[int], newline: bytes) -> None:
    """However its data was cut into lines and chunks, one line of data comes out, and every other line stays."""
    data = json.dumps(result(f"é {aws_key()}"), ensure_ascii=False).encode()
    half = data.index(b'"result"')
    lines = [b"id: 5", b": note", b"event: message", b"data: " + data[:half], b"data:" + data[half:], b"retry: 9", b"", b""]
    raw = newline.join(lines)
    _, feed, _ = stream_of(play())
    got, at = b"", 0
    while at < len(raw):
        size = sizes[at % len(sizes)]
        got += feed(raw[at : at + size])
        at += size
    kept = [line for line in got.replace(b"\r\n", b"\n").split(b"\n") if line]
    assert [line for line in kept if not line.startswith(b"data")] == [b"id: 5", b": note", b"event: message", b"retry: 9"]
    said = b"\n".join(line.removeprefix(b"data: ") for line in kept if line.startswith(b"data"))
    assert json.loads(said)["result"]["content"][0]["text"] == "é [secrets.aws-key]"


def test_case_13_one_byte_chunks_on_the_wire(tmp_path: Path) -> None:
    """A server that writes byte by byte ends no stream early: each event arrives whole, the last one too."""
    raw = b"id: 1\ndata:\n\n" + 'data: {"jsonrpc":"2.0","id":1,"result":{"t":"é😀"}}\n\n'.encode()

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        await answered(upstream, STREAM % b"")
        await head_of(reader)
        for byte in raw:
            upstream.send(b"1\r\n%c\r\n" % byte)
            await asyncio.sleep(0)
        upstream.send(b"0\r\n\r\n")
        got = b""
        while chunk := await chunk_of(reader):
            got += chunk
        assert got == raw and play.calls[0]["status"] == "ok"
        writer.close()

    played(tmp_path, scene)


def test_case_14_an_event_does_not_grow_past_what_clients_take(play: Any) -> None:
    """The Python client drops events over 1 MiB, so a mark that is longer than its value makes a refusal, not a lost answer."""
    policy = SECRETS.replace("any: [secrets]", "any: [pii.email]").replace("${fake:aws_key}", "${fake:email}")
    sidecar = play(policy)
    short = "a@b.io "
    frame = len(json.dumps(result("")))
    for size, is_refused in ((limits.CLIENT_EVENT_BYTES_MAX - 100, True), (limits.CLIENT_EVENT_BYTES_MAX // 2, False)):
        send_event = sidecar.stream(sidecar.post(call()))
        text = (short * 40).ljust(size - frame)
        said = send_event(b"data: " + json.dumps(result(text)).encode() + b"\n\n")
        assert len(said) <= limits.CLIENT_EVENT_BYTES_MAX and b"a@b.io" not in said
        assert (b'"isError":true' in said) is is_refused


def test_case_14_an_answer_that_is_too_large_to_hold_is_an_error_at_once(tmp_path: Path) -> None:
    """A body beyond the bound is refused by its length alone; the client reads an error with its id."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        length = limits.RESPONSE_BYTES_MAX + 1
        await answered(upstream, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length)
        head, body = await whole(reader)
        assert b" 502 " in head and json.loads(body)["id"] == 1 and b"larger than" in body
        assert play.calls[0]["status"] == "upstream_error"
        writer.close()

    played(tmp_path, scene)

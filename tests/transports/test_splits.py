"""Real sockets under any network: however bytes are cut, broken off or mangled, clients read a whole answer or an error.

Everything holds with either transport.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.peers import events
from tests.play import Play
from tests.transports.mitm.test_flows import Upstream, listening, request, transport

__all__ = ["transport"]

WAIT_S = 10
SPELT = b'{ "jsonrpc":"2.0" , "id":5,"method":"tools/list", "params":{"n":1.50,"t":"\\u00e9 \xc3\xa9"}}'
ANSWER = b'{"jsonrpc":"2.0", "id":5,"result":{"tools":[ ],"n":1e400,"t":"\\u2028 \xe2\x82\xac"}}'
NOTE = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}'
STREAM = b": hi\r\n\r\ndata: " + NOTE + b"\r\n\r\nevent: message\ndata: " + ANSWER + b"\n\n: bye\n\n"

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=8)
FRAMINGS = st.sampled_from(["length", "chunked", "close"])
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class Floor:
    """A listener before an upstream that lives through many examples, in a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._open = listening(folder)
        self.play: Play
        self.upstream: Upstream
        self.play, self.upstream, self.port = self.loop.run_until_complete(self._open.__aenter__())

    def close(self) -> None:
        """Stop everything."""
        self.loop.run_until_complete(self._open.__aexit__(None, None, None))
        self.loop.close()

    def talk(self, asked: list[bytes], said: list[bytes], is_closing: bool) -> tuple[bytes, int, bytes, bool]:
        """One exchange, either way in pieces: what the server got, and status, body and wholeness of what the client got."""
        return self.loop.run_until_complete(asyncio.wait_for(self._talk(asked, said, is_closing), WAIT_S))

    async def _talk(self, asked: list[bytes], said: list[bytes], is_closing: bool) -> tuple[bytes, int, bytes, bool]:
        self.upstream.requests.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in asked:
                writer.write(piece)
                await asyncio.sleep(0)
            while not (got := b"".join(self.upstream.requests)).endswith(SPELT):
                await asyncio.sleep(0)
            await self._say(said, is_closing)
            return got, *(await read(reader))
        finally:
            await closed(writer)
            if self.upstream.writer is not None:
                await closed(self.upstream.writer)

    async def _say(self, said: list[bytes], is_closing: bool) -> None:
        behind = self.upstream.writer
        assert behind is not None
        for piece in said:
            if not behind.is_closing():
                behind.write(piece)
            await asyncio.sleep(0)
        if is_closing:
            behind.close()


async def closed(writer: asyncio.StreamWriter) -> None:
    """A connection is closed, and nothing of it is left."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """A response as a strict client reads it: status, body, and whether HTTP says that it is whole."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("host", "a"), ("content-length", "0")]))
    client.send(h11.EndOfMessage())
    status, body = 0, b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            return status, body, isinstance(event, h11.EndOfMessage)


def reading(data: bytes) -> bytes | None:
    """The body of a response a strict client would read in ``data`` itself, before the connection closes; None for none."""

    async def scenario() -> tuple[int, bytes, bool]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read(reader)

    try:
        _, body, is_whole = asyncio.run(scenario())
    except (h11.RemoteProtocolError, RuntimeError):
        return None
    return body if is_whole else None


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    return pieces


def framed(body: bytes, media_type: str, framing: str, sizes: list[int]) -> bytes:
    """A response of a server."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nx-odd:  yes \r\n".encode()
    if framing == "length":
        return head + b"content-length: %d\r\n\r\n" % len(body) + body
    if framing == "close":
        return head + b"connection: close\r\n\r\n" + body
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in cut(body, sizes)]
    return head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


@pytest.fixture
def floor(tmp_path: Path, transport: str) -> Iterator[Floor]:
    """The listener with either transport."""
    made = Floor(tmp_path)
    yield made
    made.close()


def is_error(status: int, body: bytes) -> bool:
    """Whether a client reads an error with the id of its request."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        return False
    return status >= 200 and said.get("id") == 5 and "error" in said


def test_any_split_gives_the_same_bytes(floor: Floor) -> None:
    """However a network cuts a request, and a response in any framing, both arrive byte for byte as they were sent."""

    @EXAMPLES
    @given(SIZES, SIZES, SIZES, FRAMINGS, st.booleans())
    def check(asked: list[int], said: list[int], chunks: list[int], framing: str, is_stream: bool) -> None:
        body, media_type = (STREAM, "text/event-stream") if is_stream else (ANSWER, "application/json")
        response = framed(body, media_type, framing, chunks)
        got, status, answered, is_whole = floor.talk(
            cut(request(floor.port, SPELT), asked), cut(response, said), framing == "close"
        )
        assert got.endswith(b"\r\n\r\n" + SPELT)
        assert (status, answered, is_whole) == (200, body, True)

    check()


def test_a_response_that_breaks_off_is_never_taken_for_whole(floor: Floor) -> None:
    """Wherever a server's connection breaks, the client reads an error at once: no hang, and no half of an answer."""

    @EXAMPLES
    @given(st.integers(0, 10_000), SIZES, SIZES, FRAMINGS, st.booleans())
    def check(at: int, said: list[int], chunks: list[int], framing: str, is_stream: bool) -> None:
        body, media_type = (STREAM, "text/event-stream") if is_stream else (ANSWER, "application/json")
        response = framed(body, media_type, framing, chunks)
        response = response[: at % len(response)]
        _, status, answered, is_whole = floor.talk([request(floor.port, SPELT)], cut(response, said), True)
        assert is_whole or status == 0
        if not is_stream or status != 200:
            assert is_error(status, answered), answered
            return
        read, whole = ([data for _, data, _ in events(each.decode())] for each in (answered, STREAM))
        if read != whole:
            assert read[:-1] == whole[: len(read) - 1] and len(read) <= len(whole)
            assert is_error(200, read[-1].encode())

    check()


def test_a_mangled_response_is_an_answer_or_an_error(floor: Floor) -> None:
    """Whatever a server sends and then leaves: the client has a whole response at once, never one made of pieces."""

    @EXAMPLES
    @given(st.integers(0, 2**32), SIZES, SIZES, FRAMINGS)
    def check(seed: int, said: list[int], chunks: list[int], framing: str) -> None:
        response = mutated(framed(ANSWER, "application/json", framing, chunks), random.Random(seed), [])
        _, status, answered, is_whole = floor.talk([request(floor.port, SPELT)], cut(response, said), True)
        assert is_whole or status == 0
        if not is_error(status, answered) and answered:
            assert answered in (ANSWER, reading(response)), (response, answered)

    check()

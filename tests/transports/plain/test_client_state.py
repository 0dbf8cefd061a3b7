"""The plain transport without a network: bytes of a client and of a server go in, bytes for both come out."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar import limits
from sidecar.settings import Server
from sidecar.transports.http_policy import HttpPolicy
from sidecar.transports.plain import downstream
from sidecar.transports.plain.client_state import MOVES, ClientState
from sidecar.transports.plain.downstream import ClientConnection, PlainListener
from tests.play import SECRETS, Play

LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}'
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
ANSWER = JSON_HEAD + b"content-length: %d\r\n\r\n" % len(RESULT) + RESULT
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """One side of a connection: keeps what is written to it, and tells its protocol of the end as asyncio does."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.sent = b""
        self._is_reading = True
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 5000), "sockname": ("127.0.0.1", 9001)}.get(name, default)

    def write(self, data: Any) -> None:
        assert not self._is_closing, "written behind the end"
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


class Sides:
    """A connection of the plain transport between the wire of a client and that of its server."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.play = Play(folder / "policies", SECRETS)
        server = Server(name="crm", listen="127.0.0.1:9001", upstream="http://127.0.0.1:9", **settings)
        self.play.server = server
        self.handed_over: list[asyncio.StreamReader] = []

        async def take_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.handed_over.append(reader)
            await asyncio.Event().wait()

        self.connection = ClientConnection(PlainListener(HttpPolicy(self.play.pipeline, [server]), server, take_over))
        self.client = Wire(self.connection)
        self.connection.connection_made(self.client)
        self.servers: list[Wire] = []

        async def connect(make: Callable[[], Any], *address: Any) -> tuple[Wire, Any]:
            protocol = make()
            self.servers.append(Wire(protocol))
            protocol.connection_made(self.servers[-1])
            return self.servers[-1], protocol

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
        monkeypatch.setattr("sidecar.transports.plain.upstream.IdleProbe", Quiet)

    def state(self) -> ClientState:
        """Where the connection stands."""
        return self.connection.state

    def from_client(self, data: bytes) -> None:
        """The client's next bytes."""
        self.connection.data_received(data)

    def from_server(self, data: bytes) -> None:
        """The server's next bytes."""
        self.servers[-1].protocol.data_received(data)

    async def ask(self, data: bytes) -> bytes:
        """The client's request, whole, and what the server gets of it."""
        self.from_client(data)
        await settle()
        return self.servers[-1].sent


class Quiet:
    """There is no socket, so nothing waits in it."""

    def __init__(self, transport: Any) -> None:
        pass

    def is_quiet(self) -> bool:
        return True


async def settle() -> None:
    """Let everything run that is due now."""
    for _ in range(5):
        await asyncio.sleep(0)


def request(more: bytes = b"", body: bytes = LIST, method: bytes = b"POST") -> bytes:
    head = b"%b /mcp HTTP/1.1\r\nhost: 127.0.0.1:9001\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
    return head % (method, len(body), more) + body


@pytest.fixture
def play_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a scene with both sides of a connection."""

    def run(scene: Callable[[Sides], Awaitable[None]], **settings: Any) -> None:
        async def scenario() -> None:
            await scene(Sides(tmp_path, monkeypatch, **settings))

        asyncio.run(scenario())

    return run


Run = Callable[..., None]


def test_a_whole_exchange_goes_through_its_states(play_through: Run) -> None:
    """A request in pieces, a response in pieces: each side gets the bytes of the other, and the next request may come."""

    async def scene(sides: Sides) -> None:
        asked = request()
        assert sides.state() is ClientState.IDLE
        sides.from_client(asked[:20])
        assert sides.state() is ClientState.RECEIVING
        sides.from_client(asked[20:-1])
        assert sides.state() is ClientState.RECEIVING and sides.servers == []
        assert (await sides.ask(asked[-1:])).endswith(LIST)
        assert sides.state() is ClientState.WAITING
        sides.from_server(ANSWER[:-5])
        assert sides.state() is ClientState.COLLECTING and sides.client.sent == b""
        sides.from_server(ANSWER[-5:])
        assert sides.state() is ClientState.IDLE and sides.client.sent == ANSWER
        await sides.ask(asked)
        assert sides.state() is ClientState.WAITING and len(sides.servers) == 1

    play_through(scene)


def test_a_stream_is_sent_event_by_event(play_through: Run) -> None:
    """The head leaves when it comes, an event when it is whole, and the end in chunks that say that it is the end."""

    async def scene(sides: Sides) -> None:
        await sides.ask(request())
        sides.from_server(STREAM_HEAD)
        assert sides.state() is ClientState.STREAMING and sides.client.sent.endswith(b"transfer-encoding: chunked\r\n\r\n")
        head = sides.client.sent
        sides.from_server(b"4\r\ndata\r\n")
        assert sides.client.sent == head
        sides.from_server(b"5\r\n: 1\n\n\r\n")
        assert sides.client.sent == head + b"9\r\ndata: 1\n\n\r\n"
        sides.from_server(b"0\r\n\r\n")
        assert sides.client.sent.endswith(b"0\r\n\r\n") and sides.state() is ClientState.IDLE

    play_through(scene)


def test_what_is_not_plain_is_handed_over_whole(play_through: Run) -> None:
    """Every byte of such a request, and all that follow, are the other transport's, and none was answered here."""

    async def scene(sides: Sides) -> None:
        asked = request(b"te: trailers\r\n")
        sides.from_client(asked[:40])
        sides.from_client(asked[40:])
        assert sides.state() is ClientState.HANDED_OVER
        await settle()
        sides.client.protocol.data_received(b"more")
        (reader,) = sides.handed_over
        assert await reader.readexactly(len(asked) + 4) == asked + b"more"
        assert sides.client.sent == b"" and sides.servers == []

    play_through(scene)


def test_a_refusal_needs_no_server(play_through: Run) -> None:
    """What may not enter is answered at once, and the connection takes the next request."""

    async def scene(sides: Sides) -> None:
        sides.from_client(request().replace(b"host: 127.0.0.1", b"host: evil.example"))
        assert sides.client.sent.startswith(b"HTTP/1.1 421 ") and sides.state() is ClientState.IDLE
        assert (await sides.ask(request())).endswith(LIST)

    play_through(scene)


def test_requests_wait_for_the_one_before(play_through: Run) -> None:
    """Requests sent at once are taken one after the other; what follows one that asks to close is dropped."""

    async def scene(sides: Sides) -> None:
        sent = await sides.ask(request() + request(b"connection: close\r\n") + request())
        assert sent.count(b"POST") == 1
        sides.from_server(ANSWER)
        await settle()
        assert sides.servers[-1].sent.count(b"POST") == 2 and sides.state() is ClientState.WAITING
        sides.from_server(ANSWER)
        assert sides.state() is ClientState.CLOSED
        await settle()
        assert sides.client.is_closing() and b"connection: close" in sides.client.sent
        assert sides.servers[-1].sent.count(b"POST") == 2 and sides.servers[-1].is_closing()

    play_through(scene)


@pytest.mark.parametrize("part", [b"POST", b"POST /mcp HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12"])
def test_a_request_that_never_becomes_whole_is_cut(play_through: Run, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    """A client that stops in the middle of a head or a body keeps no connection for ever; further bytes win no time."""
    monkeypatch.setattr(limits, "REQUEST_WAIT_S", 0.05)

    async def scene(sides: Sides) -> None:
        sides.from_client(part)
        timer = sides.connection._request_timer
        sides.from_client(b"1")
        assert sides.connection._request_timer is timer
        async with asyncio.timeout(30):
            while sides.state() is not ClientState.CLOSED:
                await asyncio.sleep(0.005)
        assert sides.client.sent == b""

    play_through(scene)


def test_the_two_times_are_apart(play_through: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that took its time to arrive leaves its server the whole time to answer, and no time runs once it has."""
    monkeypatch.setattr(limits, "REQUEST_WAIT_S", 3600.0)

    async def scene(sides: Sides) -> None:
        asked = request()
        sides.from_client(asked[:-1])
        assert sides.connection._request_timer is not None and sides.connection._answer_timer is None
        await sides.ask(asked[-1:])
        assert sides.connection._request_timer is None
        timer = sides.connection._answer_timer
        assert timer is not None and timer.when() - asyncio.get_running_loop().time() > 3000
        sides.from_server(ANSWER[:-5])
        assert sides.connection._answer_timer is None and timer.cancelled()
        sides.from_server(ANSWER[-5:])
        assert sides.connection._request_timer is None

    play_through(scene, answer_within=3600)


def test_a_server_that_takes_too_long_is_an_error(play_through: Run) -> None:
    """The client reads 504 with its id, the server is left, and the next request gets a new connection."""

    async def scene(sides: Sides) -> None:
        await sides.ask(request())
        async with asyncio.timeout(30):
            while sides.state() is ClientState.WAITING:
                await asyncio.sleep(0.005)
        assert sides.client.sent.startswith(b"HTTP/1.1 504 ") and b'"id":1' in sides.client.sent
        assert sides.servers[-1].is_closing() and sides.state() is ClientState.IDLE
        await sides.ask(request())
        assert len(sides.servers) == 2

    play_through(scene, answer_within=0.05)


@pytest.mark.parametrize(
    ("sent", "state", "answered"),
    [
        (b"", ClientState.WAITING, b"HTTP/1.1 502 "),
        (ANSWER[:-5], ClientState.COLLECTING, b"HTTP/1.1 502 "),
        (STREAM_HEAD + b"9\r\ndata: 1\n\n\r\n", ClientState.STREAMING, b"HTTP/1.1 200 "),
    ],
)
def test_a_server_that_leaves_in_any_state_is_answered_for(
    play_through: Run, sent: bytes, state: ClientState, answered: bytes
) -> None:
    """The client reads an error with its id, in the form that its response has by then, and may ask on."""

    async def scene(sides: Sides) -> None:
        await sides.ask(request())
        sides.from_server(sent) if sent else None
        assert sides.state() is state
        sides.servers[-1].close()
        await settle()
        assert sides.client.sent.startswith(answered) and b'"id":1' in sides.client.sent
        assert b"gave no answer" in sides.client.sent and sides.state() is ClientState.IDLE

    play_through(scene)


@pytest.mark.parametrize("sent", [b"", ANSWER[:-5], STREAM_HEAD])
def test_a_client_that_leaves_in_any_state_frees_the_server(play_through: Run, sent: bytes) -> None:
    """The connection to the server is closed at once, the call recorded, and nothing is written to nobody."""

    async def scene(sides: Sides) -> None:
        await sides.ask(request())
        sides.from_server(sent) if sent else None
        sides.client.close()
        await settle()
        assert sides.state() is ClientState.CLOSED and sides.servers[-1].is_closing()
        assert [row["status"] for row in sides.play.calls] == ["cancelled"]

    play_through(scene)


def test_a_client_that_does_not_read_is_not_read(play_through: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its responses wait no request is taken, and past a bound no byte; both begin again when it reads."""
    monkeypatch.setattr(limits, "HEADER_BYTES_MAX", 300)

    async def scene(sides: Sides) -> None:
        sides.connection.pause_writing()
        sides.from_client(request() * 3)
        assert sides.state() is ClientState.IDLE and not sides.client.is_reading()
        sides.connection.resume_writing()
        await settle()
        assert sides.state() is ClientState.WAITING and sides.servers[-1].sent.count(b"POST") == 1
        sides.from_server(ANSWER)
        await settle()
        sides.from_server(ANSWER)
        assert sides.client.is_reading()

    play_through(scene)


def test_no_state_follows_another_that_the_table_does_not_name(play_through: Run) -> None:
    """A move that nobody thought of stops the connection instead of mixing up two exchanges."""

    async def scene(sides: Sides) -> None:
        for before, after in itertools.product(ClientState, ClientState):
            sides.connection.state = before
            if after in MOVES[before]:
                sides.connection._move(after)
                assert sides.state() is after
            else:
                with pytest.raises(RuntimeError, match=f"from {before.name} to {after.name}"):
                    sides.connection._move(after)

    play_through(scene)
    assert MOVES[ClientState.CLOSED] == MOVES[ClientState.HANDED_OVER] == frozenset()
    assert all(ClientState.CLOSED in MOVES[state] for state in ClientState if MOVES[state])


def test_a_fault_in_taking_a_request_cuts_the_connection(play_through: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours before anything is judged passes nothing on, and the log does not show the request."""

    def fail(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setattr(downstream, "request_head", fail)

    async def scene(sides: Sides) -> None:
        sides.from_client(request())
        await settle()
        assert sides.client.is_closing() and sides.client.sent == b"" and sides.servers == []

    play_through(scene)

"""A server that is down, slow or talks nonsense: the client gets a clear error at once, and the call is recorded."""

import asyncio
import gzip
import json
import socketserver
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client, MCPError

from tests.e2e.conftest import Installation, until


class RawServer:
    """Answers every request with fixed bytes, or not at all."""

    def __init__(self) -> None:
        self.answer = b""
        raw = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while self.request.recv(65536):
                    self.request.sendall(raw.answer)
                    if raw.answer and (b"connection: close" in raw.answer or b"HTTP" not in raw.answer):
                        break

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def raw() -> Iterator[RawServer]:
    """A server whose every byte the test decides."""
    server = RawServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def front(raw: RawServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A proxy in front of it, which waits half a second for an answer."""
    installation = Installation(tmp_path_factory.mktemp("front"), raw.port)
    text = installation.file.read_text().replace("{name: fixture,", "{name: fixture, answer_within: 0.5,")
    installation.file.write_text(text)
    installation.start_proxy()
    yield installation
    installation.stop()


def post(url: str, message: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    named = {"content-type": "application/json", "accept": "application/json, text/event-stream"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(url, body, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


LIST = {"jsonrpc": "2.0", "id": 5, "method": "tools/list"}


def test_a_server_that_is_down(sidecar: Installation) -> None:
    """The SDK raises an error that names the server and the reason, without waiting."""

    async def use() -> None:
        async with Client(f"http://127.0.0.1:{sidecar.dead_port}/mcp", mode="legacy") as client:
            await client.list_tools()

    with pytest.raises((MCPError, ExceptionGroup)) as caught:
        asyncio.run(use())
    error: Any = caught.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert "dead" in str(error) and "connection refused" in str(error)
    until(
        lambda: sidecar.rows("SELECT count() FROM calls WHERE server = 'dead' AND status = 'upstream_error'")[0][0] >= 1,
        "the failed call in the record",
    )


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"garbage\r\n\r\n", "HTTP"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{",
            "gave no answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
            "encoding",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: br\r\n\r\nabc", "content coding"),
    ],
)
def test_a_server_that_talks_nonsense(front: Installation, raw: RawServer, answer: bytes, word: str) -> None:
    """Whatever breaks, the client reads a JSON-RPC error with its own id."""
    raw.answer = answer
    status, body, headers = post(front.url, LIST)
    assert status == 502 and headers["content-type"] == "application/json"
    said = json.loads(body)
    assert said["id"] == 5 and said["error"]["code"] == -32000 and word in said["error"]["message"]


def test_a_server_that_is_slow(front: Installation, raw: RawServer) -> None:
    """With 'answer_within' set, a server that stays silent becomes an error in time."""
    raw.answer = b""
    status, body, _ = post(front.url, LIST)
    assert status == 504 and "no answer within 0.5 s" in json.loads(body)["error"]["message"]


def test_a_stream_that_breaks_off(front: Installation, raw: RawServer) -> None:
    """A stream whose server dies ends with an error for the open request instead of silence."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    event = b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'
    raw.answer = head + b"%x\r\n%s\r\n" % (len(event), event)
    status, body, _ = post(front.url, LIST)
    assert status == 200 and body.startswith(event)
    said = json.loads(body.split(b"data: ")[-1])
    assert said["id"] == 5 and said["error"]["code"] == -32000


def test_a_stream_in_one_byte_pieces_arrives_whole(front: Installation, raw: RawServer) -> None:
    """However a server cuts its stream, every event arrives, and as it was sent."""
    events = (
        ": hello\r\n\r\nid: 1\r\ndata:\r\n\r\nevent: message\r\n"
        'data: {"jsonrpc":"2.0","id":5,\r\ndata: "result":{"t":"é🚲"}}\r\n\r\n'
    ).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    raw.answer = head + b"".join(b"1\r\n%c\r\n" % byte for byte in events) + b"0\r\n\r\n"
    status, body, _ = post(front.url, LIST)
    assert status == 200 and body == events


def test_trailers_and_interim_responses_do_no_harm(front: Installation, raw: RawServer) -> None:
    """A server may send either; the client gets the answer they surround."""
    answer = b'{"jsonrpc":"2.0","id":5,"result":{}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    raw.answer = early + head + b"%x\r\n%s\r\n0\r\nx-sum: 1\r\n\r\n" % (len(answer), answer)
    status, body, _ = post(front.url, LIST)
    assert status == 200 and body == answer


def test_a_switch_of_protocols_is_refused(front: Installation, raw: RawServer) -> None:
    """A 101 would open a tunnel nobody judges."""
    raw.answer = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
    status, body, _ = post(front.url, LIST)
    assert status == 502 and b"interim" in body


def test_a_response_with_two_lengths_is_refused_in_json(front: Installation, raw: RawServer) -> None:
    """Two readers would find its end in two places; the client reads an error with its id, not a page."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n"
    raw.answer = head + b"connection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    status, body, headers = post(front.url, LIST)
    assert status == 502 and headers["content-type"] == "application/json" and json.loads(body)["id"] == 5


def test_a_compressed_stream_is_judged_and_arrives_plain(front: Installation, raw: RawServer) -> None:
    """A server that compresses events although it was asked not to is read all the same, and its secrets are taken out."""
    key = "AK" + "IA" + "QX7RN4WZT2LKJ5YB"
    event = b'data: {"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"%s"}]}}\n\n' % key.encode()
    packed = gzip.compress(event)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    raw.answer = head + b"".join(b"1\r\n%c\r\n" % byte for byte in packed) + b"0\r\n\r\n"
    status, body, headers = post(front.url, LIST)
    assert status == 200 and "content-encoding" not in headers
    assert body == event.replace(key.encode(), b"[secrets.aws-key]")


@pytest.mark.parametrize(
    "packed", [gzip.compress(b": x\n\n")[:-9] + b"broken" * 9, gzip.compress(b": x\n\n") + b"more", b"none"]
)
def test_a_stream_that_is_not_in_its_coding_ends_with_an_error(front: Installation, raw: RawServer, packed: bytes) -> None:
    """What cannot be unpacked cannot be judged: the open request gets an error."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    raw.answer = head + packed
    _, body, _ = post(front.url, LIST)
    assert json.loads(body.split(b"data: ")[-1])["error"]["code"] == -32000


def test_a_small_stream_that_unpacks_to_a_large_event_is_stopped(front: Installation, raw: RawServer) -> None:
    """A bomb of a hundred megabytes in one event meets the bound of an event before it is held."""
    packed = gzip.compress(b"data: " + b"a" * (100 << 20) + b"\n\n")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    raw.answer = head + packed
    _, body, _ = post(front.url, LIST)
    assert b"gave no answer" in body and len(body) < 1000


def test_a_foreign_host_and_a_foreign_page_are_turned_away(sidecar: Installation) -> None:
    """A name bound anew to this address, and a page of another site, get no further than the listener."""
    assert post(sidecar.url, LIST, host="evil.example")[0] == 421
    assert post(sidecar.url, LIST, origin="https://evil.example")[0] == 403


def test_a_body_that_is_too_large_is_refused(sidecar: Installation) -> None:
    """A request over the bound gets an error, not a broken connection."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"t":"' + b"x" * (17 << 20) + b'"}}'
    try:
        status, said, _ = post(sidecar.url, body)
    except (urllib.error.URLError, ConnectionError, BrokenPipeError):
        # The answer may come while the client still writes, and some clients then see only the closed connection.
        return
    assert status == 413 and b"larger than 16 MiB" in said


def test_a_redirect_stays_at_the_sidecar(front: Installation, raw: RawServer) -> None:
    """A server that redirects to its own address must not lead the client past the sidecar."""
    location = f"http://127.0.0.1:{raw.port}/mcp/"
    raw.answer = f"HTTP/1.1 307 T\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    request = urllib.request.Request(front.url, json.dumps(LIST).encode(), {"content-type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(request, timeout=60)
    caught.value.close()
    assert caught.value.headers["location"] == f"http://127.0.0.1:{front.port}/mcp/"


def test_a_listener_is_no_way_to_other_hosts(sidecar: Installation) -> None:
    """CONNECT and absolute addresses reach nothing but the server behind the listener."""
    import socket

    with socket.create_connection(("127.0.0.1", sidecar.port), 5) as tunnel:
        tunnel.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")
        assert b" 200 " not in tunnel.recv(1000)
    with socket.create_connection(("127.0.0.1", sidecar.port), 5) as plain:
        plain.sendall(b"GET http://example.com/ HTTP/1.1\r\nhost: example.com\r\n\r\n")
        assert b" 421 " in plain.recv(1000)

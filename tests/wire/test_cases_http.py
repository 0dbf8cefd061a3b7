"""Case 23: HTTP that carries no JSON-RPC, or carries it oddly. What is none is forwarded as it came."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.play import Play, aws_key
from tests.transports.mitm.test_flows import Upstream, head_of, transport
from tests.wire.test_cases_bytes import ANSWER, BODY, answered, played, response, send, whole

__all__ = ["transport"]

CHALLENGES = 'www-authenticate: Bearer a="1", Basic b\r\nwww-authenticate: DPoP\r\n'
NOTE = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


@pytest.mark.parametrize(
    ("body", "raw", "status"),
    [
        (NOTE, response(b"Accepted", status="202 Accepted", kind="text/plain"), "notification"),
        (NOTE, response(b"{}"), "notification"),
        (BODY, response(b"not here", status="404 Not Found", kind="text/plain"), "error"),
        (BODY, response(b"Method Not Allowed", "allow: POST\r\n", "405 Method Not Allowed", "text/plain"), "error"),
        (BODY, response(b"Not Acceptable", status="406 Not Acceptable", kind="text/plain"), "error"),
        (BODY, response(b"Payload Too Large", status="413 Payload Too Large", kind="text/plain"), "error"),
        (BODY, response(b"wrong type", status="415 Unsupported Media Type", kind="text/plain"), "error"),
        (BODY, response(b"Invalid Host header", status="421 Misdirected Request", kind="text/plain"), "error"),
        (BODY, response(b"<h1>down</h1>", status="502 Bad Gateway", kind="text/html"), "error"),
        (BODY, response(b"<p>hi</p>", kind="text/html"), "error"),
        (BODY, response(b"", CHALLENGES, "401 Unauthorized"), "error"),
    ],
)  # fmt: skip
def test_case_23_answers_that_are_no_messages_pass_as_they_came(tmp_path: Path, body: bytes, raw: bytes, status: str) -> None:
    """Status, headers and body reach the client as the server sent them, and the call says what became of it."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, body)
        await answered(upstream, raw)
        head, got = await whole(reader)
        expected, _, sent = raw.partition(b"\r\n\r\n")
        assert got == sent and head.split(b"\r\n")[0] == expected.split(b"\r\n")[0]
        assert sorted(expected.lower().split(b"\r\n")[1:]) == sorted(head.lower().strip().split(b"\r\n")[1:])
        assert [row["status"] for row in play.calls] == [status]
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize("body", [b"", b"Accepted"])
def test_case_23_a_request_that_is_only_accepted_stays_open(tmp_path: Path, body: bytes) -> None:
    """202 to a request is passed on; should its answer come elsewhere it is judged there, and at the end it is not absent."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port)
        await answered(upstream, response(body, status="202 Accepted", kind="text/plain"))
        assert (await whole(reader))[1] == body
        assert play.calls == []
        play.pipeline.stop()
        assert [row["status"] for row in play.calls] == ["no_response"]
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
def test_case_23_preflights_are_forwarded(tmp_path: Path, method: str) -> None:
    """A browser's questions about headers reach the server, and its answer the browser; nothing is recorded."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        head = f"origin: http://localhost:{port}\r\naccess-control-request-headers: mcp-session-id\r\n"
        reader, writer = await send(port, b"", head, f"{method} /mcp HTTP/1.1")
        cors = "access-control-allow-headers: mcp-session-id\r\naccess-control-expose-headers: mcp-session-id\r\n"
        await answered(upstream, response(b"", cors, "204 No Content" if method == "OPTIONS" else "200 OK"))
        got = await head_of(reader)
        assert cors.encode() in got and upstream.requests[0].startswith(method.encode())
        assert b"access-control-request-headers: mcp-session-id" in upstream.requests[0].lower()
        assert play.records == []
        writer.close()

    played(tmp_path, scene)


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
def test_case_23_a_redirect_does_not_lead_past_the_sidecar(tmp_path: Path, status: str) -> None:
    """The server's own address in ``Location`` becomes the listener's; another origin and a path stay."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        for location, expected in (
            (f"{play.server.upstream}/mcp/", f"http://127.0.0.1:{port}/mcp/"), ("/mcp/", "/mcp/"),
            ("https://elsewhere.example/mcp", "https://elsewhere.example/mcp"),
        ):  # fmt: skip
            reader, writer = await send(port)
            await answered(upstream, response(b"", f"location: {location}\r\n", status))
            assert f"location: {expected}\r\n".encode() in (await whole(reader))[0]
            writer.close()

    played(tmp_path, scene)


def test_case_23_http_1_0(tmp_path: Path) -> None:
    """An old client gets its answer, judged, and the end of it is told by its length or the connection's end."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, first="POST /mcp HTTP/1.0")
        await answered(upstream, response(ANSWER % aws_key().encode()))
        assert (await reader.read()).endswith(ANSWER % b"[secrets.aws-key]")
        assert play.calls[0]["verdict"] == "redact"
        writer.close()

    played(tmp_path, scene)


def test_case_23_expect_100_continue(tmp_path: Path) -> None:
    """A client that waits for leave to send its body gets it, and then its answer."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, b"", f"expect: 100-continue\r\ncontent-length: {len(BODY)}\r\n")
        assert b" 100 " in await head_of(reader)
        writer.write(BODY)
        await answered(upstream, response(ANSWER % b"x"))
        assert (await whole(reader))[1] == ANSWER % b"x"
        writer.close()

    played(tmp_path, scene)


def test_case_23_a_chunked_request(tmp_path: Path) -> None:
    """A body in chunks is judged whole and passed on as one; trailers, which no client of MCP sends, are left out."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        half = len(BODY) // 2
        chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n" % (half, BODY[:half], len(BODY) - half, BODY[half:])
        for trailer in (b"", b"x-trailer: y\r\n"):
            reader, writer = await send(port, chunks + trailer + b"\r\n", "transfer-encoding: chunked\r\n")
            await answered(upstream, response(ANSWER % b"x"))
            assert (await whole(reader))[1] == ANSWER % b"x"
            writer.close()
        assert [call["request"] for call in play.calls] == [BODY.decode()] * 2
        assert not any(b"x-trailer" in each for each in upstream.requests)

    played(tmp_path, scene)


@pytest.mark.parametrize(
    "head", ["content-length: 5\r\ntransfer-encoding: chunked\r\n", "content-length: 5\r\ncontent-length: 6\r\n"]
)
def test_case_23_two_lengths_are_refused(tmp_path: Path, head: str) -> None:
    """Where two parsers would see two bodies, the server sees none."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        reader, writer = await send(port, b"0\r\n\r\n", head)
        assert b" 400 " in await head_of(reader)
        assert upstream.requests == [] and play.calls == []
        writer.close()

    played(tmp_path, scene)


def test_case_23_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """A client may send its next request before the answer came; each is judged, and answered in turn."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        second = BODY.replace(b'"id": 1', b'"id": 2')
        kind = "content-type: application/json"
        more = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{kind}\r\ncontent-length: {len(second)}\r\n\r\n"
        length = f"content-length: {len(BODY)}\r\n"
        reader, writer = await send(port, BODY + more.encode() + second, length)
        await answered(upstream, response(ANSWER % b"first"))
        assert b"first" in (await whole(reader))[1]
        while len(upstream.requests) < 2 or b'"id": 2' not in b"".join(upstream.requests):
            await asyncio.sleep(0.01)
        upstream.send(response((ANSWER % b"second").replace(b'"id":1', b'"id":2')))
        assert json.loads((await whole(reader))[1])["id"] == 2
        assert [row["rpc_id"] for row in play.calls] == ["1", "2"]
        writer.close()

    played(tmp_path, scene)


def test_case_23_a_slow_head_holds_nothing_of_the_server(tmp_path: Path) -> None:
    """A client that sends its request drop by drop keeps no connection to the server and delays no other client."""

    async def scene(play: Play, upstream: Upstream, port: int) -> None:
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(b"POST /mcp HTTP/1.1\r\nx-")
        reader, writer = await send(port)
        await answered(upstream, response(ANSWER % b"x"))
        assert (await whole(reader))[1] == ANSWER % b"x"
        assert upstream.connections == 1
        slow.close()
        writer.close()

    played(tmp_path, scene)

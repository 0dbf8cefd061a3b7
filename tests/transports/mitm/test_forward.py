"""The forward listener on real sockets: what is a server's is judged, what is not goes by unseen, and nothing else goes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mitmproxy.connection import Client
from mitmproxy.connection import Server as ServerConnection
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from sidecar.settings import Server
from sidecar.transports.http_policy import HttpPolicy
from sidecar.transports.mitm.dispatch import Dispatcher
from sidecar.transports.mitm.flows import MitmTransport
from sidecar.transports.mitm.forward import forward_spec
from sidecar.transports.mitm.listener import SidecarMaster, this_master
from sidecar.transports.mitm.passthrough import Passthrough
from sidecar.transports.mitm.tls import SidecarTls
from sidecar.transports.routing import OtherHosts
from tests.play import SECRETS, Play, aws_key
from tests.ports import free_port

LIST = b'{"jsonrpc":"2.0","id":3,"method":"tools/list"}'
RESULT = b'{"jsonrpc":"2.0","id":3,"result":{"tools":[]}}'
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(RESULT), RESULT)


class Host:
    """A host that keeps what arrives and says what it is told to."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.received = b""
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        while data := await reader.read(65536):
            self.received += data
            writer.write(self.answer)
        writer.write(b"bye")
        writer.close()


@asynccontextmanager
async def listening(
    folder: Path, *, passes_others: bool = True, make: Callable[[int], str] = "http://127.0.0.1:{}".format
) -> AsyncIterator[tuple[Play, Host, Host, int]]:
    """A forward listener, the server it is for, another host, and its port."""
    play, crm, other, port = Play(folder / "policies", SECRETS), Host(), Host(), free_port()
    sockets = [await asyncio.start_server(host.serve, "127.0.0.1", 0) for host in (crm, other)]
    crm.port, other.port = (each.sockets[0].getsockname()[1] for each in sockets)
    play.server = Server(name="crm", upstream=make(crm.port))
    http_policy = HttpPolicy(play.pipeline, [play.server])
    mitm = MitmTransport(http_policy)
    ledger = play.pipeline.services.ledger
    other_hosts = OtherHosts(lambda metric, value, detail: ledger.health(metric, value, detail, play.now))
    dispatcher = Dispatcher(http_policy.routing, other_hosts, own=[("127.0.0.1", port)], passes_others=passes_others)
    hooks, specs = Passthrough(dispatcher, mitm.hooks).hooks, [forward_spec(f"127.0.0.1:{port}")]
    master = mitm.master = SidecarMaster((play.server,), hooks, http_policy, SidecarTls(None, {}), dispatcher, specs)
    assert await master.start_listeners() == []
    try:
        yield play, crm, other, port
    finally:
        other_hosts.write()
        await master.stop_listeners()
        master.cut_connections()
        while not master.is_idle:
            await asyncio.sleep(0.01)
        for each in sockets:
            each.close()
        for writer in (*crm.writers, *other.writers):
            writer.close()
        master._legacy_log_events.uninstall()


async def send(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


def post(url: str, host: str, body: bytes = LIST) -> bytes:
    head = f"POST {url} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nProxy-Connection: keep-alive\r\n"
    return head.encode() + b"Proxy-Authorization: Basic eA==\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def answer_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return head, await asyncio.wait_for(reader.readexactly(int(length.partition(b":")[2])), 30)


def test_a_servers_traffic_is_judged_and_others_is_not(tmp_path: Path) -> None:
    """On one connection: a call to a server is recorded, the same bytes to another host pass, and are only counted."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, crm, other, port):
            named, else_ = f"127.0.0.1:{crm.port}", f"127.0.0.1:{other.port}"
            reader, writer = await send(port, post(f"http://{named}/mcp", named))
            assert (await answer_of(reader))[1] == RESULT
            assert crm.received.startswith(b"POST /mcp HTTP/1.1\r\nHost: " + named.encode())
            assert b"proxy-" not in crm.received.lower()
            assert [call["method"] for call in play.calls] == ["tools/list"]

            body = b'{"key": "%s"}' % aws_key().encode()
            writer.write(post(f"http://{else_}/x", else_, body))
            assert (await answer_of(reader))[1] == RESULT
            assert other.received.endswith(body)
            assert b"accept-encoding" not in other.received.lower()
            assert b"proxy-" not in other.received.lower()
            assert len(play.calls) == 1
            writer.close()
        rows = [row for record in play.records for row in record["rows"].get("health", [])]
        assert [(row["metric"], row["value"]) for row in rows] == [("passed_on", len(body) + len(RESULT))]
        assert rows[0]["detail"].startswith(f"{else_}: 1 new connections or requests, {len(body)} bytes out")
        assert b"/x" not in play.everything

    asyncio.run(scenario())


def test_a_blocked_call_never_reaches_the_server(tmp_path: Path) -> None:
    """Policies judge in forward mode as they do behind a listener of the server's own."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, crm, _, port):
            named = f"127.0.0.1:{crm.port}"
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"x": aws_key()}}}
            reader, writer = await send(port, post(f"http://{named}/mcp", named, json.dumps(call).encode()))
            said = json.loads((await answer_of(reader))[1])
            assert said["result"]["isError"] is True
            assert crm.received == b""
            assert play.calls[0]["status"] == "blocked"
            writer.close()

    asyncio.run(scenario())


def test_addresses_and_challenges_are_the_servers_own(tmp_path: Path) -> None:
    """The whole head of an answer is byte for byte the server's: two challenges stay two, a redirect stays where it leads."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, crm, _other, port):
            named = f"127.0.0.1:{crm.port}"
            head = (
                b'HTTP/1.1 401 Who?\r\nWWW-Authenticate: Basic realm="a, b"\r\nwww-authenticate: Bearer scope="x", '
                b'resource_metadata="http://%s/.well-known/x"\r\nLocation: http://%s/mcp/\r\nContent-Length: 2\r\n\r\n'
            ) % (named.encode(), named.encode())
            crm.answer = head + b"no"
            reader, writer = await send(port, post(f"http://{named}/mcp", named))
            assert await answer_of(reader) == (head, b"no")
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "spelling",
    "localhost 127.0.0.1 LOCALHOST localhost. [::1] 127.1 2130706433 0x7f.1 0.0.0.0 [::] [::ffff:7f00:1]".split(),
)
def test_another_spelling_of_this_machine_is_no_way_past(tmp_path: Path, spelling: str) -> None:
    """A server on this machine is the same server, whichever of its names a client uses."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, crm, _, port):
            named = f"{spelling}:{crm.port}"
            reader, writer = await send(port, post(f"http://{named}/mcp", named.lower().replace("t.", "t")))
            assert (await answer_of(reader))[1] == RESULT
            assert [call["method"] for call in play.calls] == ["tools/list"]
            writer.close()

    asyncio.run(scenario())


def test_a_tunnel_to_another_host_is_byte_for_byte(tmp_path: Path) -> None:
    """Bytes of any protocol go both ways unchanged, also after one side has ended its own."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, _, other, port):
            other.answer = b"\x16\x03\x00 not http \r\n\r\n"
            reader, writer = await send(port, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n\x00early" % other.port)
            assert (await answer_of(reader))[0].startswith(b"HTTP/1.1 200 ")
            assert await asyncio.wait_for(reader.readexactly(len(other.answer)), 30) == other.answer
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 30) == b"bye"
            assert other.received == b"\x00early"
            assert play.calls == []
            writer.close()
        rows = [row for record in play.records for row in record["rows"].get("health", [])]
        assert f"127.0.0.1:{other.port}: 1 new connections or requests, 6 bytes out, 20 bytes in" in [
            row["detail"] for row in rows
        ]

    asyncio.run(scenario())


def test_a_tunnel_to_a_plain_server_is_judged(tmp_path: Path) -> None:
    """Some clients use CONNECT for plain HTTP too; that is no way past the policies."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, crm, _, port):
            named = f"127.0.0.1:{crm.port}"
            reader, writer = await send(port, f"CONNECT {named} HTTP/1.1\r\nHost: {named}\r\n\r\n".encode())
            assert (await answer_of(reader))[0].startswith(b"HTTP/1.1 200 ")
            writer.write(post("/mcp", named))
            assert (await answer_of(reader))[1] == RESULT
            assert [call["method"] for call in play.calls] == ["tools/list"]
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ("POST http://127.0.0.1:{crm}/mcp HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n", 421, "Host header"),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:{crm}\r\n\r\n", 400, "this is a proxy"),
        ("GET https://127.0.0.1:{other}/ HTTP/1.1\r\nHost: 127.0.0.1:{other}\r\n\r\n", 400, "use CONNECT"),
        ("GET https://127.0.0.1:{crm}/ HTTP/1.1\r\nHost: 127.0.0.1:{crm}\r\n\r\n", 400, "the server crm is http:"),
        ("GET http://127.0.0.1:{own}/ HTTP/1.1\r\nHost: 127.0.0.1:{own}\r\n\r\n", 403, "the sidecar's own address"),
        ("CONNECT localhost:{own} HTTP/1.1\r\nHost: x\r\n\r\n", 403, "the sidecar's own address"),
        ("CONNECT nothing HTTP/1.1\r\nHost: x\r\n\r\n", 400, "CONNECT takes host:port"),
        ("CONNECT 127.0.0.1:{free} HTTP/1.1\r\nHost: x\r\n\r\n", 502, "no answer from"),
        ("GET http://127.0.0.1:{free}/ HTTP/1.1\r\nHost: 127.0.0.1:{free}\r\n\r\n", 502, "no answer from"),
    ],
)
def test_what_goes_nowhere_is_told_why(tmp_path: Path, request_: str, status: int, said: str) -> None:
    """Requests that name no host, a wrong one, or the proxy itself get an answer that says what to do."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, crm, other, port):
            filled = request_.format(crm=crm.port, other=other.port, own=port, free=free_port())
            reader, writer = await send(port, filled.encode())
            head, body = await answer_of(reader)
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert said in body.decode()
            assert crm.received == other.received == b""
            writer.close()

    asyncio.run(scenario())


def test_an_open_proxy_is_only_made_on_purpose(tmp_path: Path) -> None:
    """Where other hosts are not passed on, a server still is, and nothing else by any method."""

    async def scenario() -> None:
        async with listening(tmp_path, passes_others=False) as (_, crm, other, port):
            named, else_ = f"127.0.0.1:{crm.port}", f"127.0.0.1:{other.port}"
            for refused in (post(f"http://{else_}/", else_), f"CONNECT {else_} HTTP/1.1\r\nHost: x\r\n\r\n".encode()):
                reader, writer = await send(port, refused)
                head, body = await answer_of(reader)
                assert head.startswith(b"HTTP/1.1 403 ")
                assert b"see other_hosts" in body
                writer.close()
            reader, writer = await send(port, post(f"http://{named}/mcp", named))
            assert (await answer_of(reader))[1] == RESULT
            assert other.received == b""
            writer.close()

    asyncio.run(scenario())


def test_a_large_body_of_another_host_is_not_held(tmp_path: Path) -> None:
    """The bounds are those of messages that are judged; a download of any size passes as it comes."""

    async def scenario() -> None:
        async with listening(tmp_path) as (_, _crm, other, port):
            size = 80 * 1024 * 1024
            other.answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
            else_ = f"127.0.0.1:{other.port}"
            reader, writer = await send(port, f"GET http://{else_}/ HTTP/1.1\r\nHost: {else_}\r\n\r\n".encode())
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            left = size
            while left:
                chunk = await asyncio.wait_for(reader.read(1 << 20), 30)
                assert chunk
                left -= len(chunk)
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "is_reached"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("::ffff:127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("a..b", False),
        ("198.51.100.7", True),
    ],
)
def test_this_machines_own_services_are_not_for_others(tmp_path: Path, host: str, is_reached: bool) -> None:
    """Where the proxy serves other machines, it leads them neither to its loopback nor to a cloud's metadata."""

    async def scenario() -> None:
        async with listening(tmp_path) as (play, *_):
            master = this_master()
            mode = ProxyMode.parse("sidecarforward@0.0.0.0:9080")
            client = Client(peername=("192.0.2.1", 5000), sockname=("192.0.2.2", 9080), proxy_mode=mode)
            server = ServerConnection(address=(host, 80))
            await master.hooks["server_connect"](ServerConnectionHookData(server, client))  # type: ignore[misc]
            assert (server.error is None) is is_reached
            named = ServerConnection(address=play.server.target)
            await master.hooks["server_connect"](ServerConnectionHookData(named, client))  # type: ignore[misc]
            assert named.error is None

    asyncio.run(scenario())

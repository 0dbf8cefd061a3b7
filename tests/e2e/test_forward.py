"""Clients that set the sidecar as their proxy: their servers' TLS is looked into and judged, everybody else's is not."""

import asyncio
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, ClientSession
from mcp.client.sse import sse_client

from tests.e2e.certificates import Issued, issue
from tests.e2e.conftest import ROOT, Installation, Program, is_open, until
from tests.e2e.test_clients import MODES, inspect, tour
from tests.ports import free_port

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


class Forwarding(Installation):
    """A sidecar that is a proxy for the servers it knows."""

    def __init__(self, folder: Path, servers: str, more: str = "") -> None:
        super().__init__(folder, 1)
        self.file.write_text(
            f"forward: '127.0.0.1:{self.port}'\nservers:\n{servers}\npolicies: {self.policies}\ndata: {self.data}\n"
            f"reader: '127.0.0.1:{self.reader_port}'\npage: '127.0.0.1:{self.page_port}'\n{more}"
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command of ``sidecar`` to its end."""
        command = [sys.executable, "-m", "sidecar", *arguments, "-c", str(self.file)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )

    def environ(self) -> dict[str, str]:
        """What ``sidecar ca`` tells people to set."""
        bundle = self.data / "ca" / "bundle.pem"
        return dict.fromkeys(PROXIES, f"http://127.0.0.1:{self.port}") | {"SSL_CERT_FILE": str(bundle), "NO_PROXY": ""}


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """The certificate of the servers of this file."""
    return issue(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture(scope="module")
def tls_server(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The fixture server over TLS: its port, and the log of what reached it."""
    folder = tmp_path_factory.mktemp("tls")
    port, arrivals = free_port(), folder / "arrivals.jsonl"
    arrivals.touch()
    script = str(Path(__file__).parent / "fixture_server.py")
    command = [sys.executable, script, "--port", str(port), "--log", str(arrivals), "--cert", str(issued.server)]
    program = Program(command, folder / "server.log")
    until(lambda: is_open(port) or program.process.poll() is not None, "the TLS server")
    assert program.process.poll() is None, program.output
    yield port, arrivals
    program.stop()


@pytest.fixture(scope="module")
def old_server(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The fixture server with the transport of 2024-11-05 over TLS: its port."""
    folder, port = tmp_path_factory.mktemp("old"), free_port()
    script, arrivals = str(Path(__file__).parent / "fixture_server.py"), str(folder / "arrivals.jsonl")
    command = [sys.executable, script, "--sse", "--port", str(port), "--log", arrivals, "--cert", str(issued.server)]
    program = Program(command, folder / "server.log")
    until(lambda: is_open(port) or program.process.poll() is not None, "the old server")
    assert program.process.poll() is None, program.output
    yield port
    program.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def forwarding(
    tls_server: tuple[int, Path],
    fixture_server: tuple[int, Path],
    old_server: int,
    issued: Issued,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Forwarding]:
    """A sidecar in front of the TLS server, as a proxy and with a listener of its own."""
    folder = tmp_path_factory.mktemp("forwarding")
    reverse = free_port()
    ways = f"listen: '127.0.0.1:{reverse}', upstream: 'https://localhost:{tls_server[0]}'"
    servers = f"  - {{name: fixture, {ways}, ca: '{issued.ca}'}}"
    servers += f"\n  - {{name: plain, upstream: 'http://127.0.0.1:{fixture_server[0]}'}}"
    servers += f"\n  - {{name: old, upstream: 'https://localhost:{old_server}', ca: '{issued.ca}'}}"
    installation = Forwarding(folder, servers)
    installation.url = f"http://127.0.0.1:{reverse}/mcp"
    installation.start_collect()
    installation.start_proxy()
    yield installation
    installation.stop()


@pytest.fixture
def proxied(forwarding: Forwarding, monkeypatch: pytest.MonkeyPatch) -> Forwarding:
    """This process, as a client that set the proxy and trusts the sidecar's authority."""
    for name, value in forwarding.environ().items():
        monkeypatch.setenv(name, value)
    return forwarding


@pytest.mark.parametrize("mode", MODES)
def test_the_python_client_sees_the_same_through_intercepted_tls(
    proxied: Forwarding, tls_server: tuple[int, Path], issued: Issued, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client keeps the server's own https address; lists, calls, progress, elicitation and sampling are the same."""
    url = f"https://localhost:{tls_server[0]}/mcp"
    through = asyncio.run(tour(url, mode))
    assert "Traceback" not in proxied.programs["proxy"].output
    for name in PROXIES:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(issued.ca))
    assert through == asyncio.run(tour(url, mode))
    assert len(through["progress"]) == 3
    sql = "SELECT count() FROM calls WHERE server = 'fixture' AND tool = 'echo' AND status = 'ok'"
    until(lambda: proxied.rows(sql)[0][0] >= 1, "the call in the record")


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_python_client_sees_the_same_through_the_plain_proxy(
    proxied: Forwarding, fixture_server: tuple[int, Path], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without TLS is judged on its way through HTTP_PROXY, and the client sees no difference."""
    url = f"http://127.0.0.1:{fixture_server[0]}/mcp"
    through = asyncio.run(tour(url, mode))
    for name in PROXIES:
        monkeypatch.delenv(name)
    assert through == asyncio.run(tour(url, mode))
    sql = "SELECT count() FROM calls WHERE server = 'plain' AND tool = 'count' AND status = 'ok'"
    until(lambda: proxied.rows(sql)[0][0] >= 1, "the call in the record")


async def call(url: str, tool: str, arguments: dict[str, Any]) -> Any:
    async with Client(url) as client:
        return await client.call_tool(tool, arguments)


def test_policies_judge_inside_tls(proxied: Forwarding, tls_server: tuple[int, Path]) -> None:
    """A credential does not leave in arguments, and does not arrive in a result, though both travel encrypted."""
    url, arrivals = f"https://localhost:{tls_server[0]}/mcp", tls_server[1]
    key = "AK" + "IA" + "QX7RN4WZT2LKJ5YB"
    blocked = asyncio.run(call(url, "echo", {"text": key}))
    assert blocked.is_error
    assert "Blocked by policy" in blocked.content[0].text
    assert key not in arrivals.read_text()
    redacted = asyncio.run(call(url, "leak", {"parts": [key[:4], key[4:]]}))
    assert key not in redacted.content[0].text
    assert "[secrets.aws-key]" in redacted.content[0].text


def test_a_refusal_finds_the_open_stream_inside_tls(proxied: Forwarding, old_server: int) -> None:
    """With the transport of 2024-11-05 a refusal is an event of ours in the server's stream, encrypted like the rest."""

    async def scenario() -> tuple[Any, Any]:
        async with sse_client(f"https://localhost:{old_server}/sse") as (read, write), ClientSession(read, write) as client:
            await client.initialize()
            allowed = await asyncio.wait_for(client.call_tool("echo", {"text": "hi"}), 60)
            return allowed, await asyncio.wait_for(client.call_tool("echo", {"text": "AK" + "IA" + "QX7RN4WZT2LKJ5YB"}), 60)

    allowed, refused = asyncio.run(scenario())
    assert allowed.content[0].text == "hi"
    assert "Blocked by policy" in refused.content[0].text


def test_a_listener_of_its_own_stands_beside_the_proxy(forwarding: Forwarding) -> None:
    """The same server can be reached both ways, and behind its own listener too its private authority is known."""
    assert asyncio.run(call(forwarding.url, "echo", {"text": "both"})).content[0].text == "both"


def test_the_typescript_client_comes_through(proxied: Forwarding, tls_server: tuple[int, Path]) -> None:
    """Node's proxy support and NODE_EXTRA_CA_CERTS, as ``sidecar ca`` says, are all it takes."""
    url = f"https://localhost:{tls_server[0]}/mcp"
    extra = {"NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": str(proxied.data / "ca" / "sidecar-ca-cert.pem")}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in extra.items():
            patch.setenv(name, value)
        said = inspect(url, "--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=from node")
    assert said["content"][0]["text"] == "from node"
    sql = "SELECT count() FROM calls WHERE tool = 'echo' AND request LIKE '%from node%'"
    until(lambda: proxied.rows(sql)[0][0] == 1, "the call in the record")


def certificate_seen(proxy_port: int, host: str, port: int, trusted: Path) -> tuple[dict[str, Any], str]:
    """CONNECT and shake hands as a client does: the certificate it is shown, and the protocol agreed on."""
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", proxy_port), 10) as raw:
        raw.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(raw, server_hostname=host) as secured:
            return dict(secured.getpeercert() or {}), secured.selected_alpn_protocol() or ""


def issuer(certificate: dict[str, Any]) -> str:
    return next(str(value) for field in certificate["issuer"] for name, value in field if name == "commonName")


def test_only_servers_get_a_certificate_of_ours(
    forwarding: Forwarding, tls_server: tuple[int, Path], issued: Issued, tmp_path: Path
) -> None:
    """A client that offers HTTP/2 to a server agrees on HTTP/1.1; to another host it is shown that host's own certificate."""
    ours, agreed = certificate_seen(forwarding.port, "localhost", tls_server[0], forwarding.data / "ca" / "sidecar-ca-cert.pem")
    assert issuer(ours).startswith("MCP sidecar CA")
    assert agreed == "http/1.1"
    port = free_port()
    script = str(Path(__file__).parent / "fixture_server.py")
    log = tmp_path / "arrivals"
    log.touch()
    command = [sys.executable, script, "--port", str(port), "--log", str(log), "--cert", str(issued.server)]
    other = Program(command, tmp_path / "other.log")
    try:
        until(lambda: is_open(port), "the other host")
        theirs, _ = certificate_seen(forwarding.port, "localhost", port, issued.ca)
        assert issuer(theirs) == "Tests of the sidecar"
    finally:
        other.stop()


def test_a_client_that_does_not_trust_us_is_told_of(
    forwarding: Forwarding, tls_server: tuple[int, Path], issued: Issued
) -> None:
    """The client shows only an error of TLS, so the sidecar's log says what it likely is, and which command helps."""
    with pytest.raises(ssl.SSLError):
        certificate_seen(forwarding.port, "localhost", tls_server[0], issued.ca)
    said = "a client broke off TLS; perhaps it does not trust the sidecar's CA (see: sidecar ca)"
    until(lambda: said in forwarding.programs["proxy"].output, "the line in the log")


def test_a_server_that_is_not_trusted_is_an_error(tls_server: tuple[int, Path], tmp_path: Path) -> None:
    """The sidecar checks the server's certificate for the client: without ``ca`` a private authority is refused by name."""
    installation = Forwarding(tmp_path, f"  - {{name: fixture, upstream: 'https://localhost:{tls_server[0]}'}}")
    before = tls_server[1].read_text()
    installation.start_proxy()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in installation.environ().items():
                patch.setenv(name, value)
            message = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "echo", "arguments": {"text": "x"}},
            }
            answer = httpx2.post(f"https://localhost:{tls_server[0]}/mcp", json=message)
    finally:
        installation.stop()
    assert answer.status_code == 502
    assert "its certificate is not trusted" in answer.json()["error"]["message"]
    assert tls_server[1].read_text() == before


def test_the_authority_is_private_and_explained(forwarding: Forwarding) -> None:
    """``sidecar ca`` says where the certificate is and how each client trusts it; the key stays with its owner."""
    folder = forwarding.data / "ca"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "sidecar-ca.pem").stat().st_mode) == 0o600
    told = forwarding.run("ca")
    assert told.returncode == 0
    for word in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "update-ca-certificates", str(folder)):
        assert word in told.stdout
    pem = forwarding.run("ca", "--pem")
    assert pem.stdout == (folder / "sidecar-ca-cert.pem").read_text()
    assert "PRIVATE" not in told.stdout + pem.stdout
    assert not [file for file in folder.iterdir() if "mitmproxy" in file.name]
    for file in folder.iterdir():
        assert ("PRIVATE KEY" in file.read_text()) is (file.name == "sidecar-ca.pem")

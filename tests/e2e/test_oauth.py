"""OAuth through the sidecar: as a proxy the whole flow works as without it; behind a listener the operator is told."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from tests.conformance.client import Memory
from tests.e2e.certificates import issue
from tests.e2e.conftest import Program, is_open, until
from tests.e2e.test_forward import Forwarding
from tests.ports import free_port


class Guarded:
    """A server that demands OAuth, and a sidecar that is both a proxy for it and a listener before it."""

    def __init__(self, folder: Path) -> None:
        issued = issue(folder, "localhost")
        self.port, reverse, self.secrets = free_port(), free_port(), folder / "issued"
        self.secrets.touch()
        script = str(Path(__file__).parent / "oauth_server.py")
        options = ["--port", str(self.port), "--cert", str(issued.server), "--issued", str(self.secrets)]
        self.program = Program([sys.executable, script, *options], folder / "server.log")
        self.url = f"https://localhost:{self.port}/mcp"
        self.reverse_url = f"http://127.0.0.1:{reverse}/mcp"
        ways = f"listen: '127.0.0.1:{reverse}', upstream: 'https://localhost:{self.port}'"
        (folder / "sidecar").mkdir()
        self.sidecar = Forwarding(folder / "sidecar", f"  - {{name: guarded, {ways}, ca: '{issued.ca}'}}")

    def stop(self) -> None:
        """Stop both."""
        self.sidecar.stop()
        self.program.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Both, running."""
    made = Guarded(tmp_path_factory.mktemp("oauth"))
    until(lambda: is_open(made.port) or made.program.process.poll() is not None, "the OAuth server")
    assert made.program.process.poll() is None, made.program.output
    made.sidecar.start_collect()
    made.sidecar.start_proxy()
    yield made
    made.stop()


@pytest.fixture
def proxied(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """This process, as a client of the proxy."""
    for name, value in guarded.sidecar.environ().items():
        monkeypatch.setenv(name, value)
    return guarded


async def sign_in_and_call(url: str) -> tuple[str, Memory]:
    """The SDK's own OAuth client, with a browser that consents at once."""
    storage, visited = Memory(), []

    async def browser(address: str) -> None:
        async with httpx2.AsyncClient() as client:
            visited.append((await client.get(address)).headers["location"])

    async def callback() -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(visited[-1]).query)
        return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0])

    metadata = OAuthClientMetadata(client_name="tests", redirect_uris=["http://localhost:1/callback"])  # type: ignore[list-item]
    auth = OAuthClientProvider(url, metadata, storage, browser, callback)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("whoami", {})
    return result.content[0].text, storage  # type: ignore[union-attr]


def test_a_whole_oauth_flow_works_through_the_proxy(proxied: Guarded) -> None:
    """Challenge, metadata, registration, consent, token and call: all as without us, and no secret is kept."""
    said, storage = asyncio.run(sign_in_and_call(proxied.url))
    assert said == "somebody with a token"
    assert storage.tokens is not None
    sql = "SELECT count() FROM calls WHERE server = 'guarded' AND tool = 'whoami' AND status = 'ok'"
    until(lambda: proxied.sidecar.rows(sql)[0][0] == 1, "the call in the record")
    given_out = proxied.secrets.read_text().split()
    assert storage.tokens.access_token in given_out
    kept = proxied.sidecar.kept_bytes()
    for secret in given_out:
        assert secret.encode() not in kept
    assert proxied.sidecar.rows("SELECT count() FROM calls WHERE method NOT LIKE '%/%' AND method != 'initialize'")[0][0] == 0
    assert proxied.sidecar.rows("SELECT count() FROM health WHERE metric = 'oauth_needs_forward'")[0][0] == 0


def test_what_oauth_needs_is_byte_for_byte(proxied: Guarded) -> None:
    """Challenges, metadata documents and preflights are the server's own, to the byte."""
    origin = f"https://localhost:{proxied.port}"
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    context = f"{proxied.sidecar.folder.parent}/tests-ca.pem"
    import ssl

    with (
        httpx2.Client(trust_env=False, verify=ssl.create_default_context(cafile=context)) as direct,
        httpx2.Client() as through,
    ):
        asked: list[Callable[[httpx2.Client], httpx2.Response]] = [
            lambda client: client.post(f"{origin}/mcp", json=message),
            lambda client: client.get(f"{origin}/.well-known/oauth-protected-resource/mcp"),
            lambda client: client.get(f"{origin}/.well-known/oauth-authorization-server"),
            lambda client: client.options(
                f"{origin}/token", headers={"origin": "https://app.example", "access-control-request-method": "POST"}
            ),
            lambda client: client.post(f"{origin}/token", data={"grant_type": "nothing"}),
            lambda client: client.post(f"{origin}/register", content=b'{"a": 1, "a": 2}'),
        ]
        for client_call in asked:
            one, other = client_call(direct), client_call(through)
            assert (one.status_code, one.content) == (other.status_code, other.content)
            unlike = {"date"}
            assert [pair for pair in one.headers.raw if pair[0].lower().decode() not in unlike] == [
                pair for pair in other.headers.raw if pair[0].lower().decode() not in unlike
            ]


def test_behind_a_listener_the_operator_is_told_once(guarded: Guarded) -> None:
    """A server whose OAuth names another address than its clients use is named in the log, in the record and on the page."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with httpx2.Client(trust_env=False) as client:
        for _ in range(3):
            answer = client.post(guarded.reverse_url, json=message)
            assert answer.status_code == 401
            assert f"https://localhost:{guarded.port}/.well-known/" in answer.headers["www-authenticate"]
    sql = "SELECT detail FROM health WHERE metric = 'oauth_needs_forward'"
    ((detail,),) = until(lambda: guarded.sidecar.rows(sql), "the row of health")
    assert detail.startswith(
        f"guarded demands OAuth as https://localhost:{guarded.port}, which clients that come by 127.0.0.1:"
    )
    assert "'forward'" in detail
    assert guarded.sidecar.programs["proxy"].output.count("demands OAuth") == 1

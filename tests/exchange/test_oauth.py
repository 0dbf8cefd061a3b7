"""OAuth beside MCP: left alone, never a way past the policies, and recognised where it cannot work."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.state.exchange import Exchange, Request
from tests.play import Play, aws_key

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"x": aws_key()}}}


def send(play: Play, method: str, path: str, body: bytes = b"", **headers: str) -> Exchange:
    """One request through the pipeline."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers_ = {"host": "127.0.0.1:9001", **named}
    exchange = Exchange(play.server, Request(method, path, headers_, body, "127.0.0.1", play.now, play.now))
    exchange.reply = play.pipeline.request(exchange)
    return exchange


def answer(play: Play, exchange: Exchange, status: int, body: Any = b"", **headers: str) -> bytes:
    """The server's response; the bytes that go to the client."""
    exchange.response.status = status
    exchange.response.headers = {name.replace("_", "-"): value for name, value in headers.items()}
    exchange.response.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange.reply = play.pipeline.response(exchange)
    return exchange.response.body


def health(play: Play) -> list[str]:
    """The details of what the operator was told."""
    rows = [row for record in play.records for row in record["rows"].get("health", [])]
    return [row["detail"] for row in rows if row["metric"] == "oauth_needs_forward"]


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("GET", "/.well-known/oauth-protected-resource/mcp", b"", ""),
        ("GET", "/tenant/.well-known/openid-configuration", b"", ""),
        ("GET", "/authorize?state=x&code_challenge=y", b"", ""),
        ("POST", "/oauth2/v1/token", b"grant_type=refresh_token&refresh_token=x", "application/x-www-form-urlencoded"),
        ("POST", "/register", b'{"client_name": "x", "client_name": "y"}', "application/json"),
    ],
)
def test_oauth_passes_unread(play: Callable[..., Play], method: str, path: str, body: bytes, kind: str) -> None:
    """Neither request nor response is judged, changed or recorded, whatever they hold."""
    made = play()
    exchange = send(made, method, path, body, content_type=kind)
    assert exchange.reply is None
    said = b'{"access_token": "%s", "a": 1, "a": 2}' % aws_key().encode()
    assert answer(made, exchange, 200, said, content_type="application/json") == said
    assert made.records == []


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("path", ["/token", "/mcp/register", "/.well-known/x"])
def test_oauths_paths_are_no_way_past(play: Callable[..., Play], path: str, kind: str) -> None:
    """A JSON-RPC message is judged wherever it is sent and whatever it calls itself."""
    exchange = send(play(), "POST", path, json.dumps(CALL).encode(), content_type=kind)
    assert exchange.reply is not None
    assert b"Blocked by policy" in exchange.reply.body


@pytest.mark.parametrize("path", ["/token", "/mcp/register"])
def test_another_spelling_on_oauths_paths_is_no_way_past(play: Callable[..., Play], path: str) -> None:
    """Servers that do not mind the case of keys, and serve MCP under every path, are not sent what nobody judged."""
    body = b'{"JsonRPC": "2.0", "Id": 1, "Method": "tools/call", "Params": {"name": "t", "arguments": {}}}'
    exchange = send(play(), "POST", path, body, content_type="application/json")
    assert exchange.reply is not None
    assert exchange.reply.status == 400


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/mcp", "/.well-known/x"])
def test_a_message_under_another_method_is_refused(play: Callable[..., Play], method: str, path: str) -> None:
    """A server or framework that looks at the body alone, or follows an overriding header, gets no unjudged message."""
    made = play()
    exchange = send(made, method, path, json.dumps(CALL).encode(), content_type="application/json")
    assert exchange.reply is not None
    assert exchange.reply.status == 400
    assert [call["error_type"] for call in made.calls] == ["method"]
    assert aws_key().encode() not in made.everything


def test_a_body_that_is_no_message_passes_with_any_method(play: Callable[..., Play]) -> None:
    """Clients that send an empty object with their DELETE end their session as without us."""
    assert send(play(), "DELETE", "/mcp", b"{}", content_type="application/json", mcp_session_id="s").reply is None


@pytest.mark.parametrize(
    ("named", "is_told"),
    [
        ("https://crm.example/.well-known/oauth-protected-resource", True),
        ("http://127.0.0.1:9001/.well-known/oauth-protected-resource", False),
        ("", False),
    ],
)
def test_a_challenge_for_another_address_is_told(play: Callable[..., Play], named: str, is_told: bool) -> None:
    """Only a server that names an address its clients do not use needs the operator; a plain 401 does not."""
    made = play()
    exchange = made.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, host="127.0.0.1:9001")
    challenge = f'Basic realm="x", Bearer scope="a b", resource_metadata="{named}"' if named else "Bearer"
    answer(made, exchange, 401, www_authenticate=challenge)
    assert bool(health(made)) is is_told


def test_metadata_for_another_address_is_told_once(play: Callable[..., Play]) -> None:
    """The document itself says whose it is; hostile text in it neither breaks nor floods what the operator reads."""
    made = play()
    for resource in (7, "::", "https://[bad", "https://crm.example/mcp", "https://crm.example/mcp"):
        exchange = send(made, "GET", "/.well-known/oauth-protected-resource")
        answer(made, exchange, 200, {"resource": resource}, content_type="application/json")
    assert [text.partition(",")[0] for text in health(made)] == ["crm demands OAuth as https://crm.example"]

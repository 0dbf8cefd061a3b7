"""Tokens through a real proxy: one server outside, one inside, and the bytes that each of them got."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.e2e.conftest import Installation, is_open, until

POLICY = """
version: 1
policy: addresses
owner: privacy@ourco.example
description: Outside servers get addresses as tokens only.
mode: enforce
access: {default: allow}
rules:
  - id: pii.out
    title: An address leaves
    match: {direction: request}
    unless: {server: fixture}
    when: {detect: {any: [pii.email]}}
    action: tokenize
tests:
  - {name: out, call: {server: x, args: {x: "${fake:email}"}}, expect: {verdict: tokenize, rules: [pii.out]}}
  - {name: in, call: {server: fixture, args: {x: "${fake:email}"}}, expect: {verdict: allow, rules: []}}
"""
MAIL = "ada" + "@ourco.example"


class Got:
    """A server that keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], Any]] = []
        got = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                got.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answer = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": {"content": []}}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Installation, Got, Got]]:
    """A proxy in front of an inside server (``fixture``) and an outside one (``dead``)."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "addresses.yaml").write_text(POLICY)
    inside, outside = Got(), Got()
    installation = Installation(tmp_path, inside.port, policies)
    text = installation.file.read_text()
    dead = next(line for line in text.splitlines() if "name: dead" in line)
    mended = dead.partition("upstream:")[0] + f"upstream: 'http://127.0.0.1:{outside.port}'}}"
    installation.file.write_text(text.replace(dead, mended))
    installation.start_proxy()
    until(lambda: is_open(installation.dead_port), "the listener of the other server")
    yield installation, inside, outside
    for program in installation.programs.values():
        program.stop()
    inside.close()
    outside.close()


def test_a_value_goes_out_as_a_token_and_comes_in_as_itself(two: tuple[Installation, Got, Got]) -> None:
    """Two servers, one client without sessions: the outside sees a token in body and header, the inside the value."""
    installation, inside, outside = two
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "probe", "version": "1"},
    }

    def call(port: int, to: str) -> None:
        params = {"name": "send", "arguments": {"to": to, "body": json.dumps({"cc": [to]})}, "_meta": meta}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream", "mcp-param-to": to}
        said = urllib3.request("POST", f"http://127.0.0.1:{port}/mcp", body=body, headers=headers, retries=False)
        assert said.status == 200

    call(installation.dead_port, MAIL)
    headers, body = outside.requests[0]
    token = body["params"]["arguments"]["to"]
    assert token.startswith("tkn-email-") and headers["mcp-param-to"] == token
    assert json.loads(body["params"]["arguments"]["body"]) == {"cc": [token]}
    call(installation.dead_port, token)
    assert outside.requests[1][1]["params"]["arguments"]["to"] == token
    call(installation.port, token)
    headers, body = inside.requests[0]
    assert body["params"]["arguments"] == {"to": MAIL, "body": json.dumps({"cc": [MAIL]})}
    assert headers["mcp-param-to"] == MAIL
    kept = b"".join(file.read_bytes() for file in installation.data.rglob("*") if file.is_file())
    assert token.encode() in kept and MAIL.encode() not in kept

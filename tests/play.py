"""Drives the pipeline without a socket: exchanges in, bytes and records out, with the real decoder, detectors and policies."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from sidecar.events import Mode
from sidecar.exchange.pipeline import Pipeline
from sidecar.judging.message_judge import MessageJudge
from sidecar.policy.load import PolicySet
from sidecar.proxy.policy_reloader import load_tested
from sidecar.record.ledger import Ledger
from sidecar.sessions.identity import Sessions
from sidecar.settings import Server
from sidecar.state.exchange import Exchange, Reply, Request
from tests import compiled

with warnings.catch_warnings():
    # mitmproxy and what it imports call each other by deprecated names while they are imported.
    warnings.simplefilter("ignore")
    import mitmproxy.addons  # noqa: F401

KEY = b"k" * 32
ENGINE = compiled.engine()

SECRETS = """
version: 1
policy: secrets
owner: security@ourco.example
description: Secrets stay.
mode: enforce
severity: high
rules:
  - id: secrets.out
    title: A credential leaves
    match: {direction: request}
    when: {detect: {any: [secrets], confidence: 0.8}}
    action: block
    message: It contains a credential.
  - id: secrets.in
    title: A credential arrives
    match: {direction: response}
    when: {detect: {any: [secrets], confidence: 0.8}}
    action: redact
tests:
  - name: out
    call: {server: a, tool: t, args: {x: "${fake:aws_key}"}}
    expect: {verdict: block, rules: [secrets.out]}
  - name: in
    call: {server: a, tool: t, args: {}, result: {x: "${fake:aws_key}"}}
    expect: {verdict: redact, rules: [secrets.in]}
  - name: ordinary
    call: {server: a, tool: t, args: {x: hello}}
    expect: {verdict: allow, rules: []}
"""

ACCESS = """
version: 1
policy: access
owner: security@ourco.example
description: No deleting.
mode: enforce
access:
  default: allow
  hide: true
  message: Deleting is not for agents.
  deny:
    - id: no-delete
      match: {tool: "delete_*"}
tests:
  - name: no
    call: {server: a, tool: delete_all}
    expect: {verdict: block, rules: [no-delete]}
  - name: yes
    call: {server: a, tool: get}
    expect: {verdict: allow}
"""


def aws_key() -> str:
    """A value with the form of an AWS access key id."""
    return "AK" + "IA" + "QX7RN4WZT2LKJ5YB"


def reply_to(exchange: Exchange) -> Reply:
    """What the sidecar answered in the server's place."""
    assert exchange.reply is not None
    return exchange.reply


_LOADED: dict[tuple[str, ...], PolicySet] = {}
"""Policies by their texts: their own tests need to pass once."""


def _loaded(folder: Path, texts: tuple[str, ...]) -> PolicySet:
    if texts not in _LOADED:
        _LOADED[texts] = load_tested(folder, ENGINE)
    return _LOADED[texts]


class Play:
    """One sidecar without a network."""

    def __init__(
        self, folder: Path, *policies: str, payloads: Literal["redacted", "metadata"] = "redacted", cap: Mode = "enforce"
    ) -> None:
        folder.mkdir(exist_ok=True)
        for number, text in enumerate(policies):
            (folder / f"{number}.yaml").write_text(text)
        self.records: list[dict[str, Any]] = []
        self.raw_records: list[bytes] = []
        self.injected: list[tuple[Exchange, bytes]] = []
        """What the sidecar sent into an open stream by itself, and into which."""
        self.server = Server(name="crm", listen="127.0.0.1:9001", upstream="http://127.0.0.1:8001", payloads=payloads)
        self.in_force = SimpleNamespace(current=_loaded(folder, policies))
        judging = MessageJudge(self.in_force, ENGINE, KEY, cap)
        ledger = Ledger(self._put, judging.mask, node="n", is_forwarding_when_full=False)
        self.now = 1_800_000_000.0
        self.pipeline = Pipeline(judging, ledger, Sessions(KEY), clock=self._clock, timer=self._clock)

    def _clock(self) -> float:
        self.now += 0.001
        return self.now

    def _put(self, record: bytes) -> None:
        self.raw_records.append(record)
        self.records.append(json.loads(record))

    def post(self, message: Any, path: str = "/mcp", **headers: str) -> Exchange:
        """The client sends a message (or bytes) to the listener."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange = Exchange(
            self.server,
            Request(
                method="POST",
                path=path,
                headers={"content-type": "application/json", "accept": "application/json, text/event-stream", **named},
                body=body,
                address="10.0.0.9",
                seen_at=self.now,
                started=self.now,
            ),
        )
        exchange.reply = self.pipeline.request(exchange)
        return exchange

    def get(self, path: str = "/mcp", **headers: str) -> Exchange:
        """The client opens a listening stream."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange = Exchange(self.server, Request("GET", path, named, b"", "10.0.0.9", self.now, self.now))
        exchange.reply = self.pipeline.request(exchange)
        return exchange

    def answer(self, exchange: Exchange, message: Any, status: int = 200, **headers: str) -> bytes:
        """The server answers with one JSON body; returns what the client gets."""
        assert exchange.reply is None, "the server was never asked"
        exchange.response.status = status
        exchange.response.headers = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        exchange.response.body = message if isinstance(message, bytes) else json.dumps(message).encode()
        exchange.reply = self.pipeline.response(exchange)
        return exchange.response.body

    def stream(self, exchange: Exchange) -> Callable[[Any], bytes]:
        """The server opens an event stream; the function sends one event and returns what the client gets."""
        exchange.response.status = 200
        exchange.response.headers = {**exchange.response.headers, "content-type": "text/event-stream"}
        exchange.stream.inject = lambda data: self.injected.append((exchange, data))
        self.pipeline.open_stream(exchange)

        def send(message: Any) -> bytes:
            raw = (
                message
                if isinstance(message, bytes)
                else b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"
            )
            return self.pipeline.event(exchange, raw)

        return send

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls that ended, as rows."""
        return [record["call"] for record in self.records if record["phase"] == "end"]

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Every finding, as rows."""
        return [row for record in self.records for row in record["rows"].get("findings", [])]

    @property
    def everything(self) -> bytes:
        """All that was recorded, to look for what must not be in it."""
        return b"\n".join(self.raw_records)


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Play]:
    """Makes a sidecar with these policies."""
    return lambda *policies, **known: Play(tmp_path / "policies", *(policies or (SECRETS,)), **known)

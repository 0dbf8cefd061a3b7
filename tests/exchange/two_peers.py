"""What plays a client and a server of several sessions through a sidecar, and holds what comes out against what must."""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from sidecar.exchange.pipeline import Pipeline
from sidecar.sessions.identity import Sessions
from sidecar.state.exchange import Exchange, Request
from sidecar.transports.http_policy import EventStream, HttpPolicy
from tests.fuzz.peers import events
from tests.play import SECRETS, Play, aws_key

POLICY: Final = SECRETS.replace(
    "tests:\n",
    """  - id: secrets.ask
    title: A question holds a credential
    match: {direction: response, method: elicitation/create}
    when: {detect: {any: [secrets], confidence: 0.8}}
    action: block
tests:
  - name: asked
    call: {server: a, method: elicitation/create, direction: response, args: {message: "${fake:aws_key}"}}
    expect: {verdict: block, rules: [secrets.ask, secrets.in]}
""",
)
"""Arguments and answers of people with a credential are blocked, questions of servers too; results are redacted."""

MARK: Final = "[secrets.aws-key]"
MODERN: Final = "2026-07-28"


@dataclass(eq=False)
class Call:
    """A request of the client, or a question of the server: in which state the model has it, and how it may be recorded."""

    name: str
    session: str
    rpc_id: Any
    is_modern: bool = False
    is_cancelled: bool = False
    is_waiting: bool = False
    is_refused: bool = False
    """A question that was replaced by a ping."""
    status: frozenset[str] | None = None
    """How it ended, where it did; more than one status where the order of things does not say."""

    @property
    def is_open(self) -> bool:
        """Whether it has no answer."""
        return self.status is None

    def ended(self, *status: str) -> None:
        """It is over; what ended once does not end again."""
        if self.status is None:
            self.status = frozenset(status)


@dataclass(eq=False)
class Flow:
    """An exchange under way: a POST that carries a call, or a GET that listens."""

    exchange: Exchange
    session: str
    call: Call | None = None
    reader: EventStream | None = None
    expected: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: bytes = b""
    got: bytes = b""
    is_changed: bool = False
    has_cursor: bool = False


class Wire:
    """Carries bytes between the peers through a real sidecar, in chunks, and holds what comes out against what must."""

    def __init__(self, folder: Path) -> None:
        self.play = Play(folder, POLICY)
        self._services = self.play.pipeline.services

    def anew(self) -> None:
        """Forget everything but the policies, which take long to load."""
        play, services = self.play, self._services
        play.records.clear()
        play.raw_records.clear()
        play.pipeline = Pipeline(
            services.message_judge, services.ledger, Sessions(b"k" * 32), clock=play._clock, timer=play._clock
        )
        self.http_policy = HttpPolicy(play.pipeline, [play.server])
        self.received: list[bytes] = []

    def exchange(self, method: str, session: str, body: bytes = b"", **more: str) -> Exchange:
        """One request of the client; what reaches the server is kept."""
        headers = {
            "host": "127.0.0.1:9001",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        headers |= {"mcp-session-id": session} if session != MODERN else {"mcp-protocol-version": MODERN}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        exchange = Exchange(self.play.server, Request(method, "/mcp", headers, body, "10.0.0.9", self.play.now, self.play.now))
        self.http_policy.judge_request(exchange, list(headers.items()), "127.0.0.1")
        if exchange.reply is None and method == "POST":
            self.received.append(exchange.request.body)
        if exchange.reply is not None:
            self.http_policy.forget(exchange)
        return exchange

    def accepted(self, exchange: Exchange) -> None:
        """The server takes a notification or an answer: 202, empty."""
        exchange.response.status, exchange.response.headers = 202, {}
        self.http_policy.judge_response(exchange, b"")
        assert exchange.reply is None and exchange.response.body == b""

    def whole(self, flow: Flow, body: bytes) -> bytes:
        """The server answers with one JSON body; what the client gets."""
        flow.exchange.response.status, flow.exchange.response.headers = 200, {"content-type": "application/json"}
        self.http_policy.judge_response(flow.exchange, body)
        assert flow.exchange.reply is None
        return flow.exchange.response.body

    def open_stream(self, flow: Flow) -> None:
        """The server begins an event stream."""
        flow.exchange.response.status, flow.exchange.response.headers = 200, {"content-type": "text/event-stream"}
        flow.reader = self.http_policy.open_stream(flow.exchange, lambda data: None)

    def send(self, flow: Flow, raw: bytes, expected: bytes | None, cuts: list[int]) -> None:
        """The server sends one event, cut anywhere; ``expected`` is the event the client must read, None for no message."""
        assert flow.reader is not None
        edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
        for start, end in pairwise(edges):
            flow.got += flow.reader.feed(raw[start:end])
        flow.sent += raw
        flow.is_changed |= expected != raw
        if expected is not None:
            flow.expected += events(expected.decode())
        got = list(events(flow.got.decode()))
        if expected is None:
            # Withheld: a cursor that was in it still moves.
            flow.expected += [each for each in got[len(flow.expected) :] if not each[1]]
        assert got == flow.expected, "the client does not read what the server sent"
        if not flow.is_changed:
            # Where a chunk ended between the CR and the LF of a last line, the LF waits for what comes next.
            assert flow.sent in (flow.got, flow.got + b"\n"), "a stream nothing was changed in is not byte-equal"

    def close(self, flow: Flow, reason: str) -> bytes:
        """A stream ends, or the exchange before it had one; what the client still gets."""
        if flow.reader is not None and reason != "client":
            return flow.reader.end(reason)
        return self.http_policy.close(flow.exchange, reason)


def spelt(rpc_id: Any) -> str:
    """An id as JSON."""
    return json.dumps(rpc_id)


def request(name: str, rpc_id: Any, method: str, text: str, era: str) -> bytes:
    """A request of the client in an odd but good spelling; ``name`` makes it unlike any other."""
    meta = f',"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}"}}' if era == MODERN else ""
    params = f'{{"name":"get", "arguments":{{"text":"{text}","n":1.50}},"about":"{name}"{meta}}}'
    return f'{{ "id":{spelt(rpc_id)},"jsonrpc":"2.0" ,"method":"{method}","params":{params}}}'.encode()


def question(name: str, rpc_id: Any, text: str) -> bytes:
    """A request of the server."""
    params = f'{{"message":"{text}","about":"{name}"}}'
    return f'{{"jsonrpc":"2.0","method":"elicitation/create","params":{params},"id" : {spelt(rpc_id)}}}'.encode()


def result(name: str, rpc_id: Any, text: str) -> bytes:
    """A result of either side."""
    said = f'{{ "content":[{{"type":"text","text":"{text}"}}],"about":"{name}"}}'
    return f'{{"jsonrpc":"2.0","id":{spelt(rpc_id)},"result":{said}}}'.encode()


def error(name: str, rpc_id: Any, code: int) -> bytes:
    """An error of either side."""
    return f'{{"jsonrpc":"2.0","id":{spelt(rpc_id)},"error":{{"code":{code},"message":"about {name}"}}}}'.encode()


def event(data: bytes, newline: str, event_id: str = "") -> bytes:
    """A message as an event."""
    lines = [*([f"id: {event_id}"] if event_id else []), "event: message", f"data: {data.decode()}", "", ""]
    return newline.join(lines).encode()


def marked(data: bytes) -> bytes:
    """A message as redaction leaves it."""
    return data.replace(aws_key().encode(), MARK.encode())

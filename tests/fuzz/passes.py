"""The whole pipeline under fuzz: whatever is passed on holds no planted value in any reading of any peer."""

import json
from pathlib import Path
from typing import Any, Final

from sidecar.detect import walk
from sidecar.events import Mode
from sidecar.judging.message_judge import _OPAQUE
from sidecar.state.exchange import Exchange, Request
from sidecar.transports.http_policy import HttpPolicy
from tests.fuzz import peers
from tests.play import ENGINE, SECRETS, Play, aws_key

STRICT: Final = SECRETS.replace("    action: ", "    on_error: block\n    action: ")
_TYPES: Final = (
    *("application/json", "application/json", "application/json; charset=utf-8", "text/plain", "", "application/json-x"),
    *("application/json; charset=utf-16", "application/octet-stream"),
)
_METHODS: Final = ("tools/call", "tools/list", "initialize", "server/discover", "prompts/get", "x", "tools/call", "ping")
_STATUS: Final = (200, 200, 200, 400, 404, 202, 500, 200)


class Passes:
    """One sidecar that takes one input after the other. The first two bytes of an input choose headers and method."""

    modes: Final = ("request", "answer", "stream")

    def __init__(self, folder: Path, cap: Mode = "enforce") -> None:
        self._play = Play(folder, STRICT, cap=cap)
        self._http_policy = HttpPolicy(self._play.pipeline, [self._play.server])
        self._key = aws_key()

    def request(self, data: bytes) -> None:
        """A body on its way to a server."""
        choice, body = _choice(data)
        exchange = self._posted(body, content_type=_TYPES[choice % len(_TYPES)])
        if exchange.reply is None:
            for value in peers.structures(exchange.request.body):
                for member in value if isinstance(value, list) else (value,):
                    if _is_message(member):
                        self._require_clean(member)
        self._http_policy.close(exchange, "")
        self._require_recorded()

    def answer(self, data: bytes) -> None:
        """A body on its way to a client, for a call that is open or for none."""
        choice, body = _choice(data)
        exchange = self._asked(choice)
        exchange.response.status = _STATUS[choice // len(_METHODS) % len(_STATUS)]
        exchange.response.headers = {"content-type": "application/json"}
        self._http_policy.judge_response(exchange, body)
        sent = exchange.response.body if exchange.reply is None else exchange.reply.body
        for value in peers.structures(sent):
            for member in value if isinstance(value, list) else (value,):
                self._require_clean(member)
        if not peers.structures(sent):
            self._require_clean(sent.decode("utf-8", "replace"))
        self._require_recorded()

    def stream(self, data: bytes) -> None:
        """An event stream on its way to a client, in chunks of some size."""
        choice, body = _choice(data)
        exchange = self._asked(choice)
        exchange.response.status = 200
        exchange.response.headers = {"content-type": "text/event-stream"}
        stream = self._http_policy.open_stream(exchange, lambda data: None)
        size = (len(body) + 1, 1, 7, 60)[choice % 4]
        sent = b"".join([stream.feed(body[at : at + size]) for at in range(0, len(body), size)])
        sent += stream.end("")
        for text in peers.messages_in(sent):
            values = peers.structures(text.encode("utf-8", "surrogatepass"))
            for value in values or [text]:
                for member in value if isinstance(value, list) else (value,):
                    self._require_clean(member)
        self._require_recorded()

    def _posted(self, body: bytes, content_type: str = "application/json") -> Exchange:
        play = self._play
        play.records.clear()
        play.raw_records.clear()
        headers = {"content-type": content_type, "mcp-session-id": "s"}
        exchange = Exchange(play.server, Request("POST", "/mcp", headers, body, "10.0.0.9", play.now, play.now))
        exchange.request.headers = {**headers, "host": "127.0.0.1:9001"}
        self._http_policy.judge_request(exchange, list(exchange.request.headers.items()), "127.0.0.1")
        return exchange

    def _asked(self, choice: int) -> Exchange:
        method = _METHODS[choice % len(_METHODS)]
        params = {"name": "get", "arguments": {}}
        exchange = self._posted(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        assert exchange.reply is None
        return exchange

    def _require_clean(self, value: Any) -> None:
        """Raises where the detectors would see the planted value in what a peer reads."""
        for span in ENGINE.scan(walk(value)).spans:
            is_opaque = len(span.leaf.path) == 2 and span.leaf.path[1] in _OPAQUE
            assert span.value != self._key or is_opaque, "the planted value was passed on"

    def _require_recorded(self) -> None:
        """Every call has one end, nothing is left open, no fault was ours, and the record holds no planted value."""
        ended = [row["call_id"] for row in self._play.calls]
        begun = {record["call"]["call_id"] for record in self._play.records if record["phase"] == "begin"}
        assert len(ended) == len(set(ended)), "a call was recorded twice"
        waiting = {call.id for call in self._play.pipeline.services.correlation.waiting()}
        assert begun <= {*ended, *waiting}, "a call is silently absent"
        assert not any(row["rule"] == "wire.internal" for row in self._play.findings), "a fault of ours"
        for row in self._play.calls:
            for text in (row.get("request", ""), row.get("response", "")):
                for value in peers.structures(text.encode("utf-8", "surrogatepass")) or [text]:
                    spans = ENGINE.scan(walk(value)).spans
                    assert not any(span.value == self._key for span in spans), "the planted value was recorded"


def _choice(data: bytes) -> tuple[int, bytes]:
    return int.from_bytes(data[:2].ljust(2, b"\0"), "little"), data[2:]


def _is_message(value: Any) -> bool:
    """Whether a server could do something with a value; a form of OAuth is none of ours."""
    return isinstance(value, dict) and ("method" in value or "result" in value or "error" in value)

"""Traffic of real clients and servers, recorded between them and played through: nothing changes, nothing is told twice."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sidecar.decode.sse import Splitter
from sidecar.state.exchange import Exchange, Request
from tests.play import SECRETS

EXCERPTS = Path(__file__).parents[1] / "wire" / "transcripts"
RECORDINGS = Path(__file__).parents[3] / "shared" / "ref" / "transcripts"
FILES = [*sorted(EXCERPTS.glob("*.json")), *sorted(RECORDINGS.glob("http-*.json"))]


def headers_of(message: dict[str, Any]) -> dict[str, str]:
    fields = message.get("headers") or []
    return {name.lower(): value for name, value in (fields.items() if isinstance(fields, dict) else fields)}


def steps(exchanges: list[dict[str, Any]]) -> list[tuple[float, int, str, Any]]:
    """What happened, in the order in which it happened."""
    found: list[tuple[float, int, str, Any]] = []
    for number, exchange in enumerate(exchanges):
        request, response = exchange["request"], exchange.get("response") or {}
        start = exchange.get("t") or 0.0
        found.append((start, number, "request", request))
        chunks = response.get("chunks")
        last = start + 1e-6
        for chunk in chunks or []:
            last = max(last, chunk["t"])
            found.append((chunk["t"], number, "chunk", chunk["data"].encode()))
        if response:
            found.append((last + 1e-6, number, "end", response))
    return sorted(found, key=lambda step: step[:2])


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_recorded_traffic_passes_unchanged_and_is_recorded_once(play: Any, file: Path) -> None:
    """Storms of replays included: each byte goes on as it came, and each request is one call with one end."""
    sidecar = play(SECRETS)
    exchanges = json.loads(file.read_text())["exchanges"]
    open_: dict[int, tuple[Exchange, Splitter]] = {}
    for _, number, what, said in steps(exchanges):
        if what == "request":
            body = json.dumps(said["json"]).encode() if said.get("json") is not None else (said.get("text") or "").encode()
            exchange = Exchange(
                sidecar.server,
                Request(said["method"], said["path"], headers_of(said), body, "10.0.0.9", sidecar.now, sidecar.now),
            )
            exchange.reply = sidecar.pipeline.request(exchange)
            assert exchange.reply is None, exchange.reply
            assert exchange.request.body is body
            open_[number] = (exchange, Splitter(1 << 24))
        elif what == "chunk":
            exchange, splitter = open_[number]
            exchange.response.status, exchange.response.headers = 200, {"content-type": "text/event-stream"}
            if exchange.stream.inject is None:
                exchange.response.headers = headers_of(exchanges[number]["response"]) | exchange.response.headers
                exchange.stream.inject = lambda data: None
                sidecar.pipeline.open_stream(exchange)
            for raw in splitter.feed(said):
                assert sidecar.pipeline.event(exchange, raw) == raw
        else:
            exchange, _ = open_[number]
            if exchange.stream.inject is not None:
                sidecar.pipeline.close(exchange, "client" if exchanges[number].get("error") else "")
                continue
            body = json.dumps(said["json"]).encode() if said.get("json") is not None else (said.get("text") or "").encode()
            exchange.response.status, exchange.response.headers, exchange.response.body = said["status"], headers_of(said), body
            exchange.reply = sidecar.pipeline.response(exchange)
            assert exchange.response.body is body
    sidecar.pipeline.stop()
    rows = [row for row in sidecar.calls if row["kind"] == "request" and row["direction"] == "request"]
    asked = sum(
        "method" in message and "id" in message
        for exchange in exchanges
        for message in [exchange["request"].get("json")]
        if isinstance(message, dict)
    )
    assert len(rows) == asked
    assert not [call_id for call_id, count in Counter(row["call_id"] for row in sidecar.calls).items() if count > 1]
    begun = {record["call"]["call_id"] for record in sidecar.records if record["phase"] == "begin"}
    assert begun <= {row["call_id"] for row in sidecar.calls}
    assert Counter(row["status"] for row in rows)["no_response"] <= 1, rows
    if file.stem == "replay-storm":
        assert any(row["rule"] == "wire.replayed" for row in sidecar.findings)

"""What the record tells of each exchange, beside what was said."""

import json
from typing import Any

import pytest

from tests.exchange.test_pipeline import call, result
from tests.play import ACCESS, SECRETS, aws_key

META = "io.modelcontextprotocol/"


def test_a_handshake_tells_who_both_are_and_what_they_agreed_on(play: Any) -> None:
    """The revision is the one the server chose; capabilities and names are what each says of itself."""
    sidecar = play()
    able = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
    params = {"protocolVersion": "2025-11-25", "capabilities": able, "clientInfo": {"name": "c", "version": "1"}}
    exchange = sidecar.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    info = {"name": "crm-server", "version": "7"}
    said = {
        "protocolVersion": "2025-03-26",
        "capabilities": {"tools": {"listChanged": True}, "logging": {}},
        "serverInfo": info,
    }
    sidecar.answer(exchange, {"jsonrpc": "2.0", "id": 0, "result": said}, mcp_session_id="s")
    (row,) = sidecar.calls
    assert row["protocol"] == "2025-03-26"
    assert row["attrs"] == {
        "protocol_asked": "2025-11-25",
        "client_capabilities": "elicitation.form, elicitation.url, roots.listChanged, sampling",
        "server_capabilities": "logging, tools.listChanged",
        "server_info": "crm-server 7",
    }
    sidecar.answer(sidecar.post(call(), mcp_session_id="s"), result())
    later = sidecar.calls[1]
    assert later["protocol"] == "2025-03-26"
    assert later["mcp_session"] == row["mcp_session"] == row["session"]
    assert b'"s"' not in sidecar.everything


def test_a_stateless_call_tells_it_with_every_request(play: Any) -> None:
    """In 2026-07-28 there is no handshake, so each call says what its client can do and who answered, and how."""
    sidecar = play()
    asked = call()
    asked["params"]["_meta"] = {
        META + "protocolVersion": "2026-07-28",
        META + "clientCapabilities": {"sampling": {}},
        META + "clientInfo": {"name": aws_key(), "version": "1"},
    }
    exchange = sidecar.post(asked, mcp_protocol_version="2026-07-28")
    assert exchange.reply is not None, "a secret in a name is one all the same"
    asked["params"]["_meta"][META + "clientInfo"]["name"] = "c"
    exchange = sidecar.post(asked, mcp_protocol_version="2026-07-28")
    said = result(resultType="complete", _meta={META + "serverInfo": {"name": aws_key(), "version": "2"}})
    sidecar.answer(exchange, said)
    row = sidecar.calls[-1]
    assert (row["result_type"], row["attrs"]["client_capabilities"], row["ended"]) == ("complete", "sampling", "answer")
    assert row["attrs"]["server_info"].startswith("[secrets.aws-key #")
    assert aws_key().encode() not in sidecar.everything


def test_the_times_of_a_stream_are_recorded(play: Any) -> None:
    """When the head came, when each event, when the end, and how long the decision took of it."""
    sidecar = play()
    exchange = sidecar.post(call())
    sidecar.now += 1
    exchange.response.headers_at = sidecar.now
    send = sidecar.stream(exchange)
    sidecar.now += 1
    send({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}})
    sidecar.now += 1
    send(b"id: 9\ndata: " + json.dumps(result()).encode() + b"\n\n")
    (row,) = sidecar.calls
    assert 1_000_000 <= row["headers_us"] < 2_000_000 <= row["first_us"] < 3_000_000 <= row["duration_us"]
    first, second = map(int, row["attrs"]["events_us"].split(","))
    assert first == row["first_us"] and first + 1_000_000 <= second <= row["duration_us"]
    assert row["decision_us"] > 0
    assert (row["events"], len(row["attrs"]["event_id"])) == (1, 16)


def test_sizes_before_and_after_are_recorded(play: Any) -> None:
    """What came and what went on, where a rule made them differ."""
    policy = SECRETS.replace("action: block", "action: redact").replace("verdict: block", "verdict: redact")
    sidecar = play(policy)
    exchange = sidecar.post(call(aws_key()))
    sent = sidecar.answer(exchange, result(aws_key()))
    (row,) = sidecar.calls
    assert row["attrs"] == {"request_sent_bytes": str(len(exchange.request.body)), "response_sent_bytes": str(len(sent))}
    assert row["request_bytes"] != len(exchange.request.body)


@pytest.mark.parametrize(
    ("answer", "anomaly"),
    [
        (b'{"jsonrpc":"2.0","id":"1","result":{}}', "id-in-other-form"),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}', "no-id"),
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":1},"result":{"a":2}}', "duplicate-key"),
        (b'{"jsonrpc":"2.0","id":77,"result":{}}', "unknown-id"),
        (b"<h1>no</h1>", "not-jsonrpc"),
    ],
)
def test_an_odd_answer_is_marked(play: Any, answer: bytes, anomaly: str) -> None:
    """It passes as far as clients take it, and the record says what was odd about it."""
    sidecar = play()
    sidecar.answer(sidecar.post(call()), answer)
    assert sidecar.calls[0]["anomalies"] == [anomaly]


@pytest.mark.parametrize(
    ("body", "headers", "anomaly"),
    [
        (b"{", {}, "unparsable"),
        (b'{"jsonrpc":"2.0","id":1,"id":1,"method":"x"}', {}, "duplicate-key"),
        (b"{}", {"content_encoding": "gzip"}, "encoded"),
        (b"{}", {"content_type": "application/json; charset=utf-16"}, "charset"),
    ],
)
def test_an_odd_request_is_marked(play: Any, body: bytes, headers: dict[str, str], anomaly: str) -> None:
    """What was refused unread says why in the same column."""
    sidecar = play()
    sidecar.post(body, **headers)
    assert (sidecar.calls[0]["anomalies"], sidecar.calls[0]["ended"]) == ([anomaly], "refused")


def test_an_id_in_use_is_marked(play: Any) -> None:
    """Two requests of one session under one id: both are recorded, the second says so."""
    sidecar = play()
    first, second = sidecar.post(call("a"), mcp_session_id="s"), sidecar.post(call("b"), mcp_session_id="s")
    sidecar.answer(first, result())
    sidecar.answer(second, result())
    assert [row["anomalies"] for row in sidecar.calls] == [[], ["duplicate-id"]]


def test_how_each_call_ended_is_told(play: Any) -> None:
    """An answer, a refusal, a client that left, a server that broke off, a server that was not there."""
    sidecar = play(SECRETS, ACCESS)
    sidecar.answer(sidecar.post(call()), result())
    sidecar.post(call(tool="delete_all"))
    sidecar.pipeline.close(sidecar.post(call()), "client")
    broken = sidecar.post(call())
    sidecar.stream(broken)
    sidecar.pipeline.close(broken, "it closed the connection")
    sidecar.reply = sidecar.pipeline.fail(sidecar.post(call()), "connection refused", 502)
    assert [row["ended"] for row in sidecar.calls] == ["answer", "refused", "client_left", "stream_broken", "unreachable"]

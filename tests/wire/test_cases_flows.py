"""Cases 15 to 19, 21 and 22: streams that are resumed, questions of servers, cancels, floods, rounds and sessions.

What is played here are the essentials of each case; ``tests/exchange/test_streams.py`` and its neighbours go further.
"""

import json
from typing import Any

import pytest

from sidecar.state.exchange import Exchange, Request
from tests.exchange.test_pipeline import call, result
from tests.play import SECRETS, aws_key

REDACT_BOTH = SECRETS.replace("action: block\n    message: It contains a credential.", "action: redact").replace(
    "expect: {verdict: block, rules: [secrets.out]}", "expect: {verdict: redact, rules: [secrets.out]}"
)


def event(message: Any, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n".encode() if event_id else b""
    return head + b"data: " + json.dumps(message).encode() + b"\n\n"


def test_case_15_a_primed_stream_is_closed_and_replayed(play: Any) -> None:
    """Priming events and closing early change nothing: the answer comes once for the record, however often it is replayed."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(exchange)
    priming = b"id: 1\nretry: 500\ndata:\n\n"
    assert send(priming) is priming and sidecar.pipeline.close(exchange, "") == b""
    seen = []
    for _ in range(3):
        send = sidecar.stream(sidecar.get(mcp_session_id="s", last_event_id="1"))
        stored = b"id: 1\ndata: {}\n\n"
        assert send(stored) is stored, "servers replay empty messages as they stored them"
        seen.append(send(event(result(aws_key()), "2")))
    assert len(set(seen)) == 1 and seen[0].startswith(b"id: 2\n") and b"[secrets.aws-key]" in seen[0]
    assert [row["status"] for row in sidecar.calls if row["method"] == "tools/call"] == ["ok"]


def test_case_16_a_question_answered_twice_and_one_never_asked(play: Any) -> None:
    """The first answer is the question's; the second and one to an unknown id are judged like any and reach the server."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    send(event({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}))
    answer = {"jsonrpc": "2.0", "id": 1, "result": {"roots": []}}
    for each in (answer, answer, {"jsonrpc": "2.0", "id": 99, "result": {}}):
        exchange = sidecar.post(each, mcp_session_id="s")
        assert exchange.reply is None and json.loads(exchange.request.body) == each
    leak = sidecar.post({"jsonrpc": "2.0", "id": 99, "result": {"k": aws_key()}}, mcp_session_id="s")
    assert aws_key().encode() not in leak.request.body
    send(event(result()))
    assert [(row["method"], row["status"]) for row in sidecar.calls if row["method"]] == [
        ("roots/list", "ok"),
        ("tools/call", "ok"),
    ]


def test_case_17_a_question_on_the_listening_stream(play: Any) -> None:
    """A question without a call of its own is passed on at once, and its answer finds it."""
    sidecar = play()
    send = sidecar.stream(sidecar.get(mcp_session_id="s"))
    asked = event({"jsonrpc": "2.0", "id": 3, "method": "elicitation/create", "params": {"message": "Name?"}})
    assert send(asked) == asked
    sidecar.post({"jsonrpc": "2.0", "id": 3, "result": {"action": "decline"}}, mcp_session_id="s")
    (row,) = sidecar.calls
    assert (row["method"], row["direction"], row["status"]) == ("elicitation/create", "response", "ok")


@pytest.mark.parametrize(
    "late", [result(), {"jsonrpc": "2.0", "id": 1, "error": {"code": -32800, "message": "Request cancelled"}}]
)
def test_case_18_an_answer_after_the_cancel(play: Any, late: Any) -> None:
    """A late answer, and the Python server's code for a cancelled call, pass; the call ends once."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert sidecar.post(note, mcp_session_id="s").reply is None
    assert send(event(late)) == event(late)
    assert len([row for row in sidecar.calls if row["method"] == "tools/call"]) == 1
    assert sidecar.post(note, mcp_session_id="s").reply is None, "a cancel after the answer is passed on too"


def test_case_18_a_modern_client_that_closes(play: Any) -> None:
    """Closing the stream is the cancellation: the call is cancelled, and nothing is sent any more."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_protocol_version="2026-07-28")
    sidecar.stream(exchange)(event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}))
    assert sidecar.pipeline.close(exchange, "client") == b""
    assert [row["status"] for row in sidecar.calls if row["method"] == "tools/call"] == ["cancelled"]


def test_case_19_a_flood_of_progress(play: Any) -> None:
    """Two thousand notifications of one call, some of unknown tokens and after its answer, all pass; the record stays small."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(exchange)
    for number in range(2000):
        raw = event(
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": number % 7, "progress": number}}
        )
        assert send(raw) == raw
    send(event(result()))
    late = event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 9999}})
    assert send(late) == late
    (row,) = [row for row in sidecar.calls if row["method"] == "tools/call"]
    assert (row["status"], row["events"]) == ("ok", 2000) and len(sidecar.records) < 10


def test_case_21_rounds_get_the_same_arguments(play: Any) -> None:
    """The server seals a digest of the arguments into its state, so a redaction is the same in every round, to the byte."""
    sidecar = play(REDACT_BOTH)
    first = sidecar.post(call(f"key {aws_key()}"), mcp_protocol_version="2026-07-28")
    sealed = {"resultType": "input_required", "requestState": "v1.sealed=", "inputRequests": {}}
    answer = {"jsonrpc": "2.0", "id": 1, "result": sealed}
    assert json.loads(sidecar.answer(first, answer)) == answer
    rounds = []
    for number in range(2, 13):
        retry = call(f"key {aws_key()}", number)
        retry["params"] |= {"inputResponses": {"k": {"action": "accept", "content": {"n": 1}}}, "requestState": "v1.sealed="}
        exchange = sidecar.post(retry, mcp_protocol_version="2026-07-28")
        rounds.append(json.loads(exchange.request.body)["params"])
        sidecar.answer(exchange, {**answer, "id": number})
    assert all(each["arguments"] == json.loads(first.request.body)["params"]["arguments"] for each in rounds)
    assert all(each["requestState"] == "v1.sealed=" for each in rounds)


def test_case_21_answers_nobody_asked_for(play: Any) -> None:
    """Unsolicited answers and a state that was tampered with are the server's to refuse; its words reach the client."""
    sidecar = play()
    odd = call()
    odd["params"] |= {"inputResponses": {"x": {"action": "accept"}, "y": 5, "z": [None]}, "requestState": "tampered"}
    exchange = sidecar.post(odd, mcp_protocol_version="2026-07-28")
    assert exchange.reply is None and json.loads(exchange.request.body) == odd
    error = {"code": -32602, "message": "Invalid or expired requestState", "data": {"reason": "invalid_request_state"}}
    refused = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    assert sidecar.answer(exchange, refused, 400) is refused
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["error_code"]) == ("error", -32602)


@pytest.mark.parametrize("status", [400, 404, 409])
def test_case_22_a_session_that_is_gone(play: Any, status: int) -> None:
    """The server's word about its session reaches the client as it is, so that it begins a new one; nothing waits for it."""
    sidecar = play()
    body = b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Session not found"},"id":null}'
    assert sidecar.answer(sidecar.post(call(), mcp_session_id="session-0b3c"), body, status) is body
    assert [row["status"] for row in sidecar.calls] == ["error"]
    assert b"session-0b3c" not in sidecar.everything


def test_case_22_a_session_that_is_ended(play: Any) -> None:
    """What still waited when the client ended its session is recorded, and the ended id may be used again."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)(b"id: 1\ndata:\n\n")
    sidecar.pipeline.close(exchange, "")
    said = Request("DELETE", "/mcp", {"mcp-session-id": "s"}, b"", "10.0.0.9", sidecar.now, sidecar.now)
    ended = Exchange(sidecar.server, said)
    ended.reply = sidecar.pipeline.request(ended)
    assert ended.reply is None
    assert [row["error_type"] for row in sidecar.calls if row["method"] == "tools/call"] == ["session_ended"]
    assert sidecar.post(call(rpc_id=2), mcp_session_id="s").reply is None


def test_case_22_the_session_of_2024_11_05_is_in_the_path(play: Any) -> None:
    """Its id is a bearer secret that stands in the query: it tells sessions apart, and is in no record."""
    sidecar = play()
    for session, rpc_id in (("0123abcd", 1), ("4567efab", 1)):
        exchange = sidecar.post(call(session[:2], rpc_id), path=f"/messages/?session_id={session}")
        assert sidecar.answer(exchange, b"Accepted", 202) == b"Accepted" and sidecar.calls == []
    sidecar.pipeline.stop()
    assert [row["status"] for row in sidecar.calls] == ["no_response", "no_response"]
    assert b"0123abcd" not in sidecar.everything and b"4567efab" not in sidecar.everything

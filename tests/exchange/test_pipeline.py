"""What happens to a message between client and server, told as transcripts."""

import json
import re
from typing import Any

import pytest

from sidecar.exchange import replies
from tests.play import ACCESS, SECRETS, aws_key


def call(text: str = "hello", rpc_id: Any = 1, tool: str = "get") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": {"name": tool, "arguments": {"text": text}}}


def result(text: str = "fine", rpc_id: Any = 1, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": {"content": [{"type": "text", "text": text}], **more}}


def data_of(event: bytes) -> Any:
    return json.loads(next(line for line in event.splitlines() if line.startswith(b"data: "))[6:])


def test_an_ordinary_call_passes_byte_for_byte_and_is_recorded_once(play: Any) -> None:
    """Odd spacing, escapes and numbers arrive as they were sent, and the record holds both sides."""
    sidecar = play()
    body = b'{ "jsonrpc":"2.0" , "id":7, "method":"tools/call","params":{"name":"get","arguments":{"n":1.50,"s":"\\u00e9"}} }'
    exchange = sidecar.post(body)
    assert exchange.reply is None and exchange.request.body is body
    answer = b'{"jsonrpc":"2.0","id":7,"result":{"content":[],"n":1e400}}'
    assert sidecar.answer(exchange, answer) is answer
    (row,) = sidecar.calls
    assert [record["phase"] for record in sidecar.records] == ["begin", "end"]
    assert (row["status"], row["verdict"], row["tool"], row["request"]) == ("ok", "allow", "get", body.decode())
    assert row["duration_us"] > 0 and row["bytes_scanned"] > 0


def test_the_record_says_who_looked_and_what_was_not_looked_at(play: Any) -> None:
    """Nothing found and not looked at are never the same: rules, detectors and what was left out stand with each call."""
    sidecar = play()
    sidecar.answer(sidecar.post(call("hello", rpc_id=1)), json.dumps(result(rpc_id=1)).encode())
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    sidecar.answer(sidecar.post(call("hello", rpc_id=2)), json.dumps(result(rpc_id=2, structuredContent=deep)).encode())
    whole, partly = sidecar.calls
    assert [row["rules"] for row in (whole, partly)] == [["secrets.in", "secrets.out"]] * 2
    assert whole["detectors"] == partly["detectors"] > 300 and len(whole["detectors_version"]) == 12
    assert whole["skipped"] == [] and partly["skipped"] == ["depth"]


def test_a_secret_in_arguments_never_leaves(play: Any) -> None:
    """The server is not asked, the model reads why, and the secret is in no record."""
    sidecar = play()
    exchange = sidecar.post(call(f"key {aws_key()}"))
    said = json.loads(exchange.reply.body)
    assert exchange.reply.status == 200 and said["id"] == 1 and said["result"]["isError"] is True
    assert (
        "secrets.out" in said["result"]["content"][0]["text"]
        and "It contains a credential" in said["result"]["content"][0]["text"]
    )
    (row,) = sidecar.calls
    assert (row["status"], row["verdict"], row["rule"]) == ("blocked", "block", "secrets.out")
    (finding,) = sidecar.findings
    assert (finding["kind"], finding["path"], finding["direction"]) == ("secrets.aws-key", "$.params.arguments.text", "request")
    assert aws_key().encode() not in sidecar.everything


def test_the_modern_era_gets_a_complete_result(play: Any) -> None:
    """Clients of 2026-07-28 reject a result without its type."""
    exchange = play().post(call(aws_key()), mcp_protocol_version="2026-07-28")
    assert json.loads(exchange.reply.body)["result"]["resultType"] == "complete"


def test_a_secret_in_a_result_is_taken_out_of_both_copies(play: Any) -> None:
    """Text and structured content both carry the mark, all else stays, and the record is masked too."""
    sidecar = play()
    got = sidecar.answer(sidecar.post(call()), result(f"key {aws_key()}", structuredContent={"k": aws_key(), "n": 1.0}))
    said = json.loads(got)["result"]
    assert said["content"][0]["text"] == "key [secrets.aws-key]"
    assert said["structuredContent"] == {"k": "[secrets.aws-key]", "n": 1.0}
    (row,) = sidecar.calls
    assert (row["status"], row["verdict"]) == ("ok", "redact")
    assert "[secrets.aws-key #" in row["response"] and aws_key().encode() not in sidecar.everything


def listed(sidecar: Any, schema: Any) -> None:
    """The server lists the tool ``get`` with this promise about its results."""
    listing = sidecar.post({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    tools = [{"name": "get", "outputSchema": {"type": "object", "properties": schema}}]
    sidecar.answer(listing, {"jsonrpc": "2.0", "id": 2, "result": {"tools": tools}})


def test_a_redaction_keeps_what_the_schema_promises(play: Any) -> None:
    """A client accepts the redacted result, because what stands in it has the form the tool promised; the text has the mark."""
    sidecar = play()
    listed(sidecar, {"k": {"type": "string", "pattern": "^AKIA[A-Z0-9]{16}$"}})
    raw = b'{"jsonrpc":"2.0","id":1,"result":{"n":1.00,"content":[{"type":"text","text":"%s"}],"structuredContent":{"k":"%s"}}}'
    got = sidecar.answer(sidecar.post(call()), raw.replace(b"%s", aws_key().encode()))
    said = json.loads(got)["result"]
    assert said["content"][0]["text"] == "[secrets.aws-key]" and b'"n":1.00' in got
    assert re.fullmatch("AKIA[A-Z0-9]{16}", said["structuredContent"]["k"]) and said["structuredContent"]["k"] != aws_key()
    assert (sidecar.calls[-1]["status"], sidecar.calls[-1]["verdict"]) == ("ok", "redact")


def test_a_redaction_the_schema_forbids_becomes_a_refusal(play: Any) -> None:
    """Where nothing else may stand in its place, the client gets an error it understands instead of a broken result."""
    sidecar = play()
    listed(sidecar, {"k": {"const": aws_key()}})
    got = json.loads(sidecar.answer(sidecar.post(call()), result("x", structuredContent={"k": aws_key()})))
    assert got["result"]["isError"] is True and "structuredContent" not in got["result"]
    assert sidecar.calls[-1]["status"] == "blocked"


def test_other_methods_are_refused_by_an_error_with_their_id(play: Any) -> None:
    """A prompt that carries a secret is refused with a code no client gives a meaning of its own."""
    prompt = {"jsonrpc": "2.0", "id": "a", "method": "prompts/get", "params": {"name": "p", "arguments": {"k": aws_key()}}}
    said = json.loads(play().post(prompt).reply.body)
    assert said["id"] == "a" and said["error"]["code"] == 1403


def test_a_blocked_notification_is_swallowed(play: Any) -> None:
    """Nobody waits for an answer to a notification, so it just goes no further."""
    sidecar = play()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": aws_key()}}
    assert sidecar.post(note).reply.status == 202
    assert sidecar.calls[0]["status"] == "blocked"


def test_denied_tools_are_neither_listed_nor_called(play: Any) -> None:
    """What a caller may not use it does not see; the numbers of what stays are as the server wrote them."""
    sidecar = play(ACCESS)
    listing = sidecar.post({"jsonrpc": "2.0", "id": 3, "method": "tools/list"})
    body = b'{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"get","x":1.00},{"name":"delete_all"}],"nextCursor":""}}'
    got = sidecar.answer(listing, body)
    assert got == b'{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"get","x":1.00}],"nextCursor":""}}'
    assert sidecar.calls[0]["attrs"]["hidden"] == "1"
    refused = json.loads(sidecar.post(call(tool="delete_all")).reply.body)
    assert "Deleting is not for agents" in refused["result"]["content"][0]["text"]


def test_events_are_judged_one_by_one(play: Any) -> None:
    """Progress passes as it came and is counted, the answer is redacted, its event id stays."""
    sidecar = play()
    exchange = sidecar.post({**call(), "params": {**call()["params"], "_meta": {"progressToken": 5}}})
    send = sidecar.stream(exchange)
    progress = b'id: 1\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\r\n\r\n'
    assert send(progress) is progress
    priming = b"id: 2\r\nretry: 100\r\ndata:\r\n\r\n"
    assert send(priming) is priming
    raw = b"id: 3\r\nevent: message\r\ndata: " + json.dumps(result(aws_key())).encode() + b"\r\n\r\n"
    got = send(raw)
    assert got.startswith(b"id: 3\r\nevent: message\r\ndata: ") and b"[secrets.aws-key]" in got
    assert sidecar.pipeline.close(exchange, "") == b""
    (row,) = sidecar.calls
    assert (row["status"], row["events"], row["verdict"]) == ("ok", 1, "redact")


def test_a_servers_own_request_is_paired_with_the_clients_answer(play: Any) -> None:
    """A question inside a stream and its answer in a POST of its own make one call, told as asked by the server."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    send = sidecar.stream(exchange)
    question = {"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": {"message": "Name?"}}
    assert data_of(send(question)) == question
    reply = sidecar.post(
        {"jsonrpc": "2.0", "id": 0, "result": {"action": "accept", "content": {"name": "Bob"}}}, mcp_session_id="s"
    )
    assert reply.reply is None
    send(result())
    asked, answered = sidecar.calls
    assert (asked["method"], asked["direction"], asked["status"]) == ("elicitation/create", "response", "ok")
    assert asked["attrs"]["parent"] == answered["call_id"] and asked["session"] == answered["session"]
    assert "Bob" in asked["response"]


def test_a_blocked_question_asks_nobody(play: Any) -> None:
    """The client sees a ping it answers by itself, the server reads a refusal, and nobody is prompted."""
    policy = (
        SECRETS.replace("match: {direction: response}", "match: {direction: response, method: elicitation/create}")
        .replace("action: redact", "action: block")
        .split("  - name: in")[0]
        + """  - name: in
    call: {server: a, method: elicitation/create, direction: response, args: {message: "${fake:aws_key}"}}
    expect: {verdict: block, rules: [secrets.in]}
  - name: ordinary
    call: {server: a, tool: t, args: {x: hello}}
    expect: {verdict: allow, rules: []}
"""
    )
    sidecar = play(policy)
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    got = data_of(send({"jsonrpc": "2.0", "id": 4, "method": "elicitation/create", "params": {"message": aws_key()}}))
    assert got == {"jsonrpc": "2.0", "id": 4, "method": "ping"}
    answer = sidecar.post({"jsonrpc": "2.0", "id": 4, "result": {}}, mcp_session_id="s")
    assert json.loads(answer.request.body)["error"]["code"] == -1
    assert sidecar.calls[0]["status"] == "blocked"


def test_a_persons_answer_with_a_secret_does_not_reach_the_server(play: Any) -> None:
    """What a person types travels to the server, so it is judged like arguments; the server reads that it was declined."""
    sidecar = play()
    send = sidecar.stream(sidecar.post(call(), mcp_session_id="s"))
    send({"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": {"message": "Key?"}})
    answer = sidecar.post(
        {"jsonrpc": "2.0", "id": 0, "result": {"action": "accept", "content": {"k": aws_key()}}}, mcp_session_id="s"
    )
    assert answer.reply is None and json.loads(answer.request.body)["error"]["code"] == -1
    assert aws_key().encode() not in answer.request.body
    assert sidecar.calls[0]["status"] == "blocked"


def test_ids_of_both_sides_do_not_meet(play: Any) -> None:
    """Client and server both count from zero, and 0 and "0" are two ids; every answer finds its own question."""
    sidecar = play()
    first, second = sidecar.post(call("a", 0), mcp_session_id="s"), sidecar.post(call("b", "0"), mcp_session_id="s")
    send = sidecar.stream(first)
    send({"jsonrpc": "2.0", "id": 0, "method": "roots/list"})
    sidecar.post({"jsonrpc": "2.0", "id": 0, "result": {"roots": []}}, mcp_session_id="s")
    send(result("for a", 0))
    sidecar.answer(second, result("for b", "0"))
    assert [(row["method"], row["rpc_id"]) for row in sidecar.calls] == [
        ("roots/list", "0"), ("tools/call", "0"), ("tools/call", '"0"')
    ]  # fmt: skip
    assert "for a" in sidecar.calls[1]["response"] and "for b" in sidecar.calls[2]["response"]


def test_a_stream_that_is_resumed_completes_its_call(play: Any) -> None:
    """A server may close a stream with cursors early; the answer that comes on the resumed stream ends the same call, once."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)(b"id: 1\r\ndata:\r\n\r\n")
    assert sidecar.pipeline.close(exchange, "") == b""
    assert sidecar.calls == []
    resumed = sidecar.get(mcp_session_id="s", last_event_id="1")
    send = sidecar.stream(resumed)
    again = b"id: 2\r\ndata: " + json.dumps(result(aws_key())).encode() + b"\r\n\r\n"
    assert b"[secrets.aws-key]" in send(again)
    assert b"[secrets.aws-key]" in send(again), "a replay is judged like the first time"
    (row,) = sidecar.calls
    assert (row["status"], row["tool"]) == ("ok", "get")


def test_a_client_that_leaves_is_a_cancelled_call(play: Any) -> None:
    """Nobody waits any more, and the record says so."""
    sidecar = play()
    sidecar.pipeline.close(sidecar.post(call()), "client")
    assert sidecar.calls[0]["status"] == "cancelled"


def test_a_server_that_dies_in_a_stream_is_told_at_once(play: Any) -> None:
    """The client gets an error with its id in the open stream instead of waiting for its own timeout."""
    sidecar = play()
    exchange = sidecar.post(call())
    sidecar.stream(exchange)
    tail = sidecar.pipeline.close(exchange, "it closed the connection")
    assert data_of(tail)["id"] == 1 and data_of(tail)["error"]["code"] == -32000
    assert sidecar.calls[0]["status"] == "upstream_error"


def test_a_server_that_cannot_be_reached(play: Any) -> None:
    """The client gets an error with its id, at once, and the call is recorded with the reason."""
    sidecar = play()
    exchange = sidecar.post(call())
    exchange.reply = sidecar.pipeline.fail(exchange, "connection refused", 502)
    assert exchange.reply.status == 502 and json.loads(exchange.reply.body)["id"] == 1
    assert sidecar.calls[0]["status"] == "upstream_error" and "connection refused" in sidecar.calls[0]["error_message"]


def test_an_error_page_is_scanned_and_ends_the_call(play: Any) -> None:
    """A body that is no JSON-RPC is text all the same: its secrets do not pass, and the call is an error."""
    sidecar = play()
    got = sidecar.answer(sidecar.post(call()), f"<h1>key {aws_key()}</h1>".encode(), 500, content_type="text/html")
    assert got == b"<h1>key [secrets.aws-key]</h1>"
    assert (sidecar.calls[0]["status"], sidecar.calls[0]["error_type"]) == ("error", "http_500")


def test_a_batch_is_judged_member_by_member(play: Any) -> None:
    """Revision 2025-03-26 allows batches: each request is its own call, and one that is refused refuses them all."""
    sidecar = play()
    exchange = sidecar.post([call("a", 1), call("b", 2)])
    assert exchange.reply is None
    sidecar.answer(exchange, [result("x", 2), result(aws_key(), 1)])
    assert b"[secrets.aws-key]" in exchange.response.body and [row["rpc_id"] for row in sidecar.calls] == ["2", "1"]
    refused = sidecar.post([call("a", 1), call(aws_key(), 2)])
    said = json.loads(refused.reply.body)
    assert [each["id"] for each in said] == [1, 2] and all(each["result"]["isError"] for each in said)
    assert [row["status"] for row in sidecar.calls[2:]] == ["blocked", "blocked"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}', {}),
        (b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', {}),
        (b"\xff\xfe{\x00}\x00", {}),
        (b"not json", {}),
        (b"[]", {}),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {"content_type": "application/json; charset=utf-16"}),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {"content_encoding": "gzip"}),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_and_recorded(play: Any, body: bytes, headers: dict[str, str]) -> None:
    """Bytes a server might read in another way than we do never reach it, and the record says why."""
    sidecar = play()
    exchange = sidecar.post(body, **headers)
    assert exchange.reply.status == 400 and json.loads(exchange.reply.body)["error"]["code"] < 0
    assert sidecar.calls[0]["status"] == "blocked" and sidecar.findings[0]["kind"] == "error"


def test_oauth_is_none_of_our_business(play: Any) -> None:
    """Token requests and client registrations pass unread and unrecorded."""
    sidecar = play()
    token = sidecar.post(b"grant_type=authorization_code&code=x", content_type="application/x-www-form-urlencoded")
    registration = sidecar.post({"client_name": "x", "redirect_uris": []})
    assert token.reply is None and registration.reply is None
    assert sidecar.answer(token, {"access_token": "x"}) == b'{"access_token": "x"}'
    assert sidecar.records == []


def test_a_record_that_cannot_be_written_refuses_the_call(play: Any) -> None:
    """With a full disk nothing passes unrecorded, unless the settings say so."""
    from sidecar.errors import StoreError

    sidecar = play()

    def full(record: bytes) -> None:
        raise StoreError("full")

    sidecar.pipeline.services.ledger._put = full
    exchange = sidecar.post(call())
    assert exchange.reply.status == 503 and json.loads(exchange.reply.body)["id"] == 1
    sidecar.pipeline.services.ledger._is_forwarding_when_full = True
    assert sidecar.post(call()).reply is None and sidecar.pipeline.services.ledger.lost_records > 0


def test_metadata_only_keeps_no_payload(play: Any) -> None:
    """A server whose payloads are not to be kept leaves only who, what and when."""
    sidecar = play(payloads="metadata")
    sidecar.answer(sidecar.post(call("private words")), result("more words"))
    assert sidecar.calls[0]["request"] == "" and b"words" not in sidecar.everything


def test_what_still_waits_at_the_end_is_not_silently_absent(play: Any) -> None:
    """A question that was never answered is recorded as such when the sidecar stops."""
    sidecar = play()
    exchange = sidecar.post(call(), mcp_session_id="s")
    sidecar.stream(exchange)({"jsonrpc": "2.0", "id": 0, "method": "roots/list"})
    sidecar.pipeline.stop()
    assert sidecar.calls[0]["status"] == "no_response"


def test_the_record_keeps_what_a_refused_client_was_sent(play: Any) -> None:
    """Who looks at a blocked call reads the text its client read, both ways, and no value that a tool's name may hold."""
    policy = SECRETS.replace("message: It contains a credential.", "message: '{tool} holds a credential.'")
    sidecar = play(policy.replace("action: redact", "action: block").replace("verdict: redact", "verdict: block"))
    sidecar.post(call(aws_key()))
    sidecar.answer(sidecar.post(call("hello")), result(aws_key()))
    out, back = sidecar.calls
    assert (out["status"], back["status"]) == ("blocked", "blocked")
    assert out["error_message"] == replies.refusal_text("get holds a credential.", "secrets.out")
    assert back["error_message"] == replies.refusal_text("A credential arrives.", "secrets.in")
    hidden = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": aws_key(), "arguments": {}}}
    sidecar.post(hidden)
    assert "[secrets.aws-key #" in sidecar.calls[-1]["error_message"]
    assert aws_key().encode() not in sidecar.everything

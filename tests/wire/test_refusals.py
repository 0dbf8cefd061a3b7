"""How each kind of message is refused, in both eras, so that no client hangs, throws, falls back or asks again."""

import json
from typing import Any

import pytest

from tests.exchange.test_pipeline import call, data_of, result
from tests.play import ACCESS, SECRETS, Play, aws_key, reply_to

AVOIDED = {-32020, -32021, -32022, -32042, -32001, -32002, -32602}
"""Codes that make some client try again, open a browser, or take its session for lost."""

BLOCKING = SECRETS.replace("action: redact", "action: block\n    message: It holds a credential.").replace(
    "expect: {verdict: redact, rules: [secrets.in]}", "expect: {verdict: block, rules: [secrets.in]}"
)

LEGACY, MODERN = {"mcp_session_id": "s"}, {"mcp_protocol_version": "2026-07-28"}
ERAS = pytest.mark.parametrize("era", [LEGACY, MODERN], ids=["handshake", "modern"])


def denied_server(play: Any) -> Play:
    """A sidecar whose server is denied as a whole."""
    policy = ACCESS.replace('{tool: "delete_*"}', "{server: crm}").replace("{server: a, tool: delete_all}", "{server: crm}")
    made: Play = play(policy)
    return made


def asking(method: str, rpc_id: Any = 5, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}


@ERAS
def test_a_tool_call_is_refused_by_a_result(play: Any, era: dict[str, str]) -> None:
    """The model reads why: a failed result on 200, without structured content, complete in the modern era."""
    answer = play().post(call(aws_key()), **era).reply
    said = json.loads(answer.body)
    assert answer.status == 200 and set(said) == {"jsonrpc", "id", "result"}
    assert said["result"]["isError"] is True and "structuredContent" not in said["result"]
    assert said["result"].get("resultType") == ("complete" if era is MODERN else None)
    assert said["result"]["_meta"]["sidecar/decision"]["rule"] == "secrets.out"
    assert aws_key() not in answer.body.decode() and "Retrying unchanged will not help" in answer.body.decode()


@ERAS
@pytest.mark.parametrize(
    "message",
    [
        asking("prompts/get", name="p", arguments={"k": aws_key()}), asking("resources/read", uri=f"x://{aws_key()}"),
        asking("completion/complete", ref={"type": "ref/prompt", "name": "p"}, argument={"name": "a", "value": aws_key()}),
        asking("tools/list", cursor="c", filter=aws_key()), asking("resources/subscribe", uri=f"x://{aws_key()}"),
        asking("subscriptions/listen", notifications={"resourceSubscriptions": [f"x://{aws_key()}"]}),
        asking("tasks/get", taskId=f"t {aws_key()}", note=aws_key()), asking("unknown/method", k=aws_key()),
    ],
    ids=lambda message: message["method"],
)  # fmt: skip
def test_other_requests_are_refused_by_an_error(play: Any, message: dict[str, Any], era: dict[str, str]) -> None:
    """A positive code of our own on 200, the id echoed, with the rule and the call to look up; before any acknowledgement."""
    sidecar = play()
    answer = sidecar.post(message, **era).reply
    said = json.loads(answer.body)
    assert (
        answer.status == 200 and said["id"] == 5 and said["error"]["code"] == 1403 and set(said) == {"jsonrpc", "id", "error"}
    )
    assert said["error"]["data"] == {"call_id": sidecar.calls[0]["call_id"], "rule": "secrets.out"}


@ERAS
@pytest.mark.parametrize(
    "method", ["prompts/get", "resources/read", "completion/complete", "tools/list", "prompts/list", "resources/list"]
)
def test_content_is_refused_after_the_fact(play: Any, method: str, era: dict[str, str]) -> None:
    """What comes back and may not pass becomes the same error in its place, in JSON and as the same event of a stream."""
    content = {"jsonrpc": "2.0", "id": 5, "result": {"text": aws_key(), "ttlMs": 9, "cacheScope": "public"}}
    sidecar = play(BLOCKING)
    said = json.loads(sidecar.answer(sidecar.post(asking(method), **era), content))
    assert said["id"] == 5 and said["error"]["code"] == 1403
    event = sidecar.stream(sidecar.post(asking(method), **era))(b"id: 9\ndata: " + json.dumps(content).encode() + b"\n\n")
    assert event.startswith(b"id: 9\n") and data_of(event)["error"]["code"] == 1403
    assert [row["status"] for row in sidecar.calls] == ["blocked", "blocked"]


@ERAS
def test_a_result_is_refused_after_the_fact(play: Any, era: dict[str, str]) -> None:
    """A tool's result that may not pass becomes a failed result under the same id, without its structured content."""
    sidecar = play(BLOCKING)
    answer = result(aws_key(), structuredContent={"k": 1}, ttlMs=5)
    said = json.loads(sidecar.answer(sidecar.post(call(), **era), answer))
    assert said["id"] == 1 and said["result"]["isError"] is True and "structuredContent" not in said["result"]
    assert said["result"].get("resultType") == ("complete" if era is MODERN else None)


@pytest.mark.parametrize(("method", "era"), [("initialize", {}), ("server/discover", MODERN)])
def test_a_refused_handshake_is_a_403(play: Any, method: str, era: dict[str, str]) -> None:
    """An error on 200 would make the client fall back to another revision; so would one in the server's answer."""
    answer = reply_to(denied_server(play).post(asking(method), **era))
    assert answer.status == 403 and json.loads(answer.body)["id"] == 5
    sidecar = play(BLOCKING)
    exchange = sidecar.post(asking(method), **era)
    sidecar.answer(exchange, {"jsonrpc": "2.0", "id": 5, "result": {"instructions": aws_key()}})
    assert reply_to(exchange).status == 403 and json.loads(reply_to(exchange).body)["error"]["code"] == 1403


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list"])
@pytest.mark.parametrize("stream", ["post", "get"])
def test_a_question_of_the_server_becomes_a_ping(play: Any, method: str, stream: str) -> None:
    """Nobody is asked: the client answers a ping by itself, and the server reads a plain no under its id."""
    sidecar = play(BLOCKING)
    exchange = sidecar.post(call(), **LEGACY) if stream == "post" else sidecar.get(mcp_session_id="s")
    got = sidecar.stream(exchange)(asking(method, 0, message=aws_key()))
    assert data_of(got) == {"jsonrpc": "2.0", "id": 0, "method": "ping"}
    reply = sidecar.post({"jsonrpc": "2.0", "id": 0, "result": {}}, **LEGACY)
    assert reply.reply is None
    answer = json.loads(reply.request.body)
    assert answer["error"]["code"] == -1 and answer["id"] == 0
    assert [row["status"] for row in sidecar.calls] == ["blocked"]


ONLY_ELICITATION = BLOCKING.replace(
    "match: {direction: response}", "match: {direction: response, method: elicitation/create}"
).replace(
    "{server: a, tool: t, args: {}, result: {x: \"${fake:aws_key}\"}}",
    '{server: a, method: elicitation/create, direction: response, args: {message: "${fake:aws_key}"}}',
)  # fmt: skip


def needs(key: str, method: str, **params: Any) -> dict[str, Any]:
    asked = {key: {"method": method, "params": params}, "other": {"method": "roots/list", "params": {}}}
    return {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", "inputRequests": asked, "requestState": "x"}}


def test_an_embedded_question_is_judged_as_the_question_it_is(play: Any) -> None:
    """A rule about elicitation also holds where the modern era embeds it: the result that asks becomes a refusal."""
    sidecar = play(ONLY_ELICITATION)
    said = json.loads(sidecar.answer(sidecar.post(call(), **MODERN), needs("k", "elicitation/create", message=aws_key())))
    assert said["result"]["isError"] is True and said["result"]["resultType"] == "complete"
    assert "inputRequests" not in said["result"] and sidecar.findings[0]["rule"] == "secrets.in"
    same = needs("k", "sampling/createMessage", systemPrompt=aws_key())
    assert json.loads(sidecar.answer(sidecar.post(call(), **MODERN), same)) == same, "the rule speaks of elicitation only"
    prompt = sidecar.post(asking("prompts/get", 1, name="p"), **MODERN)
    said = json.loads(sidecar.answer(prompt, needs("k", "elicitation/create", message=aws_key())))
    assert said["error"]["code"] == 1403


def test_an_embedded_question_is_redacted_in_place(play: Any) -> None:
    """What may not reach the person who is asked is replaced, and the sealed state stays as it is."""
    sidecar = play()
    got = json.loads(sidecar.answer(sidecar.post(call(), **MODERN), needs("k", "elicitation/create", message=f"a {aws_key()}")))
    assert got == needs("k", "elicitation/create", message="a [secrets.aws-key]")
    assert [row["kind"] for row in sidecar.findings] == ["secrets.aws-key"], "found once, told once"


@pytest.mark.parametrize(
    ("answer", "is_declined"),
    [
        ({"action": "accept", "content": {"k": aws_key()}}, True),
        ({"role": "assistant", "model": "m", "content": {"type": "text", "text": aws_key()}}, False),
        ({"roots": [{"uri": f"file:///{aws_key()}"}]}, False),
    ],
)
def test_an_embedded_answer_that_may_not_reach_the_server(play: Any, answer: Any, is_declined: bool) -> None:
    """What a person typed is declined in its place and the rest goes on; what else was answered refuses the round."""
    sidecar = play()
    retry = {**call(), "id": 2}
    retry["params"] |= {"requestState": "sealed", "inputResponses": {"a": answer, "b": {"action": "cancel"}}, "n": 1.0}
    raw = json.dumps(retry).encode().replace(b"1.0", b"1.00")
    exchange = sidecar.post(raw, **MODERN)
    if is_declined:
        assert exchange.reply is None
        assert json.loads(exchange.request.body)["params"]["inputResponses"] == {
            "a": {"action": "decline"},
            "b": {"action": "cancel"},
        }
        assert b'"n":1.00' in exchange.request.body and json.loads(exchange.request.body)["params"]["requestState"] == "sealed"
        again = sidecar.post(raw, **MODERN)
        assert again.request.body == exchange.request.body
        sidecar.answer(exchange, result(rpc_id=2))
        assert (sidecar.calls[-1]["status"], sidecar.calls[-1]["rule"]) == ("ok", "secrets.out")
    else:
        assert json.loads(reply_to(exchange).body)["result"]["isError"] is True
    assert aws_key().encode() not in sidecar.everything


@ERAS
def test_a_notification_is_swallowed(play: Any, era: dict[str, str]) -> None:
    """Towards the server it is accepted and goes no further; towards the client its event becomes nothing a client reads."""
    sidecar = play(BLOCKING)
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": aws_key()}}
    answer = sidecar.post(note, **era).reply
    assert (answer.status, answer.body) == (202, b"")
    send = sidecar.stream(sidecar.post(call(), **era))
    assert b"data" not in send(b"data: " + json.dumps(note).encode() + b"\n\n")
    assert send(b"id: 4\ndata: " + json.dumps(note).encode() + b"\n\n").startswith(b"id: 4\n")


def test_a_stream_of_a_denied_server_is_not_there(play: Any) -> None:
    """A caller to whom a whole server is denied gets 405 for its listening stream, which every client takes calmly."""
    sidecar = denied_server(play)
    assert reply_to(sidecar.get(mcp_session_id="s", accept="text/event-stream")).status == 405
    assert [(row["rule"], row["kind"]) for row in sidecar.findings] == [("no-delete", "access")]
    assert sidecar.get(accept="application/json").reply is None, "what OAuth asks for is no stream"
    assert play(ACCESS).get(mcp_session_id="s", accept="text/event-stream").reply is None


@ERAS
def test_a_hidden_tool_is_not_listed_and_not_called(play: Any, era: dict[str, str]) -> None:
    """It is left out of every page, what the page says of its next stays, and calling it all the same is refused."""
    sidecar = play(ACCESS)
    listing = {"tools": [{"name": "delete_all"}], "nextCursor": "", "ttlMs": 86_400_000, "cacheScope": "public"}
    exchange = sidecar.post(asking("tools/list"), **era)
    said = json.loads(sidecar.answer(exchange, {"jsonrpc": "2.0", "id": 5, "result": listing}))["result"]
    assert said["tools"] == [] and said["nextCursor"] == "" and said["cacheScope"] == "private" and said["ttlMs"] <= 60_000
    assert b'"isError":true' in sidecar.post(call(tool="delete_all"), **era).reply.body


@ERAS
def test_an_unparsable_body_is_a_400(play: Any, era: dict[str, str]) -> None:
    """As servers say it: 400, -32700, no id."""
    answer = play().post(b"{not json", **era).reply
    assert answer.status == 400 and json.loads(answer.body)["error"]["code"] == -32700 and json.loads(answer.body)["id"] is None


def test_a_refusal_comes_in_the_form_the_client_takes(play: Any) -> None:
    """A client that only takes event streams gets the one event of one."""
    answer = play().post(call(aws_key()), accept="text/event-stream").reply
    assert answer.content_type == "text/event-stream" and data_of(answer.body)["result"]["isError"] is True


def test_codes_with_side_effects_are_never_ours(play: Any) -> None:
    """No refusal and no failure uses a code that makes some client retry, open a browser or drop its session."""
    sidecar = play(ACCESS, BLOCKING)
    said: list[Any] = []
    for message in (call(aws_key()), asking("prompts/get", k=aws_key()), b"{", b"[]", asking("tasks/get", k=aws_key())):
        said.append(json.loads(sidecar.post(message).reply.body))
    said.append(json.loads(sidecar.pipeline.fail(sidecar.post(call()), "gone", 502).body))
    said.append(json.loads(sidecar.pipeline.fail_internally(sidecar.post(call()), "x").body))
    codes = {each["error"]["code"] for each in said if "error" in each}
    assert codes == {1403, -32700, -32600, -32000} and not codes & AVOIDED

"""Values that travel as tokens: out, back, and never into the record."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.settings import Server
from sidecar.state.exchange import Exchange
from tests.play import SECRETS, Play, aws_key

TOKENS = """
version: 1
policy: people
owner: privacy@ourco.example
description: Addresses leave as tokens, and cards do not come in.
mode: enforce
rules:
  - id: pii.out
    title: An address leaves
    match: {direction: request}
    unless: {server: [crm, inside]}
    when: {detect: {any: [pii.email], confidence: 0.8}}
    action: tokenize
  - id: pii.in
    title: A card arrives
    match: {direction: response}
    when: {detect: {any: [pii.card]}}
    action: tokenize
    restore: {server: crm}
  - id: pii.crm
    title: Nobody of that house
    match: {direction: request, server: crm}
    when: {expr: 'call.text.contains("@evil.example")'}
    action: block
tests:
  - {name: out, call: {server: x, args: {x: "${fake:email}"}}, expect: {verdict: tokenize, rules: [pii.out]}}
  - {name: in, call: {server: x, result: {x: "${fake:card}"}}, expect: {verdict: tokenize, rules: [pii.in]}}
  - {name: no, call: {server: crm, args: {x: a@evil.example}}, expect: {verdict: block, rules: [pii.crm]}}
  - {name: ordinary, call: {server: x, args: {x: hello}}, expect: {verdict: allow, rules: []}}
"""
MAIL = "ada" + "@ourco.example"
TRACE = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}


def call(args: dict[str, Any], rpc_id: int = 1, **meta: Any) -> dict[str, Any]:
    """A call of a tool in one session that spans servers."""
    params = {"name": "send", "arguments": args, "_meta": {**TRACE, **meta}}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": params}


def sent(exchange: Exchange) -> dict[str, Any]:
    """The arguments as the server gets them."""
    assert exchange.reply is None
    arguments: dict[str, Any] = json.loads(exchange.request.body)["params"]["arguments"]
    return arguments


class Two:
    """One client, and a server outside and one inside."""

    def __init__(self, play: Play) -> None:
        self.play = play

    def out(self, args: dict[str, Any], **headers: str) -> Exchange:
        """A call to the outside."""
        self.play.server = Server(name="web", listen="127.0.0.1:9002", upstream="http://127.0.0.1:8002")
        return self.play.post(call(args), **headers)

    def crm(self, args: dict[str, Any], **headers: str) -> Exchange:
        """A call to the CRM."""
        self.play.server = Server(name="crm", listen="127.0.0.1:9001", upstream="http://127.0.0.1:8001")
        return self.play.post(call(args), **headers)


@pytest.fixture
def two(play: Callable[..., Play]) -> Two:
    """A sidecar whose policies tokenize."""
    return Two(play(TOKENS, SECRETS))


def test_a_value_leaves_as_a_token_and_arrives_as_itself(two: Two) -> None:
    """Outside sees a token, inside the value, in the middle of text and in JSON within it; the record sees the token alone."""
    first = two.out({"text": f"from {MAIL}."})
    token = sent(first)["text"][len("from ") : -1]
    assert token.startswith("tkn-email-") and token.endswith("@token.invalid")
    two.play.answer(first, {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": f"filed for {token}"}]}})
    assert two.play.calls[-1]["verdict"] == "tokenize"
    second = two.crm({"who": token.upper(), "body": json.dumps({"to": [token]}), "n": 5})
    assert sent(second) == {"who": MAIL, "body": json.dumps({"to": [MAIL]}), "n": 5}
    two.play.answer(second, {"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    row = two.play.calls[-1]
    assert (row["verdict"], row["attrs"]["tokens_restored"]) == ("allow", "2")
    assert json.loads(row["request"])["params"]["arguments"]["body"] == json.dumps({"to": [token]})
    assert token.encode() in two.play.everything
    assert MAIL.encode() not in two.play.everything
    assert [(each["rule"], each["action"]) for each in two.play.findings] == [("pii.out", "tokenize")]


def test_the_server_that_may_not_know_sees_the_token(two: Two) -> None:
    """Sent to the outside again, a token stays one, and is not taken for an address that has to be hidden."""
    token = sent(two.out({"to": MAIL}))["to"]
    again = two.out({"to": token})
    assert sent(again) == {"to": token}
    two.play.answer(again, {"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    assert two.play.calls[-1]["verdict"] == "allow"
    assert two.play.calls[-1]["attrs"]["tokens_left"] == "1"


def test_another_session_cannot_use_a_token(two: Two) -> None:
    """A token that got into another conversation is a name without a value, and the record says so."""
    token = sent(two.out({"to": MAIL}))["to"]
    other = json.loads(json.dumps(call({"to": token})).replace("a" * 32, "c" * 32))
    two.play.server = Server(name="crm", listen="127.0.0.1:9001", upstream="http://127.0.0.1:8001")
    exchange = two.play.post(other)
    assert sent(exchange) == {"to": token}
    two.play.answer(exchange, {"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    assert two.play.calls[-1]["attrs"]["tokens_unknown"] == "1"


def test_what_is_judged_is_what_will_be_sent(two: Two) -> None:
    """A rule that would stop the value stops its token too, where that would turn back."""
    evil = "mallory" + "@evil.example"
    token = sent(two.out({"to": evil}))["to"]
    refused = two.crm({"to": token})
    assert refused.reply is not None
    assert two.play.calls[-1]["rule"] == "pii.crm"
    assert evil.encode() not in two.play.everything


def test_a_restored_value_does_not_carry_a_secret_past(two: Two) -> None:
    """What a token turns back into is judged with what stands beside it."""
    token = sent(two.out({"to": MAIL}))["to"]
    refused = two.crm({"to": token, "key": aws_key()})
    assert refused.reply is not None
    assert two.play.calls[-1]["rule"] == "secrets.out"


def test_the_headers_that_repeat_a_body_follow_it(two: Two) -> None:
    """A header that repeats an argument says what the argument says then, else the server refuses the call."""
    first = two.out({"to": MAIL}, mcp_param_to=MAIL)
    token = sent(first)["to"]
    assert first.request.set_headers["mcp-param-to"] == token
    second = two.crm({"to": token}, mcp_param_to=token)
    assert second.request.set_headers["mcp-param-to"] == MAIL
    accent = two.out({"to": f"à {MAIL}"}, mcp_param_to="=?base64?" + base64.b64encode(f"à {MAIL}".encode()).decode() + "?=")
    assert base64.b64decode(accent.request.set_headers["mcp-param-to"][9:-2]).decode() == sent(accent)["to"]


def test_a_result_keeps_its_types_in_both_copies(two: Two) -> None:
    """Structured content that a schema describes stays valid, and its text says the same; both turn back."""
    card = 4111111111111111
    schema = {
        "type": "object",
        "properties": {
            "card": {"type": "integer", "minimum": 1},
            "text": {"type": "string", "pattern": "^c/.{0,60}$"},
            "url": {"type": "string", "format": "uri"},
            "code": {"type": "string", "maxLength": 16},
        },
        "additionalProperties": False,
    }
    tools = two.play.post({"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {"_meta": TRACE}})
    answer = {"tools": [{"name": "send", "inputSchema": {"type": "object"}, "outputSchema": schema}]}
    two.play.answer(tools, {"jsonrpc": "2.0", "id": 5, "result": answer})
    exchange = two.crm({})
    told = {"card": card, "text": f"c/{card}", "code": str(card)}
    result = {"content": [{"type": "text", "text": json.dumps(told)}], "structuredContent": told}
    got = json.loads(two.play.answer(exchange, {"jsonrpc": "2.0", "id": 1, "result": result}))["result"]
    structured, text = got["structuredContent"], json.loads(got["content"][0]["text"])
    assert str(card) not in json.dumps(got)
    assert isinstance(structured["card"], int) and structured["card"] == text["card"]
    assert structured["text"].startswith("c/tkn-card-") and structured["text"] == text["text"]
    assert len(structured["code"]) <= 16
    again = two.crm({"card": structured["card"], "text": structured["text"]})
    assert sent(again) == {"card": card, "text": f"c/{card}"}
    assert sent(two.out({"card": structured["card"], "text": structured["text"]})) == {
        "card": structured["card"],
        "text": structured["text"],
    }
    assert str(card).encode() not in two.play.everything


def test_answers_a_person_gives_turn_back_too(two: Two) -> None:
    """What a client answers to a server's question is sent to that server like any argument."""
    token = sent(two.out({"to": MAIL}))["to"]
    exchange = two.crm({})
    send = two.play.stream(exchange)
    asked = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}}
    send(asked)
    answer = {"jsonrpc": "2.0", "id": "q", "result": {"action": "accept", "content": {"who": token}}}
    posted = two.play.post(answer)
    assert json.loads(posted.request.body)["result"]["content"] == {"who": MAIL}
    assert MAIL.encode() not in two.play.everything


def test_monitoring_changes_nothing(play: Callable[..., Play]) -> None:
    """Under a cap of monitor values pass as they are, and the finding says what would have been."""
    exchange = Two(play(TOKENS, cap="monitor")).out({"to": MAIL})
    assert sent(exchange) == {"to": MAIL}

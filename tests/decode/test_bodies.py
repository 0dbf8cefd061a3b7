"""What is made of bodies before anything judges them."""

import json

import pytest

from sidecar.decode.jsonrpc import NotAMessage
from sidecar.decode.request_bodies import read_body, require_messages
from sidecar.decode.response_bodies import outcome_of, settle_response

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {}}}


def test_a_plain_message_is_read_as_it_came() -> None:
    """What every parser reads alike keeps its bytes and has nothing odd about it."""
    body = json.dumps(CALL).encode()
    read = read_body(body, "application/json; charset=utf-8", "identity", parsing="refuse")
    assert (read.value, read.text is body, read.anomalies) == (CALL, True, ())


def test_an_ambiguous_body_is_refused_or_made_plain() -> None:
    """The settings say which: an error that names the anomaly, or the one form that all parsers read alike."""
    body = json.dumps(CALL).encode().replace(b'"id": 1', b'"id": 2, "id": 1')
    with pytest.raises(NotAMessage) as refused:
        read_body(body, "application/json", "identity", parsing="refuse")
    assert refused.value.anomaly == "duplicate-key"
    read = read_body(body, "application/json", "identity", parsing="canonical")
    assert json.loads(read.text) == CALL and read.text.count(b'"id"') == 1 and read.anomalies == ("duplicate-key",)


def test_what_is_no_message_is_not_read_as_one() -> None:
    """OAuth's JSON is left alone, and a member of a batch that is no message is refused by name."""
    assert read_body(b'{"grant_type": "x"}', "application/json", "identity", parsing="refuse").value is None
    with pytest.raises(NotAMessage) as refused:
        require_messages([CALL, {"jsonrpc": "2.0"}])
    assert refused.value.anomaly == "not-a-message"


def test_the_answer_says_how_a_call_ended() -> None:
    """A result, a tool's own failure, an error by its code, an HTTP status, and text that is no message."""
    assert outcome_of({"result": {}}, "result", 200) == ("ok", "")
    assert outcome_of({"result": {"isError": True}}, "result", 200) == ("tool_error", "tool_error")
    assert outcome_of({"error": {"code": -32601, "message": "no"}}, "error", 200) == ("error", "-32601")
    assert outcome_of("<html>", None, 502) == ("error", "http_502")
    assert outcome_of("hello", None, 200) == ("error", "not_jsonrpc")


def test_of_equal_keys_in_an_answer_the_last_stays() -> None:
    """That is the one all clients read; the record says that there were two."""
    raw = b'{"jsonrpc": "2.0", "id": 1, "result": {"a": 1, "a": 2}}'
    text, odd = settle_response(raw, json.loads(raw), parsing="refuse")
    assert json.loads(text)["result"] == {"a": 2} and text.count(b'"a"') == 1 and odd == ("duplicate-key",)

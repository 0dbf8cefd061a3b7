"""The two copies of a result: what is taken out of one leaves the other too, under the same mark."""

import json
from typing import Any

import pytest

from sidecar import limits
from sidecar.act.redact import redact_value
from sidecar.detect import mark, walk
from sidecar.events import Message, Span, Verdict
from sidecar.policy.load import PolicySet
from sidecar.policy.result_copies import in_other_copy, of_one_kind
from tests.policy.test_judge import judged, rules

CUT = rules("id: cut, title: t, match: {direction: response}, when: {detect: {any: [pii.card, pii.email]}}, action: redact")


def result(structured: Any, *texts: str) -> Message:
    """A tool's result."""
    content = [{"type": "text", "text": text} for text in texts]
    payload = {"jsonrpc": "2.0", "id": 1, "result": {"content": content, "structuredContent": structured}}
    return Message("crm", "response", "result", "tools/call", "get", {}, payload, 100, session="s1")


def found(message: Message, value: str, copy: str, kind: str = "pii.card") -> Span:
    """A find in one of the copies."""
    leaves = walk(message.payload["result"][copy], root=("result", copy)).leaves().values()
    leaf = next(each for each in leaves if value in each.text and not each.is_key)
    start = leaf.text.index(value)
    return Span(kind, leaf, start, start + len(value), 0.9)


def returned(policies: PolicySet, message: Message, *spans: Span) -> tuple[Any, Verdict]:
    """The result as it travels on."""
    verdict = judged(policies, message, *spans)
    return redact_value(message.payload, verdict.redactions, mark)["result"], verdict


def test_what_only_its_field_gave_away_leaves_the_text_too() -> None:
    """A value that is known by the name of its field is taken out of the text that repeats it."""
    value = 'p"w-1\u00e9/x'
    told = {"password": value, "note": "none"}
    message = result(told, json.dumps(told), f"The password is {value}.", "password none")
    got, verdict = returned(CUT, message, found(message, value, "structuredContent"))
    assert got["structuredContent"] == {"password": "[pii.card]", "note": "none"}
    texts = [each["text"] for each in got["content"]]
    assert json.loads(texts[0]) == got["structuredContent"]
    assert texts[1:] == ["The password is [pii.card].", "password none"]
    assert [(each.kind, each.count) for each in verdict.findings] == [("pii.card", 3)]


def test_what_stands_in_the_text_leaves_the_fields_too() -> None:
    """The other way round, numbers included."""
    message = result({"a": ["id 12345678", 12345678], "b": "x12345678"}, "number 12345678")
    got, _ = returned(CUT, message, found(message, "12345678", "content"))
    assert got["content"][0]["text"] == "number [pii.card]"
    assert got["structuredContent"] == {"a": ["id [pii.card]", 0], "b": "x12345678"}


def test_the_same_value_has_the_same_mark() -> None:
    """Where two detectors know a value in different copies, the surer one names it in both."""
    message = result({"to": "a@b.example"}, "to a@b.example")
    sure = found(message, "a@b.example", "structuredContent", "pii.email")
    doubted = Span("pii.card", found(message, "a@b.example", "content").leaf, 3, 14, 0.5)
    assert {each.kind for each in of_one_kind([doubted, sure])} == {"pii.email"}
    got, verdict = returned(CUT, message, sure, doubted)
    assert (got["structuredContent"]["to"], got["content"][0]["text"]) == ("[pii.email]", "to [pii.email]")
    assert {each.kind for each in verdict.findings} == {"pii.card", "pii.email"}


def test_short_values_and_parts_of_words_are_left_alone() -> None:
    """A value of five characters stands anywhere, and a longer number is another number."""
    message = result({"pin": "12345"}, "12345 and 912345678")
    assert in_other_copy(message, [found(message, "12345", "structuredContent")]) == []
    other = result({"id": "12345678"}, "912345678")
    assert in_other_copy(other, [found(other, "12345678", "structuredContent")]) == []
    assert in_other_copy(Message("x", "request", "request", "tools/call", payload={}), []) == []


def test_what_there_is_no_time_to_look_for_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result in which every copy hides from the other is withheld rather than searched for minutes."""
    monkeypatch.setattr(limits, "ECHO_CHARS_MAX", 10)
    message = result({"id": "12345678"}, "twelve characters")
    verdict = judged(CUT, message, found(message, "12345678", "structuredContent"))
    assert (verdict.action, verdict.rule) == ("block", "cut")
    assert verdict.message.endswith("(cannot-redact: a value stands where no text can take its place)")

"""Requests are read as the strictest server reads them; answers as leniently as clients do."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.decode import jsonrpc

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_every_sound_json_is_read(value: object, indent: int | None, is_ascii: bool) -> None:
    """Any JSON a client may write, in any layout, is read as what it says."""
    assert jsonrpc.read_strictly(json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()) == value


@given(st.binary(max_size=200))
def test_hostile_bytes_are_read_or_refused(body: bytes) -> None:
    """No bytes make the reader raise anything but a refusal."""
    try:
        jsonrpc.read_strictly(body)
    except jsonrpc.NotAMessage as error:
        assert error.refusal.code in (jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST)
    jsonrpc.read_leniently(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":1,"a":2}', "duplicate-key"),
        (b'{"method":"x","m\\u0065thod":"y"}', "duplicate-key"),
        (b'{"n":NaN}', "unparsable"),
        (b'\xef\xbb\xbf{"a":1}', "unparsable"),
        ('{"a":1}'.encode("utf-16"), "unparsable"),
        (b'{"a":"\xff"}', "unparsable"),
        (b'{"a":"\\ud800"}', "unparsable"),
        (b"[" * 200 + b"]" * 200, "too-deep"),
        (b"[" * 5000 + b"]" * 5000, "unparsable"),
        (b"", "unparsable"),
    ],
)
def test_what_two_parsers_read_differently_is_refused(body: bytes, reason: str) -> None:
    """A body that one server would run and another drop never reaches either."""
    with pytest.raises(jsonrpc.NotAMessage) as caught:
        jsonrpc.read_strictly(body)
    assert caught.value.refusal.reason == reason


def test_a_colon_in_a_text_is_no_second_key() -> None:
    """Texts that look like keys do not make a sound message look as if it had two of them."""
    assert jsonrpc.read_strictly(b'{"a":"\\":\\"", "b": ":"}') == {"a": '":"', "b": ":"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"jsonrpc": "2.0", "id": 0, "method": "ping"}, "request"),
        ({"jsonrpc": "2.0", "id": "", "method": "ping"}, "request"),
        ({"jsonrpc": "2.0", "method": "ping"}, "notification"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, "result"),
        ({"jsonrpc": "2.0", "id": None, "error": {}}, "error"),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, None),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, None),
        ({"jsonrpc": "2.0", "id": 1, "method": "x", "result": {}}, None),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}, None),
        ([], None),
        ("text", None),
    ],
)
def test_kinds_of_message(message: object, kind: str | None) -> None:
    """A message is a request, a notification, a result or an error; what servers disagree about is none."""
    assert jsonrpc.kind_of(message) == kind


def test_one_and_the_text_one_are_two_ids() -> None:
    """A client that uses 1 and "1" at once gets each answer to its own request."""
    assert len({jsonrpc.id_key(1), jsonrpc.id_key("1"), jsonrpc.id_key(True), jsonrpc.id_key(1.0)}) == 4


def test_answers_that_are_no_json_are_still_text_to_scan() -> None:
    """NaN, which Python clients accept, and plain text, which an error page is, are both looked at."""
    assert jsonrpc.read_leniently(b'{"x": NaN, "s": "a"}')["s"] == "a"
    assert jsonrpc.read_leniently(b"<h1>Bad gateway</h1>") == "<h1>Bad gateway</h1>"


def test_batches_are_bounded() -> None:
    """An empty batch and one of thousands are refused."""
    batches: list[list[dict[str, Any]]] = [[], [{}] * 1000]
    for batch in batches:
        with pytest.raises(jsonrpc.NotAMessage):
            jsonrpc.messages(batch)


@pytest.mark.parametrize(
    "body", [b'{"a":"\xff","t":1.50,"t":2.50}', b'{"a":"\\ud800","t":1.50,"t":2.50}', b'{"a":%d,"t":1.50,"t":2.50}' % 10**30]
)
def test_equal_keys_leave_an_answer_whatever_else_is_in_it(body: bytes) -> None:
    """Wrong UTF-8, half a surrogate or a large number beside them do not let the first of two equal keys travel on unread."""
    sent = jsonrpc.canonical_if_ambiguous(body, jsonrpc.read_leniently(body))
    assert b"1.50" not in sent
    assert b"2.50" in sent


def test_json_after_many_blanks_looks_like_json() -> None:
    """However much blank stands before it, a text that some client reads as JSON does not pass as plain text."""
    assert jsonrpc.looks_like_json(b"\xef\xbb\xbf" + b" " * 1000 + b"[" * 5000)

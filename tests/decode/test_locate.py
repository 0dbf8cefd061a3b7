"""Places in JSON text, held against the standard library's parser."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.decode.locate import locate

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", "\udc00x", "a\ud83d"])
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


def every_place(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[tuple[str | int, ...], bool], Any]]:
    """Every scalar and key of a value with its place."""
    if isinstance(value, dict):
        keys = [(((*path, key), True), key) for key in value]
        return keys + [each for key, child in value.items() for each in every_place(child, (*path, key))]
    if isinstance(value, list):
        return [each for index, child in enumerate(value) for each in every_place(child, (*path, index))]
    return [((path, False), value)]


@settings(deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1]), st.sampled_from(["", " \n\t\r"]))
def test_every_leaf_and_key_is_found_where_it_stands(value: Any, is_ascii: bool, indent: int | None, around: str) -> None:
    """Whatever the layout of the text, the bytes at each place are the literal of the value at that path."""
    text = around + json.dumps(value, ensure_ascii=is_ascii, indent=indent) + around
    raw = text.encode("utf-8", "replace" if is_ascii else "surrogatepass")
    parsed = json.loads(raw.decode("utf-8", "replace"))
    expected = dict(every_place(parsed))
    found = locate(raw, expected)
    assert found.keys() == expected.keys()
    for place, (start, end) in found.items():
        assert repr(json.loads(raw[start:end].decode("utf-8", "replace"))) == repr(expected[place])


def mangled(text: str, cuts: list[tuple[int, str]]) -> str:
    """A text with some of its characters replaced."""
    for at, new in cuts:
        at %= len(text) + 1
        text = text[:at] + new + text[at + 1 :]
    return text


@settings(deadline=None)
@given(
    JSON,
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from([*'{}[]",:\\0-1e+.utfn\n\x01 é', ""])), max_size=3),
)
def test_what_is_json_is_decided_as_the_standard_library_decides_it(value: Any, cuts: list[tuple[int, str]]) -> None:
    """Text that is broken in any place is refused exactly when ``json.loads`` refuses it."""
    text = mangled(json.dumps(value), cuts)
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"not JSON at byte \d+"):
            locate(text.encode(), {})
    else:
        assert locate(text.encode(), {}) == {}


@settings(deadline=None)
@given(st.binary())
def test_hostile_bytes_only_ever_raise_value_error(raw: bytes) -> None:
    """Bytes that are no JSON are told as a ValueError, whatever they are."""
    try:
        locate(raw, {((), False)})
    except ValueError as error:
        assert re.fullmatch(r"not JSON at byte \d+", str(error))


def test_the_last_of_two_equal_keys_counts() -> None:
    """Parsers keep the last of two equal members, so that is the one a place means."""
    raw = b'{"a": "first", "a": "last", "\\u0061": "really last"}'
    start, end = locate(raw, {(("a",), False)})[("a",), False]
    assert raw[start:end] == b'"really last"'


def test_a_byte_order_mark_is_stepped_over() -> None:
    """A client that accepts a byte order mark gets the same redaction as one that does not."""
    assert locate(b'\xef\xbb\xbf["x"]', {((0,), False)}) == {((0,), False): (4, 7)}


def test_nesting_of_any_depth_is_read_without_recursion() -> None:
    """Deep nesting costs memory in proportion and never ends the program."""
    depth = 5_000
    raw = b"[" * depth + b'"x"' + b"]" * depth
    assert locate(raw, {((0,) * depth, False)}) == {((0,) * depth, False): (depth, depth + 3)}

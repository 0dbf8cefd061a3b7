import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.limits import JSON_DEPTH_MAX
from sidecar.review.visible import pretty, visible, visible_lines
from tests.seed import HOSTILE_TEXT

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(ANY_TEXT)
@example(HOSTILE_TEXT)
@example("\ud800 lone, \u3164 filler, \ufe01 selector, \u2028 separator, \x85 next line")
def test_nothing_in_a_line_can_act_or_hide(text: str) -> None:
    """Whatever a server or a model writes, one printable line comes out."""
    shown = visible(text)
    assert shown.isprintable()
    assert "\n" not in shown
    assert not set(shown) & set("\u115f\u1160\u2800\u3164\uffa0\ufe00\U000e0100")


@given(ANY_TEXT)
@example(HOSTILE_TEXT + "\r\n\tnext")
def test_lines_keep_their_ends_and_nothing_else(text: str) -> None:
    """Text of several lines stays readable; of the characters that act only line end and tab are left."""
    assert all(char.isprintable() or char in "\n\t" for char in visible_lines(text))


def test_ordinary_writing_is_left_alone() -> None:
    """People of every script read their own words, with the emoji they wrote."""
    text = "Grüße, 世界, שלום, नमस्ते ❤️ – “quoted”"
    assert visible(text) == text


def test_hidden_characters_are_named() -> None:
    """A reader sees that writing was reordered or hidden, and by which character."""
    assert visible("a\u202eb\x1b[2J\U000e0041") == "a\\u202eb\\u001b[2J\\U000e0041"


@given(JSON_VALUES)
def test_pretty_json_is_the_same_json(value: object) -> None:
    """Breaking a payload into lines changes no value in it."""
    text, is_json = pretty(json.dumps(value))
    assert is_json
    assert json.loads(text) == value


def test_pretty_json_keeps_every_lexeme() -> None:
    """Numbers keep their digits, keys their order and repetitions, strings their escapes: it is shown as recorded."""
    text = '{"b":1.50,"a":1e400,"b":[],"c":{"d":[10000000000000000000000001,"\\u202e\\"{,"]}}'
    shown, is_json = pretty(text)
    assert is_json
    assert shown.splitlines() == [
        "{",
        '  "b": 1.50,',
        '  "a": 1e400,',
        '  "b": [],',
        '  "c": {',
        '    "d": [',
        "      10000000000000000000000001,",
        '      "\\u202e\\"{,"',
        "    ]",
        "  }",
        "}",
    ]


@pytest.mark.parametrize("text", ["not json", '{"cut": "of', "event: message\ndata: {}", ""])
def test_what_is_not_json_is_shown_as_it_stands(text: str) -> None:
    """A truncated or foreign payload is still there to read."""
    assert pretty(text) == (text, False)


def test_deep_json_does_not_blow_up() -> None:
    """A payload nested to annoy is shown without indentation instead of taking memory."""
    deep = "[" * (JSON_DEPTH_MAX + 1) + "]" * (JSON_DEPTH_MAX + 1)
    assert pretty(deep) == (deep, True)
    deeper = "[" * 100_000
    assert pretty(deeper) == (deeper, False)

"""Redaction in the original text and in the parsed value, held against each other."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.act.redact import mask_bytes, mask_value, redact_bytes, redact_value
from sidecar.decode.locate import locate
from sidecar.detect import mark, walk
from sidecar.events import Leaf, Path, Span

TEXTS = st.text(st.sampled_from('ab/\\"\n\x00é€😀\ud83d\ude00\udc00 [x]')) | st.text()
NUMBERS = st.integers() | st.integers(10**7, 10**20) | st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
KINDS = st.sampled_from(["secrets.aws-key", "pii.card"])


def written(value: Any, is_ascii: bool, indent: int | None) -> bytes:
    """A value as JSON in one of several styles; characters UTF-8 cannot express are escaped in each."""
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    if not is_ascii:
        text = "".join(each if not 0xD800 <= ord(each) < 0xE000 else f"\\u{ord(each):04X}" for each in text)
        text = text.replace("/", "\\/")
    return text.encode()


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, Any, list[Span]]:
    """A JSON text, its value, and spans anywhere in its texts and keys."""
    raw = written(draw(JSON), draw(st.booleans()), draw(st.sampled_from([None, 1])))
    payload = json.loads(raw)
    leaves = [leaf for leaf in walk(payload).leaves().values() if leaf.text]
    spans = []
    for leaf in draw(st.lists(st.sampled_from(leaves), max_size=6)) if leaves else []:
        start = draw(st.integers(0, len(leaf.text) - 1))
        spans.append(Span(draw(KINDS), leaf, start, draw(st.integers(start + 1, len(leaf.text))), 0.9))
    return raw, payload, spans


@settings(deadline=None)
@given(cases())
def test_the_patched_text_is_the_redacted_value(case: tuple[bytes, Any, list[Span]]) -> None:
    """What travels and what is recorded are redacted alike, in any JSON and any leaf, numbers included."""
    raw, payload, spans = case
    assert json.loads(mask_bytes(raw, spans, mark)) == mask_value(payload, spans, mark)


@settings(deadline=None)
@given(cases())
def test_no_character_of_a_span_is_left(case: tuple[bytes, Any, list[Span]]) -> None:
    """Of every text exactly the characters outside its spans remain, also where spans overlap."""
    _, payload, spans = case
    spans = [span for span in spans if not span.leaf.is_key and "\ue000" not in span.leaf.text]
    after = mask_value(payload, spans, lambda span: "\ue000")
    for leaf in (span.leaf for span in spans):
        hidden = {at for span in spans if span.leaf.path == leaf.path for at in range(span.start, span.end)}
        kept = "".join(char for at, char in enumerate(leaf.text) if at not in hidden)
        assert value_at(after, leaf.path).replace("\ue000", "") == kept


@settings(deadline=None)
@given(cases())
def test_bytes_outside_the_spans_stay(case: tuple[bytes, Any, list[Span]]) -> None:
    """Between the texts that have spans every byte stays, and without spans all is byte-equal."""
    raw, _, spans = case
    spans = [span for span in spans if not span.leaf.is_key]
    changed = mask_bytes(raw, spans, mark)
    assert outside(changed, spans) == outside(raw, spans)
    assert mask_bytes(raw, [], mark) is raw


def outside(raw: bytes, spans: list[Span]) -> list[bytes]:
    """What stands between the literals of the spans' leaves."""
    edges = sorted(edge for place in locate(raw, {(span.leaf.path, False) for span in spans}).values() for edge in place)
    cuts = [0, *edges, len(raw)]
    return [raw[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]


def value_at(payload: Any, path: Path) -> Any:
    for step in path:
        payload = payload[step]
    return payload


def spans_in(payload: Any, value: str, kind: str = "secrets.aws-key") -> list[Span]:
    """Every occurrence of a value as a span."""
    return [
        Span(kind, leaf, at, at + len(value), 0.9)
        for leaf in walk(payload).leaves().values()
        for at in range(len(leaf.text))
        if leaf.text.startswith(value, at)
    ]


def test_escapes_and_number_lexemes_stay_as_they_were_written() -> None:
    """A message keeps its own spelling: escapes, spaces and digits around a redacted value are not rewritten."""
    raw = (
        rb'{ "n": 1.0000000000000000001, "m":1e400, "t": "caf\u00e9 \ud83d\ude00\/SECRET\/\n\u00E9 '
        + "é😀SECRET€".encode()
        + b'"}'
    )
    spans = spans_in(json.loads(raw), "SECRET")
    assert redact_bytes(raw, spans, mark) == raw.replace(b"SECRET", b"[secrets.aws-key]")


def test_keys_that_become_equal_stay_apart() -> None:
    """Two redacted keys of one object do not collapse into one member, in the text as in the value."""
    raw = b'{"SECRET": 1, "[secrets.aws-key]": 2, "xSECRET": 3, "nested": {"SECRET": {"SECRET": 4}}}'
    spans = spans_in(json.loads(raw), "SECRET")
    spans += [Span("secrets.aws-key", Leaf(("xSECRET",), "xSECRET", is_key=True), 0, 1, 0.9)]
    after = json.loads(redact_bytes(raw, spans, mark))
    assert after == redact_value(json.loads(raw), spans, mark)
    assert len(after) == 4
    assert list(after["nested"]["[secrets.aws-key]"]) == ["[secrets.aws-key]"]


def test_overlapping_spans_become_one_mark_of_the_longest() -> None:
    """Where two detectors saw overlapping values, all of both is hidden behind the longer one's kind."""
    leaf = Leaf(("t",), "0123456789")
    spans = [Span("pii.card", leaf, 4, 9, 0.9), Span("secrets.aws-key", leaf, 1, 5, 0.99)]
    assert redact_bytes(b'{"t":"0123456789"}', spans, mark) == b'{"t":"0[pii.card]9"}'


def test_a_number_is_refused_on_the_wire_and_masked_in_the_record() -> None:
    """A number never silently passes unredacted, and never becomes a string under a client that expects a number."""
    raw = b'{"a": [4012888888881881, 4.012888888881881e15]}'
    spans = [
        Span("pii.card", leaf, 0, len(leaf.text), 0.95) for leaf in walk(json.loads(raw)).leaves().values() if not leaf.is_text
    ]
    assert len(spans) == 2
    with pytest.raises(ValueError, match="cannot be redacted in place"):
        redact_bytes(raw, spans, mark)
    with pytest.raises(ValueError, match="cannot be redacted in place"):
        redact_value(json.loads(raw), spans, mark)
    assert mask_bytes(raw, spans, mark) == b'{"a": ["[pii.card]", "[pii.card]"]}'
    assert mask_value(json.loads(raw), spans, mark) == {"a": ["[pii.card]", "[pii.card]"]}


@pytest.mark.parametrize("text", ["no JSON: SECRET", 'half {"a": "SECRET é', '"unclosed SECRET'])
def test_plain_text_is_redacted_as_text(text: str) -> None:
    """A body that is no JSON at all is redacted as the text it is."""
    spans = spans_in(text, "SECRET")
    assert redact_bytes(text.encode(), spans, mark).decode() == text.replace("SECRET", "[secrets.aws-key]")
    assert redact_value(text, spans, mark) == text.replace("SECRET", "[secrets.aws-key]")


def test_a_json_document_that_is_one_string_is_redacted_as_json() -> None:
    """A whole message that is one string keeps its quotes and escapes."""
    raw = rb'"a \"SECRET\" \u00e9"'
    assert redact_bytes(raw, spans_in(json.loads(raw), "SECRET"), mark) == rb'"a \"[secrets.aws-key]\" \u00e9"'


def test_wrong_bytes_in_a_redacted_text_do_not_save_the_value() -> None:
    """A text that is not UTF-8 is read with replacement characters and still redacted."""
    raw = b'{"keep": "\xff", "a": "\xe9t\xe9 SECRET \xf0\x9f"}'
    payload = json.loads(raw.decode("utf-8", "replace"))
    assert redact_bytes(raw, spans_in(payload, "SECRET"), mark) == (
        b'{"keep": "\xff", "a": "\\ufffdt\\ufffd [secrets.aws-key] \\ufffd"}'
    )


@pytest.mark.parametrize("path", [("b",), ("a", 0), ()])
def test_a_span_that_is_not_in_the_message_is_an_error(path: tuple[str | int, ...]) -> None:
    """A redaction that cannot be carried out is never taken for done."""
    spans = [Span("secrets.aws-key", Leaf(path, "SECRET"), 0, 6, 0.9)]
    with pytest.raises(ValueError, match="span"):
        redact_bytes(b'{"a": "other"}', spans, mark)
    with pytest.raises(ValueError, match="span"):
        redact_value({"a": "other"}, spans, mark)


def test_a_span_of_another_text_is_an_error() -> None:
    """A text is never cut at places that were found in a different text."""
    with pytest.raises(ValueError, match="another text"):
        redact_bytes(b'{"a": "other"}', [Span("secrets.aws-key", Leaf(("a",), "SECRET"), 0, 6, 0.9)], mark)


def test_redacting_does_not_change_the_payload_it_was_given() -> None:
    """The payload that rules and the record still read is left alone."""
    payload = {"a": [{"SECRET": "SECRET"}], "b": [1]}
    spans = spans_in(payload, "SECRET")
    assert redact_value(payload, spans, mark) == {"a": [{"[secrets.aws-key]": "[secrets.aws-key]"}], "b": [1]}
    assert payload == {"a": [{"SECRET": "SECRET"}], "b": [1]}


def test_a_key_is_redacted_beside_what_python_would_not_read() -> None:
    """Wrong UTF-8, a byte order mark or a number of thousands of digits elsewhere in the text are no reason to fail."""
    raw = b'\xef\xbb\xbf{"SECRET":1,"x":"\xff","n":' + b"1" * 5000 + b"}"
    span = Span("secrets.aws-key", Leaf(("SECRET",), "SECRET", is_key=True), 0, 6, 0.9)
    assert redact_bytes(raw, [span], mark) == raw.replace(b"SECRET", b"[secrets.aws-key]")

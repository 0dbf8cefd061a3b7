"""What stands in place of a value whose form a tool has promised."""

import json
import re
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.act.fitting import NothingFits, stand_ins
from sidecar.act.formats import SAMPLES, has_format, sample_of
from sidecar.act.redact import redact_bytes, redact_value
from sidecar.act.samples import NoSample, sample
from sidecar.act.schemas import CannotTell, Walk
from sidecar.detect import mark
from sidecar.events import Leaf, Span

SECRET = "Se" + "cret-42"


def replaced(schema: Any, content: Any, secret: Any = SECRET) -> Any:
    """The structured content after the redaction of every leaf that holds ``secret``."""
    payload = {"result": {"structuredContent": content}}
    spans = list(spans_of(payload, str(secret), ()))
    values = stand_ins(payload, schema, spans, mark)
    after = redact_value(payload, spans, mark, values)
    assert json.loads(redact_bytes(json.dumps(payload).encode(), spans, mark, values)) == after
    return after["result"]["structuredContent"]


def spans_of(value: Any, secret: str, path: tuple[Any, ...]) -> Any:
    if isinstance(value, dict | list):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from spans_of(below, secret, (*path, step))
    elif secret in str(value):
        start = str(value).index(secret)
        leaf = Leaf(path, str(value), is_text=isinstance(value, str))
        yield Span("secrets.x", leaf, start, start + len(secret), 1.0)


LEAVES: list[tuple[Any, Any]] = [
    ({"type": "string"}, "[secrets.x]"), ({}, "[secrets.x]"), (True, "[secrets.x]"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "[secrets.x]"), ({"$ref": "#/$defs/free"}, "[secrets.x]"),
    ({"type": ["string", "null"], "description": "x"}, "[secrets.x]"),
    ({"type": "string", "format": "email"}, "redacted@redacted.invalid"), ({"format": "date"}, "1970-01-01"),
    ({"format": "date-time"}, "1970-01-01T00:00:00Z"), ({"format": "uri"}, "https://redacted.invalid/"),
    ({"format": "uuid"}, "00000000-0000-0000-0000-000000000000"), ({"format": "ipv4"}, "192.0.2.0"),
    ({"anyOf": [{"format": "email"}, {"type": "null"}]}, "redacted@redacted.invalid"),
    ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, "***"), ({"minLength": 20}, "[secrets.x]*********"),
    ({"enum": [SECRET, "low", "high"]}, "low"), ({"enum": [None, 3, "a"]}, "a"),
    ({"pattern": "^[^@ ]+@[^@ ]+\\.[a-z]+$"}, "x@x.x"), ({"pattern": "^\\d{3}-\\d{2}-\\d{4}$"}, "000-00-0000"),
    ({"pattern": "^(acct|card)_[0-9a-f]{8,}$", "minLength": 20}, "acct_" + "0" * 28),
    ({"pattern": "^[A-Z][a-z]+-\\d\\d$"}, "Xxxxxx-00"), ({"pattern": "^\\d{16}$"}, "0" * 16),
    ({"pattern": "^(a+)+$"}, "a"), ({"not": {"pattern": "secrets"}}, "Xxxxxx-00"),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "expected"), LEAVES)
def test_the_stand_in_has_the_form_that_was_promised(leaf: Any, expected: str) -> None:
    """A client accepts the redacted result, and nothing of the value is left in it."""
    schema = {
        "type": "object",
        "properties": {"rows": {"type": "array", "items": {"properties": {"k": leaf, "n": {"type": "number"}}}}},
        "$defs": {"free": {"type": "string"}},
    }
    content = {"rows": [{"n": 1}, {"k": SECRET, "n": 2}]}
    after = replaced(schema, content)
    jsonschema.validate(after, schema, format_checker=jsonschema.FormatChecker())
    assert after == {"rows": [{"n": 1}, {"k": expected, "n": 2}]}
    assert after == replaced(schema, content), "a retry gets the same"


@pytest.mark.parametrize(
    "leaf",
    [
        False, {"const": SECRET}, {"enum": [SECRET]}, {"$ref": "#/$defs/loop"}, {"$ref": "http://elsewhere.example/schema"},
        {"pattern": "(?=x)y"}, {"pattern": "x" * 2000}, {"unevaluatedProperties": False}, {"minLength": 10**9},
        {"type": "string", "maxLength": 0, "minLength": 1}, {"contentEncoding": "base64"}, {"type": "cat"}, "nonsense",
    ],
)  # fmt: skip
def test_where_nothing_fits_nothing_is_guessed(leaf: Any) -> None:
    """A schema that allows no other value, or that is not understood, makes the result an error, never a broken one."""
    schema = {"type": "object", "properties": {"k": leaf}, "$defs": {"loop": {"$ref": "#/$defs/loop"}}}
    with pytest.raises(NothingFits):
        replaced(schema, {"k": SECRET})


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        ({"type": "integer"}, 0), ({"type": "number"}, 0), ({}, 0), ({"minimum": 5}, 5), ({"exclusiveMinimum": 5}, 6),
        ({"maximum": -2}, -2), ({"enum": [4111111111111111, 7]}, 7), ({"minimum": 1000, "multipleOf": 7}, 1001),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25), ({"type": "integer", "exclusiveMinimum": 10**9}, 10**9 + 1),
    ],
)  # fmt: skip
def test_a_number_becomes_a_number(leaf: Any, expected: float) -> None:
    """A card number that is a number is replaced by another number in range."""
    schema = {"properties": {"card": leaf}}
    after = replaced(schema, {"card": 4111111111111111}, 4111111111111111)
    assert after == {"card": expected}
    jsonschema.validate(after, schema)


def test_the_branch_that_holds_is_kept() -> None:
    """In a choice of forms the stand-in satisfies the one the result chose, not any."""
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "mail"}, "to": {"type": "string", "format": "email"}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "note"}, "to": {"type": "string"}}, "required": ["kind"]},
        ]
    }
    assert replaced(schema, {"kind": "mail", "to": SECRET + "@ourco.example"})["to"] == "redacted@redacted.invalid"
    assert replaced(schema, {"kind": "note", "to": SECRET})["to"] == "[secrets.x]"


def test_values_that_must_differ_still_do() -> None:
    """Two redacted values of a list without doubles do not become one."""
    schema = {"type": "array", "uniqueItems": True}
    after = replaced(schema, [SECRET, SECRET + "x"])
    assert len({*after}) == 2 and not any(SECRET in each for each in after)


def test_many_values_are_found_quickly() -> None:
    """A table of addresses is redacted as one."""
    schema = {"properties": {"rows": {"items": {"properties": {"to": {"type": "string", "format": "email"}}}}}}
    rows = [{"to": f"{SECRET}{number}@ourco.example"} for number in range(500)]
    assert {each["to"] for each in replaced(schema, {"rows": rows})["rows"]} == {"redacted@redacted.invalid"}


def test_a_hostile_schema_costs_little() -> None:
    """Branches that multiply, patterns made to hang and huge lists end at a bound."""
    doubling: Any = {"type": "string", "pattern": "z"}
    for _ in range(40):
        doubling = {"anyOf": [doubling, doubling]}
    for leaf in (doubling, {"pattern": "(x+x+)+y"}, {"pattern": "((a{1,100}){1,100}){1,100}z"}, {"enum": list(range(5000))}):
        with pytest.raises(NothingFits):
            replaced({"properties": {"k": {"allOf": [leaf, {"maxLength": 0}]}}}, {"k": SECRET})


SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries({}, optional={
        "type": st.sampled_from(["string", "integer", "number", "null", "object", "array", ["string", "null"]]),
        "enum": st.lists(st.sampled_from(["a", "b", 0, 1, 1.0, True, None]), min_size=1, max_size=3, unique_by=repr),
        "minLength": st.integers(0, 3), "maxLength": st.integers(0, 3), "pattern": st.sampled_from(["^a", "b$", "[ab]{2}"]),
        "minimum": st.integers(-1, 2), "exclusiveMaximum": st.integers(0, 3), "multipleOf": st.sampled_from([1, 2]),
    }),
    lambda inner: st.fixed_dictionaries({}, optional={
        "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2), "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=1), "propertyNames": inner,
        "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True), "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2), "contains": inner, "uniqueItems": st.booleans(),
        "allOf": st.lists(inner, min_size=1, max_size=2), "anyOf": st.lists(inner, min_size=1, max_size=2),
        "oneOf": st.lists(inner, min_size=1, max_size=2), "not": inner, "if": inner, "then": inner, "else": inner,
        "dependentSchemas": st.dictionaries(st.sampled_from("ab"), inner, max_size=1), "maxProperties": st.integers(0, 2),
    }),
    max_leaves=6,
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 2, 0.5, 1.0, -1]) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=300)
@given(SCHEMAS, VALUES)
def test_the_walk_agrees_with_a_validator(schema: Any, value: Any) -> None:
    """What we call valid is valid for clients, by the validator the Python SDK uses."""
    assert Walk(schema).holds(schema, value) == jsonschema.Draft202012Validator(schema).is_valid(value)


@given(st.text("ab[]()|*+?{}^$.\\dw019-,", max_size=20), st.integers(0, 5))
def test_any_pattern_makes_a_short_text_or_none(pattern: str, more: int) -> None:
    """Whatever a server writes as a pattern, the sample is bounded."""
    with suppress(NoSample):
        assert len(sample(pattern, more)) <= limits.SAMPLE_CHARS_MAX


@given(st.from_regex(r"(\[[a-c]{1,2}\]|[xyz0]|\\d|\(x\|y\)|\(\?:z\))(\+|\?|\*|\{2\}|\{1,3\})?", fullmatch=True))
def test_a_sample_fits_its_pattern(pattern: str) -> None:
    """What is made from a pattern is matched by it."""
    for more in (0, 1, 4):
        assert re.fullmatch(pattern, sample(pattern, more))


def test_every_format_has_its_sample() -> None:
    """The stand-in of a format has that format, by a validator's own check where it has one."""
    checker = jsonschema.FormatChecker()
    for name in ("email", "date", "time", "date-time", "duration", "uri", "hostname", "ipv4", "ipv6", "uuid", "json-pointer"):
        value = sample_of(name)
        assert value is not None and has_format(name, value)
        assert not has_format(name, "[personal.email]")
        assert name == "time" or checker.conforms(value, name)  # its "time" is an older one, without an offset
    assert sample_of("phone") is None and has_format("phone", "anything") and "" not in SAMPLES


def test_what_is_not_known_is_no_yes() -> None:
    """A keyword outside of what is walked is said to be one."""
    with pytest.raises(CannotTell):
        Walk({"$dynamicRef": "#x"}).holds({"$dynamicRef": "#x"}, 1)

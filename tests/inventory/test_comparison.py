"""What counts of a definition, how two of them differ, and which names look the same."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.inventory.comparison import TooDeep, differences, digest_of, select_counted, skeleton, to_canonical

TEXT = st.text(max_size=12)
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)
ENTRY = st.fixed_dictionaries(
    {"name": TEXT},
    optional={
        "description": TEXT,
        "title": TEXT,
        "inputSchema": VALUE,
        "outputSchema": VALUE,
        "annotations": VALUE,
        "x": VALUE,
    },
)


def digest(entry: Any) -> str:
    """The digest of a definition."""
    return digest_of(to_canonical(select_counted(entry)))


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same value with other orders of keys, integers as numbers with a fraction, and shuffled ``required``."""
    if isinstance(value, dict):
        items = [(key, shuffled(member, chance)) for key, member in value.items()]
        chance.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [shuffled(member, chance) for member in value]
    return float(value) if type(value) is int else value


@settings(deadline=None, max_examples=60)
@given(ENTRY, st.randoms(use_true_random=False), st.dictionaries(TEXT, VALUE, max_size=2))
def test_the_spelling_of_a_definition_does_not_count(entry: dict[str, Any], chance: random.Random, meta: Any) -> None:
    """Order of keys, blanks, ``1.0`` for ``1``, escapes, null members, ``_meta`` and icons make no other definition."""
    said = json.dumps(shuffled(entry, chance), indent=chance.choice((None, 3)), ensure_ascii=chance.choice((True, False)))
    same = {**json.loads(said), "_meta": meta, "icons": [meta], "title2": None}
    assert digest(same) == digest(entry)


@settings(deadline=None, max_examples=60)
@given(ENTRY, ENTRY)
def test_whatever_else_differs_counts_and_is_named(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two definitions have one digest exactly when nothing differs between them."""
    found = differences(select_counted(one), select_counted(other))
    assert (digest(one) == digest(other)) is (found == ())
    for change in found:
        assert change.path.startswith("$") and change.before != change.after


@settings(deadline=None, max_examples=60)
@given(ENTRY, st.sampled_from(["description", "title", "inputSchema", "outputSchema", "annotations", "extra"]), VALUE)
def test_a_change_of_any_member_is_another_definition(entry: dict[str, Any], member: str, value: Any) -> None:
    """Descriptions, titles, both schemas, annotations, and members no revision knows."""
    changed = {**entry, member: [entry.get(member), value]}
    assert digest(changed) != digest(entry)
    assert any(change.path.startswith(f"$.{member}") for change in differences(select_counted(entry), select_counted(changed)))


def test_what_is_required_is_a_set_and_other_lists_are_not() -> None:
    """Programs that build a schema from a set change the order of ``required`` with every start."""
    schema = {"required": ["a", "b"], "enum": ["x", "y"]}
    assert digest({"s": {**schema, "required": ["b", "a"]}}) == digest({"s": schema})
    assert digest({"s": {**schema, "required": ["a"]}}) != digest({"s": schema})
    assert digest({"s": {**schema, "enum": ["y", "x"]}}) != digest({"s": schema})
    assert digest({"a": 1}) != digest({"a": True}) != digest({"a": "1"})
    assert digest({"a": 10**30}) != digest({"a": 10**30 + 1})


def test_what_is_nested_too_deeply_has_no_digest() -> None:
    """It is an error rather than a part that nobody looked at."""
    value: Any = "x"
    for _ in range(limits.JSON_DEPTH_MAX + 1):
        value = [value]
    with pytest.raises(TooDeep):
        select_counted({"name": "a", "inputSchema": value})


def test_differences_are_cut_to_where_they_are() -> None:
    """A word in a long description is told with what stands around it; code points nobody sees are spelt out."""
    description = "word " * 200 + "Look up a customer. " + "more " * 200
    before = {"description": description, "inputSchema": {"a": [1, 2], "b": 1}}
    after = {"description": description.replace("up a", "up\u200b and mail a"), "inputSchema": {"a": [1], "c": {}}}
    said = [str(each) for each in differences(select_counted(before), select_counted(after))]
    left, right = "…d word word word Look up", "a customer. more more m…"
    assert said == [
        f'$.description: "{left} {right}" → "{left}<U+200B> and mail {right}"',
        "$.inputSchema.a[1] is gone: 2",
        "$.inputSchema.b is gone: 1",
        "$.inputSchema.c is new: {}",
    ]
    many = differences({}, {f"k{number}": number for number in range(100)})
    assert len(many) == limits.DEFINITION_CHANGES_MAX + 1 and many[-1].after == "60 more differences"


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ("send_email", "sendEmail", True),
        ("send_email", "Send-Email", True),
        ("send_email", "s\u0435nd_\u0435mail", True),
        ("send_email", "\uff53end_email", True),
        ("lo0k", "l00k", True),
        ("send_email", "send_emails", False),
        ("get_1", "get_2", False),
        ("\u8bfb", "\u5199", False),
        ("_", "-", False),
    ],
)
def test_names_that_look_the_same_are_known(one: str, other: str, is_alike: bool) -> None:
    """Case, separators, full-width and look-alike letters tell no names apart."""
    assert (skeleton(one) == skeleton(other)) is is_alike

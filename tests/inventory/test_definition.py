"""What counts of a definition, how two of them are told apart, and what is known of them over time."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.inventory.definition import TooDeep, canonical, counted, differences, digest_of, looks_like
from sidecar.inventory.tracking import Inspection, Inventory

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
    return digest_of(canonical(counted(entry)))


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
    found = differences(counted(one), counted(other))
    assert (digest(one) == digest(other)) is (found == ())
    for change in found:
        assert change.path.startswith("$") and change.before != change.after


@settings(deadline=None, max_examples=60)
@given(ENTRY, st.sampled_from(["description", "title", "inputSchema", "outputSchema", "annotations", "extra"]), VALUE)
def test_a_change_of_any_member_is_another_definition(entry: dict[str, Any], member: str, value: Any) -> None:
    """Descriptions, titles, both schemas, annotations, and members no revision knows."""
    changed = {**entry, member: [entry.get(member), value]}
    assert digest(changed) != digest(entry)
    assert any(change.path.startswith(f"$.{member}") for change in differences(counted(entry), counted(changed)))


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
        counted({"name": "a", "inputSchema": value})


def test_differences_are_cut_to_where_they_are() -> None:
    """A word in a long description is told with what stands around it; code points nobody sees are spelt out."""
    before = {"description": "word " * 200 + "Look up a customer. " + "more " * 200, "inputSchema": {"a": [1, 2], "b": 1}}
    after = {"description": before["description"].replace("up a", "up\u200b and mail a"), "inputSchema": {"a": [1], "c": {}}}
    said = [str(each) for each in differences(counted(before), counted(after))]
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
    assert (looks_like(one) == looks_like(other)) is is_alike


def see(inventory: Inventory, server: str, name: str, said: str, now: float = 0.0, *, is_last: bool = True) -> dict[str, str]:
    """A server lists one tool; the signs of its definition."""
    entry = {"name": name, "description": said}
    definition, _ = inventory.listed((server, "tool", name), entry, now, lambda: Inspection(entry))
    inventory.finished(server, "tool", now, is_last=is_last)
    return dict(definition.signs)


def test_what_was_accepted_is_accepted_in_any_order() -> None:
    """A change lasts until it is approved or undone; what is approved joins what was accepted before."""
    inventory = Inventory()
    assert see(inventory, "a", "t", "one") == {}
    assert set(see(inventory, "a", "t", "two")) == {"changed"} == set(see(inventory, "a", "t", "two"))
    known = inventory.get(("a", "tool", "t"))
    assert known is not None
    news = inventory.approve(("a", "tool", "t"), known.current, "ada", 5.0)
    assert news is not None and (news.event, news.by, news.previous_digest) == ("approved", "ada", known.accepted[0])
    assert inventory.approve(("a", "tool", "t"), known.current, "ada", 5.0) is None
    assert see(inventory, "a", "t", "two") == {} == see(inventory, "a", "t", "one")
    assert "two" in see(inventory, "a", "t", "three")["changed"], "it is told against what was accepted last"
    assert inventory.approve(("a", "tool", "gone"), known.current, "ada", 5.0) is None


def test_a_list_that_never_ends_does_not_keep_everything_from_being_new() -> None:
    """A server that always promises another page has an hour; after that its tools are new all the same."""
    inventory = Inventory()
    assert see(inventory, "a", "t", "x", 0.0, is_last=False) == {}
    assert see(inventory, "a", "u", "x", 60.0, is_last=False) == {}
    assert set(see(inventory, "a", "v", "x", 4000.0, is_last=False)) == {"new"}
    assert set(see(inventory, "a", "v", "y", 4001.0)) == {"new"}, "and stay new until somebody approves one"


def test_the_name_of_a_server_that_is_gone_is_free_again() -> None:
    """A month after a tool was last listed, another server may have its name."""
    inventory = Inventory()
    see(inventory, "a", "t", "x", 0.0)
    assert see(inventory, "b", "t", "x", 10.0) == {"shadows": "the name of 't' on a"}
    assert see(inventory, "b", "t", "x", 10.0 + limits.DEFINITION_STALE_S) == {}


def test_only_some_variants_are_remembered() -> None:
    """However many definitions a server makes up, the accepted ones and the latest are kept."""
    inventory = Inventory()
    for number in range(100):
        see(inventory, "a", "t", f"v{number}", float(number))
    known = inventory.get(("a", "tool", "t"))
    assert known is not None and len(known.variants) == limits.DEFINITION_VARIANTS_MAX + 1
    assert known.accepted[0] in known.variants and known.current in known.variants
    long = {"name": "t", "description": "x" * (limits.DEFINITION_CHARS_MAX + 1)}
    definition, news = inventory.listed(("a", "tool", "t"), long, 1e9, lambda: Inspection(long, is_unread=True))
    assert definition.unknown == {"hidden-text"} and news is not None and news.definition == ""


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(SCALAR | st.floats(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner), max_leaves=20)
)
def test_any_file_is_an_inventory_or_refused(value: Any) -> None:
    """What is read from disk is taken whole or not at all."""
    for kept in (value, {"version": 1, "approvals_read": 0, "listings": [], "known": [["a", "tool", "b", value]]}):
        inventory = Inventory()
        try:
            inventory.restore(kept)
        except ValueError:
            assert inventory.kept() == Inventory().kept()
        else:
            json.dumps(inventory.kept())

"""What the inventory knows of definitions over time: accepted, changed, new, and shadowing another server's."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.inventory import Inspection, Inventory
from tests.inventory.test_comparison import SCALAR, TEXT


def see(inventory: Inventory, server: str, name: str, said: str, now: float = 0.0, *, is_last: bool = True) -> dict[str, str]:
    """A server lists one tool; the signs of its definition."""
    entry = {"name": name, "description": said}
    definition, _ = inventory.record_listed((server, "tool", name), entry, now, lambda: Inspection(entry))
    inventory.finish_list(server, "tool", now, is_last=is_last)
    return dict(definition.signs)


def test_what_was_accepted_is_accepted_in_any_order() -> None:
    """A change lasts until it is approved or undone; what is approved joins what was accepted before."""
    inventory = Inventory()
    assert see(inventory, "a", "t", "one") == {}
    assert set(see(inventory, "a", "t", "two")) == {"changed"} == set(see(inventory, "a", "t", "two"))
    known = inventory.get(("a", "tool", "t"))
    assert known is not None
    event = inventory.approve(("a", "tool", "t"), known.current, "ada", 5.0)
    assert event is not None and (event.event, event.by, event.previous_digest) == ("approved", "ada", known.accepted[0])
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
    definition, event = inventory.record_listed(("a", "tool", "t"), long, 1e9, lambda: Inspection(long, is_unread=True))
    assert definition.unknown == {"hidden-text"} and event is not None and event.definition == ""


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
            assert inventory.dump() == Inventory().dump()
        else:
            json.dumps(inventory.dump())

"""Texts and their places, for any JSON."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.detect import text, walk
from sidecar.events import Leaf

SCALARS = st.none() | st.booleans() | st.integers() | st.integers(10**7, 10**26) | st.floats() | st.text()
JSON = st.recursive(
    SCALARS | st.sampled_from(["\ud800", "é\udfff"]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=40,
)


def at(payload: Any, leaf: Leaf) -> Any:
    """What stands at a leaf's path: the key itself for a key."""
    for step in leaf.path[:-1]:
        payload = payload[step]
    if leaf.is_key:
        assert leaf.path[-1] in payload
        return leaf.path[-1]
    return payload[leaf.path[-1]] if leaf.path else payload


@settings(deadline=None)
@given(JSON, st.sampled_from([(), ("params",), ("result", 0)]))
def test_every_text_is_where_its_path_says(payload: Any, root: tuple[str | int, ...]) -> None:
    """The quick walk and the one that keeps paths see the same texts, and each stands at its path in the payload."""
    texts = walk(payload, root=root)
    leaves = texts.leaves()
    assert [leaf.text for leaf in leaves.values()] == texts.texts
    assert list(leaves) == list(range(len(texts)))
    for leaf in leaves.values():
        assert leaf.path[: len(root)] == root
        value = at(payload, Leaf(leaf.path[len(root) :], leaf.text, leaf.is_key, leaf.is_text))
        assert value == leaf.text if leaf.is_text else int(value) == int(leaf.text)


@settings(deadline=None)
@given(JSON)
def test_bytes_lead_back_to_their_text(payload: Any) -> None:
    """Every byte of the joined text belongs to the leaf it came from, whatever the script, lone surrogates too."""
    texts = walk(payload)
    data, starts = texts.joined(), texts.starts()
    for index, each in enumerate(texts.texts):
        assert data[starts[index] : starts[index + 1] - 1] == each.encode("utf-8", "surrogatepass")
        assert texts.index_at(starts[index]) == texts.index_at(starts[index + 1] - 1) == index


@settings(deadline=None)
@given(JSON, st.integers(0, 12), st.integers(1, 4))
def test_both_walks_stop_at_the_same_bounds(payload: Any, leaves_max: int, depth_max: int) -> None:
    """A message beyond the bounds is looked at in part, the same part twice, and says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "JSON_LEAVES_MAX", leaves_max)
        patch.setattr(text, "JSON_DEPTH_MAX", depth_max)
        bounded = walk(payload)
        assert [leaf.text for leaf in bounded.leaves().values()] == bounded.texts
    everything = walk(payload)
    assert bounded.skipped or bounded.texts == everything.texts
    assert set(bounded.texts) <= set(everything.texts)


def test_only_the_leaves_asked_for_are_built() -> None:
    """Places are made for hits only, and are the same as when all are made."""
    texts = walk({"a": ["x", {"b": "y"}], "c": 12345678})
    everything = texts.leaves()
    assert texts.leaves({3, 5}) == {index: everything[index] for index in (3, 5)}
    assert texts.leaves(set()) == {}


def test_order_keys_and_numbers_are_those_of_the_document() -> None:
    """Keys stand right before their values; long whole numbers are texts too, others are not."""
    payload = {"k": 4012888888881881, "l": [1234567, 12345678, -12345678, 4.012888888881881e15, 0.12345678, True, None, 10**30]}
    assert walk(payload).texts == ["k", "4012888888881881", "l", "12345678", "-12345678", "4012888888881881"]


def test_a_number_of_many_digits_costs_nothing() -> None:
    """A number that would take long to write out is passed over."""
    assert walk([10**5000, -(10**5000), 1e300, float("inf"), float("nan")]).texts == []


def test_depth_is_bounded_and_recorded() -> None:
    """Nesting beyond the bound is not followed, says so, and never ends in a recursion error."""
    payload: Any = "deep secret"
    for _ in range(20_000):
        payload = [payload]
    texts = walk(payload)
    assert (texts.texts, texts.skipped) == ([], ("depth",))
    payload = "seen"
    for _ in range(limits.JSON_DEPTH_MAX):
        payload = {"k": payload}
    assert walk(payload).texts[-1] == "seen"
    assert walk({"k": payload}).skipped == ("depth",)


def test_members_are_bounded_and_recorded() -> None:
    """A message of too many members is looked at up to the bound, and what is left out is counted."""
    texts = walk(["text"] * (limits.JSON_LEAVES_MAX + 10))
    assert (len(texts), texts.skipped, texts.bytes_skipped) == (limits.JSON_LEAVES_MAX, ("leaves",), 40)


def test_texts_of_a_parsed_message_are_those_of_its_json() -> None:
    """The parser used on the wire and the walk agree on a message as servers send it."""
    raw = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"caf\\u00e9"}],"isError":false}}'
    assert walk(orjson.loads(raw)).texts == [
        "jsonrpc", "2.0", "id", "result", "content", "type", "text", "text", "café", "isError",
    ]  # fmt: skip

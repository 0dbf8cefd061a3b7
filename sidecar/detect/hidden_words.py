"""What of a whole definition people do not see, in words that are fit to be recorded."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from sidecar.detect.definitions import NOT_COUNTED
from sidecar.detect.hidden import hidden_in, visible
from sidecar.detect.text import walk
from sidecar.events import path_text

_SIGNS_MAX: Final = 5


def hidden_text(entry: Mapping[str, Any], masked: Any) -> str:
    """What of a definition people do not see, in words taken from ``masked``; empty when there is nothing.

    Where the words are part of what is masked, or nothing may be kept, only the kinds are named.
    """
    found = list(islice(_hidden(entry), _SIGNS_MAX))
    if not found:
        return ""
    told = list(islice(_hidden(masked), _SIGNS_MAX)) if isinstance(masked, dict) else []
    rest = {what for what, _, _ in found} - {what for what, _, _ in told}
    return "; ".join([*(f"{where} has {what}: {said}" for what, where, said in told), *sorted(rest)])


def _hidden(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for leaf in walk(read_by_models(entry)).leaves().values():
        for found in hidden_in(leaf.text):
            yield _WORDS[found.sign], visible(path_text(leaf.path)), found.said


def read_by_models(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a definition whose texts may reach a model."""
    return {key: value for key, value in entry.items() if key not in NOT_COUNTED}


_WORDS: Final[Mapping[str, str]] = {
    "tags": "text in tag characters",
    "selectors": "bytes in variation selectors",
    "bidi": "signs that turn the direction of text",
    "invisible": "invisible characters",
    "control": "control characters",
    "comment": "an order in a comment",
    "block": "an order in a tag that no page has",
    "unseen-style": "an order in a style that shows nothing",
    "far-below": "an order far out of sight",
    "secrecy": "an order to keep something from people",
}

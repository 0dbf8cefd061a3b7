"""Describes the hidden text of a whole definition, in words that may be recorded."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from sidecar.detect import SIGNALS, values, walk
from sidecar.events import Span, path_text
from sidecar.inventory.comparison import NOT_COUNTED
from sidecar.inventory.hidden_text import find_hidden, show_invisible, to_line

_SIGNS_MAX: Final = 5
_SURE: Final = 0.7
"""The confidence a detector must have that a text addresses the model."""


def describe_hidden_text(entry: Mapping[str, Any], spans: Iterable[Span], masked: Any) -> str:
    """Describes what of a definition people do not see, or are not meant to see; empty when there is nothing.

    ``spans`` is what the detectors found in it, at paths below ``result``; ``masked`` the definition as it may be kept, None
    where it may not. Of words inside a masked value only the kind is given.
    """
    found = [*islice(_hidden(entry), _SIGNS_MAX), *islice(_signals(spans, isinstance(masked, dict)), _SIGNS_MAX)]
    if not found:
        return ""
    reported = [*islice(_hidden(masked), _SIGNS_MAX)] if isinstance(masked, dict) else []
    reported += [each for each in found if each[0].startswith(SIGNALS) and each[2]]
    rest = {what for what, _, _ in found} - {what for what, _, _ in reported}
    return "; ".join([*(f"{where} has {what}: {said}" for what, where, said in reported), *sorted(rest)])


def _signals(spans: Iterable[Span], is_kept: bool) -> Iterator[tuple[str, str, str]]:
    """Detectors' signals; the text of one is left out where it holds a value."""
    spans = list(spans)
    secret = values(spans)
    for span in spans:
        is_signal = span.kind.startswith(SIGNALS) and span.confidence >= _SURE
        if is_signal and span.leaf.path[1:2] not in [(each,) for each in NOT_COUNTED]:
            is_clean = not any(each.leaf == span.leaf and each.start < span.end and span.start < each.end for each in secret)
            yield (
                span.kind,
                show_invisible(path_text(span.leaf.path[1:])),
                to_line(span.stretch) if is_kept and is_clean else "",
            )


def _hidden(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for leaf in walk(read_by_models(entry)).leaves().values():
        for found in find_hidden(leaf.text):
            yield _WORDS[found.sign], show_invisible(path_text(leaf.path)), found.said


def read_by_models(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a definition whose texts may reach a model."""
    return {key: value for key, value in entry.items() if key not in NOT_COUNTED}


_WORDS: Final[Mapping[str, str]] = {
    "invisible": "invisible characters",
    "control": "control characters",
    "comment": "an order in a comment",
    "block": "an order in a tag that no page has",
    "unseen-style": "an order in a style that shows nothing",
    "far-below": "an order far out of sight",
}

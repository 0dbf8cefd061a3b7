"""The two copies of a tool's result, text and structured content (MCP 2025-06-18, tools): what is taken out of one leaves both.

A value may be known in one copy only: by the name of its field, say, which the text does not have.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from sidecar import limits
from sidecar.detect import walk
from sidecar.events import Leaf, Message, Span

_COPIES: Final = ("content", "structuredContent")


class TooMany(ValueError):
    """There are more values to look for than there is time."""


def in_other_copy(message: Message, spans: Sequence[Span]) -> list[Span]:
    """Where the values of ``spans`` stand in the copy in which no detector found them.

    Raises:
        TooMany: see there; the copies may not pass.
    """
    result = message.payload.get("result") if message.kind == "result" and isinstance(message.payload, dict) else None
    if not spans or not isinstance(result, dict) or any(name not in result for name in _COPIES):
        return []
    found: list[Span] = []
    for here, there in (_COPIES, _COPIES[::-1]):
        known = {span.stretch for span in spans if span.leaf.path[:2] == ("result", there)}
        missing = {span.stretch: span for span in spans if span.leaf.path[:2] == ("result", here) and span.stretch not in known}
        values = [(value, span) for value, span in missing.items() if len(value) >= limits.ECHO_CHARS_MIN]
        if values:
            leaves = [each for each in walk(result[there], root=("result", there)).leaves().values() if not each.is_key]
            if len(values) * sum(len(each.text) for each in leaves) > limits.ECHO_CHARS_MAX:
                raise TooMany
            found += [each for value, span in values for each in _echoes(value, span, leaves)]
    return found


def of_one_kind(spans: Iterable[Span]) -> list[Span]:
    """The spans, those of one value all of the kind that is surest: the same value gets the same mark."""
    spans = list(spans)
    kinds: dict[str, Span] = {}
    for span in spans:
        surest = kinds.setdefault(span.stretch, span)
        if (-span.confidence, span.kind) < (-surest.confidence, surest.kind):
            kinds[span.stretch] = span
    return [span if kinds[span.stretch].kind == span.kind else replace(span, kind=kinds[span.stretch].kind) for span in spans]


def _echoes(value: str, span: Span, leaves: Sequence[Leaf]) -> Iterator[Span]:
    """Every place where a value stands by itself, as it is or with the escapes of JSON."""
    forms = {value, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]}
    for leaf in leaves:
        if not leaf.is_text:
            if leaf.text == value:
                yield replace(span, leaf=leaf, start=0, end=len(value))
            continue
        for form in forms:
            start = leaf.text.find(form)
            while start >= 0:
                end = start + len(form)
                if not _is_within_word(leaf.text, start, end):
                    yield replace(span, leaf=leaf, start=start, end=end, plain=span.value if form != value else span.plain)
                start = leaf.text.find(form, end)


def _is_within_word(text: str, start: int, end: int) -> bool:
    """Whether a stretch is only a part of a longer word or number."""
    begins = start > 0 and text[start - 1].isalnum() and text[start].isalnum() and text[start - 2 : start] != "\\n"
    return begins or (end < len(text) and text[end].isalnum() and text[end - 1].isalnum())

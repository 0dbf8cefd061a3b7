"""Detected values replaced by marks: in the original text, where all else stays byte-equal, or in the parsed form.

``redact_*`` is for messages on their way: a number cannot become a mark there, since the receiver expects a number. In the
structured content of a result it becomes 0; elsewhere they raise ``ValueError`` and the message has to be blocked.
``values`` are leaves of a result that are replaced as a whole, because their schema allows no mark. ``mask_*`` is for what
we keep: numbers become strings.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from sidecar.decode.locate import Place, decoded, occurrences
from sidecar.events import Path, Span

Replace = Callable[[Span], str]
"""What to write in place of a span; never empty."""

STRUCTURED: Final[Path] = ("result", "structuredContent")
"""Where a tool's result stands for programs, which know its types (MCP 2025-06-18, tools)."""

_NONE: Final[Mapping[Path, Any]] = MappingProxyType({})

_WIDE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.|[\xc2-\xf4][\x80-\xbf]+"
)
"""One character of a JSON string literal that takes more than one byte."""


@dataclass(frozen=True, slots=True)
class _Replacement:
    """What happens to one text: each ``(start, end, new)`` replaces ``old[start:end]``; in order, without overlap."""

    old: str
    stretches: tuple[tuple[int, int, str], ...]

    def new(self) -> str:
        parts: list[str] = []
        done = 0
        for start, end, text in self.stretches:
            parts += (self.old[done:start], text)
            done = end
        return "".join((*parts, self.old[done:]))


@dataclass(frozen=True, slots=True)
class _Other:
    """A leaf that becomes another value altogether."""

    value: Any

    def new(self) -> Any:
        return self.value


Changes = dict[Place, _Replacement | _Other]


def redact_bytes(raw: bytes, spans: Iterable[Span], mark: Replace, values: Mapping[Path, Any] = _NONE) -> bytes:
    """``raw`` with every span's stretch replaced; every byte outside the stretches stays as it was.

    ``raw`` is JSON, or plain text whose only leaf is the text itself. Stretches that overlap become one, marked as the
    longest of them. An object key that would then equal another one gets a number behind it. Raises ``ValueError``
    when a span is in a number or not in ``raw``, because then something would leave unredacted.
    """
    values, rest = _split_whole(spans, values)
    return _patched_text(raw, rest, mark, values)


def redact_value(payload: Any, spans: Iterable[Span], mark: Replace, values: Mapping[Path, Any] = _NONE) -> Any:
    """A copy of ``payload`` with every span's stretch replaced, equal to what ``redact_bytes`` makes of its text.

    Parts without a span are shared with ``payload``, not copied. Raises ``ValueError`` as ``redact_bytes`` does.
    """
    values, rest = _split_whole(spans, values)
    return _patched_copy(payload, rest, mark, values)


def mask_bytes(raw: bytes, spans: Iterable[Span], mark: Replace) -> bytes:
    """Like ``redact_bytes``, but a number with a span becomes a string."""
    return _patched_text(raw, list(spans), mark, _NONE)


def mask_value(payload: Any, spans: Iterable[Span], mark: Replace) -> Any:
    """Like ``redact_value``, but a number with a span becomes a string."""
    return _patched_copy(payload, spans, mark, _NONE)


def marked(spans: Iterable[Span], mark: Replace) -> dict[Path, str]:
    """The texts of the leaves that hold ``spans``, by path, with every stretch replaced."""
    return {path: str(change.new()) for (path, is_key), change in _changes(spans, mark).items() if not is_key}


def _patched_text(raw: bytes, spans: Sequence[Span], mark: Replace, values: Mapping[Path, Any]) -> bytes:
    if spans and spans[0].leaf.is_text and not spans[0].leaf.path and raw.decode("utf-8", "replace") == spans[0].leaf.text:
        return marked(spans, mark)[()].encode()
    changes = _changes(spans, mark, values)
    if any(is_key for _, is_key in changes):
        # As ``locate`` reads it; of numbers, some of which Python refuses, nothing is asked.
        _keep_keys_apart(changes, json.loads(raw.decode("utf-8", "replace").removeprefix("\ufeff"), parse_int=str))
    places: dict[Place, list[tuple[int, int]]] = defaultdict(list)
    for path, is_key, start, end in occurrences(raw, changes) if changes else ():
        if not is_key:
            places[path, is_key].clear()
        places[path, is_key].append((start, end))
    _require_all(changes.keys() - places.keys())
    parts: list[bytes] = []
    done = 0
    for start, end, place in sorted((*edges, place) for place, found in places.items() for edges in found):
        parts += (raw[done:start], _patched(raw[start:end], changes[place]))
        done = end
    return b"".join((*parts, raw[done:]))


def _patched_copy(payload: Any, spans: Iterable[Span], mark: Replace, values: Mapping[Path, Any]) -> Any:
    changes = _changes(spans, mark, values)
    _keep_keys_apart(changes, payload)
    touched = {path[:length] for path, is_key in changes for length in range(len(path) + (not is_key))}
    copied = _copy(payload, (), changes, touched)
    _require_all(changes)
    return copied


def _copy(value: Any, path: Path, changes: Changes, touched: set[Path]) -> Any:
    """Recursion is safe here: what is deeper than ``JSON_DEPTH_MAX`` was refused when it was parsed."""
    if path not in touched:
        return value
    if isinstance(value, dict):
        copied = {}
        for key, child in value.items():
            change = changes.pop(((*path, key), True), None)
            copied[change.new() if change else key] = _copy(child, (*path, key), changes, touched)
        return copied
    if isinstance(value, list):
        return [_copy(child, (*path, index), changes, touched) for index, child in enumerate(value)]
    change = changes.pop((path, False), None)
    return change.new() if change else value


def _patched(literal: bytes, change: _Replacement | _Other) -> bytes:
    """A JSON literal with its stretches replaced. A number becomes a string; what is not UTF-8 is written anew."""
    if isinstance(change, _Other):
        return json.dumps(change.value).encode()
    is_text = literal.startswith(b'"')
    if is_text and decoded(literal) != change.old:
        raise ValueError("a span was found in another text than this one")
    if not is_text or not _is_utf8(literal):
        return json.dumps(change.new()).encode()
    edges = iter(_byte_offsets(literal, [edge for start, end, _ in change.stretches for edge in (start, end)]))
    parts: list[bytes] = []
    done = 0
    for _, _, text in change.stretches:
        start, end = next(edges), next(edges)
        parts += (literal[done:start], json.dumps(text)[1:-1].encode())
        done = end
    return b"".join((*parts, literal[done:]))


def _is_utf8(literal: bytes) -> bool:
    try:
        literal.decode()
    except UnicodeDecodeError:
        return False
    return True


def _byte_offsets(literal: bytes, chars: Sequence[int]) -> list[int]:
    """Where in a string literal (quotes included) the characters at ``chars``, ascending, of its text begin."""
    offsets = []
    wide = _WIDE.finditer(literal)
    ahead = next(wide, None)
    byte, char = 1, 0
    for wanted in chars:
        while ahead is not None and char + ahead.start() - byte < wanted:
            char += ahead.start() - byte + 1
            byte = ahead.end()
            ahead = next(wide, None)
        offsets.append(byte + wanted - char)
    return offsets


def _changes(spans: Iterable[Span], mark: Replace, values: Mapping[Path, Any] = _NONE) -> Changes:
    """The spans of each leaf as stretches; overlapping ones joined and marked as the longest."""
    by_place: dict[Place, list[Span]] = defaultdict(list)
    for span in spans:
        by_place[span.leaf.path, span.leaf.is_key].append(span)
    changes: Changes = {(path, False): _Other(value) for path, value in values.items()}
    for place, group in by_place.items():
        joined: list[tuple[int, int, Span]] = []
        for span in sorted(group, key=lambda each: (each.start, -each.end, -each.confidence, each.kind)):
            if joined and span.start < joined[-1][1]:
                start, end, longest = joined.pop()
                longer = span if span.end - span.start > longest.end - longest.start else longest
                joined.append((start, max(end, span.end), longer))
            else:
                joined.append((span.start, span.end, span))
        stretches = tuple((start, end, mark(longest)) for start, end, longest in joined)
        changes[place] = _Replacement(group[0].leaf.text, stretches)
    return changes


def _keep_keys_apart(changes: Changes, payload: Any) -> None:
    """Put a number behind a changed key that equals another one of its object, since parsers keep one of two such keys."""
    for parent in {path[:-1] for path, is_key in changes if is_key}:
        siblings = payload
        for step in parent:
            siblings = siblings[step]
        taken = {key for key in siblings if ((*parent, key), True) not in changes}
        numbers: dict[str, int] = defaultdict(lambda: 1)
        for key in siblings:
            place = ((*parent, key), True)
            if not isinstance(change := changes.get(place), _Replacement):
                continue
            name = base = change.new()
            while name in taken:
                numbers[base] += 1
                name = f"{base} {numbers[base]}"
            taken.add(name)
            if name != base:
                end = (len(key), len(key), name.removeprefix(base))
                changes[place] = replace(change, stretches=(*change.stretches, end))


def _split_whole(spans: Iterable[Span], values: Mapping[Path, Any]) -> tuple[dict[Path, Any], list[Span]]:
    """What is replaced as a whole, and the spans of what is not."""
    others, rest = dict(values), []
    for span in spans:
        if span.leaf.path in others and not span.leaf.is_key:
            continue
        if span.leaf.is_text:
            rest.append(span)
        elif span.leaf.path[:2] == STRUCTURED:
            others[span.leaf.path] = 0
        else:
            raise ValueError("a number cannot be redacted in place; block the message, or mask it")
    return others, rest


def _require_all(missing: Iterable[Place]) -> None:
    if any(True for _ in missing):
        raise ValueError("a span is not in this message")

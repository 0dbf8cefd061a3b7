"""Finds text of definitions that a model reads and a person does not see, beyond what the injection detectors find.

A definition is short and written for one purpose, so that here a single invisible letter or any order in a comment counts,
which in a web page would mean nothing. What is found is a signal, not proof.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sidecar import limits

Sign = Literal["invisible", "control", "comment", "block", "unseen-style", "far-below"]


@dataclass(frozen=True, slots=True)
class Hidden:
    """A stretch ``text[start:end]`` that people do not see.

    ``said`` is what it reads like, with every invisible character as its code point, cut to a line.
    """

    sign: Sign
    start: int
    end: int
    said: str


_SAID_CHARS: Final = 120
_INNER_CHARS: Final = 1_000

_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_INVISIBLE: Final = re.compile("[\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\u180e\u034f\u115f\u1160\u3164\uffa0\u00ad]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]+")
_JOINERS: Final = frozenset("\u200b\u200c\u200d\u00ad\ufeff")
"""Signs with a use of their own: in scripts without spaces, in emoji, at ends of lines, at the start of a file."""

_ORDER: Final = re.compile(
    r"""\b(?:ignore|disregard|forget|override|bypass|pretend)\s+
      (?:the|all|any|every|previous|prior|above|earlier|other|your|these|this|that|what|to|instructions?|rules?|safety)\b
    |\b(?:you|the\ (?:assistant|agent|model|ai|llm))\s+(?:must|should|shall|will|have\ to|need\ to|are\ (?:required|to))\b
    |\b(?:do\ not|don['’]t|never|always|make\ sure|be\ sure|remember\ to|it\ is\ (?:required|mandatory|important)|must)\b
    |\b(?:before|after|instead\ of|when(?:ever)?)\s+(?:using|calling|invoking|running|answering|responding|you)\b
    |\b(?:read|send|include|pass|append|attach|forward|upload|post|call|execute|run|invoke|use|add|copy|write|reveal|print)\s+
      (?:the|all|its|your|their|this|that|these|it|them|any|every|each|an?|contents?|to|~|/|https?:|user|system|\w+_\w+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Words by which a text tells a model to do something."""
_OPENS: Final = re.compile(
    r"<!--|\[(?:INST|SYSTEM|HIDDEN|IMPORTANT)\]|<\s{0,3}([A-Za-z]{1,20})\b([^<>]{0,300})>", re.IGNORECASE
)
_BLOCKS: Final = frozenset(
    "important system secret hidden instruction instructions admin priority critical override assistant developer sys inst "
    "directive internal private mandatory prerequisite attention".split()
)
"""Names of tags that no page has, by which texts speak to a model."""
_STYLE: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])|\bhidden\b"
    r"|\bcolor\s*:\s*(?:white|transparent)",
    re.IGNORECASE,
)
_BLANK: Final = re.compile(r"\s{20,}")
_BLANK_LINES, _BLANK_CHARS = 20, 120


def find_hidden(text: str) -> Iterator[Hidden]:
    """Finds what of ``text`` is hidden, kind by kind; its time is linear in the length of ``text``."""
    if not text.isascii():
        yield from _unseen(text)
    for found in _CONTROL.finditer(text):
        yield Hidden("control", *found.span(), to_line(found[0]))
    yield from _markup(text)


def _unseen(text: str) -> Iterator[Hidden]:
    """Characters that render as nothing."""
    for found in _INVISIBLE.finditer(text):
        if not _has_a_use(text, *found.span()):
            yield Hidden("invisible", *found.span(), _around(text, *found.span()))


def _has_a_use(text: str, start: int, end: int) -> bool:
    """Whether an invisible character does what it is there for, rather than hide or split a word."""
    sign = text[start:end]
    if sign == "\ufeff" and start == 0:
        return True
    if len(sign) > 1 or sign not in _JOINERS:
        return False
    before, after = text[start - 1 : start], text[end : end + 1]
    if sign == "\u00ad":
        return before.isalpha() and after.isalpha()
    return any(each > "\u0590" and not "\u2000" <= each <= "\u206f" for each in (before, after) if each)


def _markup(text: str) -> Iterator[Hidden]:
    """What a page shown to people would leave out or put out of sight, where it gives orders."""
    for count, (found, sign) in enumerate(_openings(text), 1):
        if count > limits.HIDDEN_PLACES_MAX:
            yield Hidden(
                sign, found.start(), len(text), f"more than {limits.HIDDEN_PLACES_MAX} places that a page would not show"
            )
            return
        inner = text[found.end() : found.end() + _INNER_CHARS].partition("-->" if sign == "comment" else "</")[0]
        if _ORDER.search(inner):
            yield Hidden(sign, found.start(), found.end() + len(inner), to_line(found[0] + inner))
    for found in _BLANK.finditer(text):
        is_far = found[0].count("\n") >= _BLANK_LINES or ("\n" not in found[0] and len(found[0]) >= _BLANK_CHARS)
        # Cells of a table are padded too.
        inner = text[found.end() : found.end() + _INNER_CHARS] if is_far and text[found.end() : found.end() + 1] != "|" else ""
        if inner and _ORDER.search(inner):
            yield Hidden("far-below", found.start(), found.end() + len(inner), to_line(inner))


def _openings(text: str) -> Iterator[tuple[re.Match[str], Sign]]:
    for found in _OPENS.finditer(text):
        if found[0] == "<!--":
            yield found, "comment"
        elif found[1] is None or found[1].lower() in _BLOCKS:
            yield found, "block"
        elif _STYLE.search(found[2]):
            yield found, "unseen-style"


def show_invisible(text: str) -> str:
    """``text`` with every character that shows nothing, or reorders, as its code point: ``a<U+200B>b``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in "\n\t" or _is_seen(each) else f"<U+{ord(each):04X}>" for each in text)


def _is_seen(letter: str) -> bool:
    return letter.isprintable() and not _SELECTORS.match(letter * 2) and not _INVISIBLE.match(letter)


def _around(text: str, start: int, end: int) -> str:
    return to_line(text[max(0, start - 20) : end + 40])


def to_line(text: str) -> str:
    """Text as one line that shows all of it, cut to what one can read."""
    said = " ".join(show_invisible(text[: _SAID_CHARS * 4]).split())
    return said if len(said) <= _SAID_CHARS else said[:_SAID_CHARS] + "…"

"""JSON inside a text of JSON, as tools send results: what a value there is once its escapes are undone, and written again."""

import json
import re
from bisect import bisect_right
from typing import Final

import orjson

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_DEPTH_MAX: Final = 3
"""JSON in JSON in JSON: each level doubles backslashes, and no tool was seen to go deeper."""


class Nested:
    """The texts of one message, each read as JSON at most once."""

    __slots__ = ("_strings",)

    def __init__(self) -> None:
        self._strings: dict[str, list[tuple[int, int]] | None] = {}

    def unescape(self, text: str, start: int, end: int) -> str:
        """``text[start:end]`` as it is without the escapes of the JSON it stands in."""
        value = text[start:end]
        if "\\" in value:
            for _ in range(self._depth(text, start, end)):
                value = json.loads(f'"{value}"')
        return value

    def escape(self, value: str, text: str, start: int, end: int) -> str:
        """A value as it has to be written in place of ``text[start:end]``."""
        if _quoted(value) != value:
            for _ in range(self._depth(text, start, end)):
                value = _quoted(value)
        return value

    def is_bare(self, text: str, start: int, end: int) -> bool:
        """Whether ``text`` is JSON in which ``text[start:end]`` is a whole number and no part of a string."""
        beside = text[max(0, start - 1) : start] + text[end : end + 1]
        if not text[start:end].isdecimal() or any(each.isalnum() or each in ".-+_\"'" for each in beside):
            return False
        return self._strings_of(text) is not None and self._literal_around(text, start, end) is None

    def _depth(self, text: str, start: int, end: int) -> int:
        """In how many layers of quoted JSON a stretch stands; 0 in a text that is none."""
        depth = 0
        while depth < _DEPTH_MAX and (literal := self._literal_around(text, start, end)) is not None:
            try:
                before, within = json.loads(f'"{text[literal[0] + 1 : start]}"'), json.loads(f'"{text[start:end]}"')
                text = json.loads(text[slice(*literal)])
            except ValueError:
                break
            start, end = len(before), len(before) + len(within)
            depth += 1
        return depth

    def _literal_around(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """The string literal of a JSON text that holds a stretch, quotes included."""
        strings = self._strings_of(text) or []
        index = bisect_right(strings, (start, 0)) - 1
        return strings[index] if index >= 0 and strings[index][0] < start and end < strings[index][1] else None

    def _strings_of(self, text: str) -> list[tuple[int, int]] | None:
        """Where in a JSON text the string literals stand; None for a text that is none."""
        if text not in self._strings:
            is_json = text.lstrip()[:1] in ("{", "[") and _is_json(text)
            self._strings[text] = [found.span() for found in _STRING.finditer(text)] if is_json else None
        return self._strings[text]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True

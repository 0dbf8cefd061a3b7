"""Makes recorded text safe to display: nothing in it can control a terminal, hide, or reorder what is read."""

import json
import re
from typing import Final

from sidecar.limits import JSON_DEPTH_MAX

_INVISIBLE: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0") | {
    chr(code) for code in (*range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0))
}
"""Characters that count as printable but show nothing; the emoji selector U+FE0F is left out."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_INDENT: Final = "  "


class _Visible(dict[int, str]):
    """Filled on demand by ``str.translate``: maps a character to itself or to its escape."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if char.isprintable() and char not in _INVISIBLE else escape(char)
        return self[code]


_LINE: Final = _Visible()
_LINES: Final = _Visible({ord("\n"): "\n", ord("\t"): "\t"})


def visible(text: str) -> str:
    """``text`` on one line, with every control, bidirectional or invisible character as its escape (``\\u202e``)."""
    return text if text.isascii() and text.isprintable() else text.translate(_LINE)


def visible_lines(text: str) -> str:
    """As ``visible``, but line ends and tabs are kept."""
    return text.replace("\r\n", "\n").translate(_LINES)


def escape(char: str) -> str:
    """The escape of one character, as JSON and Python write it."""
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def pretty(text: str) -> tuple[str, bool]:
    """A payload for reading, and whether it is JSON.

    JSON is split into lines without being rewritten: numbers keep their digits, keys their order and duplicates,
    strings their escapes. Anything else, and JSON deeper than ``JSON_DEPTH_MAX``, is returned as it is.
    """
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return visible_lines(text), False
    broken = _broken_into_lines(text)
    return visible_lines(text if broken is None else broken), True


def _broken_into_lines(text: str) -> str | None:
    parts: list[str] = []
    depth = 0
    before = ""
    for token in _TOKEN.findall(text):
        if token in ("}", "]"):
            depth -= 1
            parts.append(token if before in ("{", "[") else "\n" + _INDENT * depth + token)
        else:
            if before in ("{", "[", ","):
                parts.append("\n" + _INDENT * depth)
            parts.append(": " if token == ":" else token)
            depth += token in ("{", "[")
        if depth > JSON_DEPTH_MAX:
            return None
        before = token
    return "".join(parts)

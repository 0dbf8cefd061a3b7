"""Where in a JSON text the strings and numbers of a parsed value stand, so that they can be changed in place."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from typing import Final

from sidecar.events import Path

Place = tuple[Path, bool]
"""A path, and whether the object key at its end is meant rather than the value."""

_TOKEN: Final = re.compile(
    rb"""[ \t\n\r]*+(?:
        (?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+")
        |(?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null|NaN|-?Infinity)
        |(?P<sign>[][{},:])
    )""",
    re.VERBOSE,
)
_LETTERS: Final[dict[str | None, str]] = {"string": "k", "scalar": "v"}

_VALUE, _MEMBER_OR_END, _KEY, _KEY_OR_END = "vk[{", "vk[{]", "k", "k}"
_COLON, _IN_ARRAY, _IN_OBJECT, _END = ":", ",]", ",}", ""
"""What may come next, as the letters of the tokens: ``k`` a string, ``v`` another scalar, else the sign itself."""


def locate(raw: bytes, paths: Collection[Place]) -> dict[Place, tuple[int, int]]:
    """The byte range of the literal (a string's with its quotes) of each of ``paths`` that ``raw`` has.

    This reads what ``json.loads`` reads: RFC 8259 and ``NaN``, in UTF-8 in which wrong bytes stand for U+FFFD, after a byte
    order mark or none; of duplicate keys the last one counts. Raises ``ValueError`` naming the byte when it is not JSON.
    """
    return {(path, is_key): (start, end) for path, is_key, start, end in occurrences(raw, paths)}


def occurrences(raw: bytes, paths: Collection[Place]) -> Iterator[tuple[Path, bool, int, int]]:
    """Like ``locate``, every occurrence in the order of the text: path, whether it is a key, start and end byte."""
    path: list[str | int] = []
    expected, at = _VALUE, len(BOM_UTF8) if raw.startswith(BOM_UTF8) else 0
    while expected:
        token = _TOKEN.match(raw, at)
        if token is None or (letter := _LETTERS.get(token.lastgroup) or chr(raw[token.end() - 1])) not in expected:
            raise ValueError(f"not JSON at byte {at}")
        at = token.end()
        if letter == ":":
            expected = _VALUE
        elif letter == ",":
            if expected == _IN_ARRAY:
                path[-1] = int(path[-1]) + 1
            expected = _VALUE if expected == _IN_ARRAY else _KEY
        elif letter in "[{":
            path.append(0 if letter == "[" else "")
            expected = _MEMBER_OR_END if letter == "[" else _KEY_OR_END
        elif letter == "k" and expected in (_KEY, _KEY_OR_END):
            path[-1] = decoded(token["string"])
            if (place := (tuple(path), True)) in paths:
                yield *place, token.start("string"), at
            expected = _COLON
        else:
            if letter in "]}":
                path.pop()
            elif (place := (tuple(path), False)) in paths:
                yield *place, token.start(token.lastgroup or 0), at
            expected = _END if not path else _IN_ARRAY if type(path[-1]) is int else _IN_OBJECT
    if raw[at:].strip(b" \t\n\r"):
        raise ValueError(f"not JSON at byte {at}")


def decoded(literal: bytes) -> str:
    """The text of a string literal."""
    text = literal.decode("utf-8", "replace")
    return str(json.loads(text)) if "\\" in text else text[1:-1]

"""Where in a JSON text the strings and numbers of a parsed value stand, so that they can be changed in place."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from typing import Any, Final

from sidecar.events import Path

Place = tuple[Path, bool]
"""A path, and whether the object key at its end is meant rather than the value."""

_BLANK: Final = r"[ \t\n\r]*+"
_STRING: Final = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
_EMPTY: Final = rf"\[{_BLANK}\]|\{{{_BLANK}\}}"

_KEY: Final = re.compile(rf"{_BLANK}({_STRING}){_BLANK}:".encode())
_VALUE: Final = re.compile(rf"{_BLANK}({_STRING}|{_NUMBER}|true|false|null|NaN|-?Infinity|{_EMPTY}|[\[{{])".encode())
_AFTER: Final = re.compile(rf"{_BLANK}([\]}},])".encode())
_CLOSING: Final = {b"[": b"]", b"{": b"}"}


def locate(raw: bytes, paths: Collection[Place]) -> dict[Place, tuple[int, int]]:
    """The byte range of the literal (a string's with its quotes) of each of ``paths`` that ``raw`` has.

    This reads what ``json.loads`` reads: RFC 8259 and ``NaN``, in UTF-8 in which wrong bytes stand for U+FFFD, after a byte
    order mark or none; of duplicate keys the last one counts. Raises ``ValueError`` naming the byte when it is not JSON.
    """
    return {(path, is_key): (start, end) for path, is_key, start, end in occurrences(raw, paths)}


def occurrences(raw: bytes, paths: Collection[Place]) -> Iterator[tuple[Path, bool, int, int]]:
    """Like ``locate``, every occurrence in the order of the text: path, whether it is a key, start and end byte."""
    ways = {path[:length] for path, _ in paths for length in range(len(path))}
    steps: list[Any] = []
    opened: list[tuple[bytes, bool]] = []
    at = len(BOM_UTF8) if raw.startswith(BOM_UTF8) else 0
    while True:
        bracket, is_way = opened[-1] if opened else (b"", True)
        if bracket == b"{":
            key = _match(_KEY, raw, at)
            at = key.end()
            if is_way:
                steps[-1] = decoded(key[1])
                if (place := (tuple(steps), True)) in paths:
                    yield *place, *key.span(1)
        value = _match(_VALUE, raw, at)
        at = value.end()
        if (text := value[1]) in _CLOSING:
            opened.append((text, is_way and tuple(steps) in ways))
            steps.append(0)
            continue
        if is_way and (place := (tuple(steps), False)) in paths:
            yield *place, *value.span(1)
        while opened:
            sign = _match(_AFTER, raw, at)
            at = sign.end()
            bracket = opened[-1][0]
            if sign[1] == b",":
                if bracket == b"[":
                    steps[-1] += 1
                break
            if sign[1] != _CLOSING[bracket]:
                raise _not_json(at - 1)
            opened.pop()
            steps.pop()
        else:
            break
    if raw[at:].strip(b" \t\n\r"):
        raise _not_json(at)


def decoded(literal: bytes) -> str:
    """The text of a string literal."""
    text = literal.decode("utf-8", "replace")
    return str(json.loads(text)) if "\\" in text else text[1:-1]


def _match(pattern: re.Pattern[bytes], raw: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(raw, at)
    if found is None:
        raise _not_json(at)
    return found


def _not_json(at: int) -> ValueError:
    return ValueError(f"not JSON at byte {at}")

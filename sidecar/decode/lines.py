"""Lines of stdio: which are messages, which are stray text, and which one reader may take for what another does not.

MCP sends one message a line (stdio transport, every revision). Readers differ in what ends a line: LF alone, a bare CR too
(Python's text files, Java), U+2028 and U+2029 too (Node's readline), all that ``splitlines`` of Python splits at, or nothing
but the end of a JSON value (Go).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from sidecar.decode.jsonrpc import SKIPPED, read_leniently

_ENDS: Final = re.compile(rb"[\r\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9]")
_BLANK: Final = re.compile(rb"(?:\x1b|" + SKIPPED + rb")*+")
_VALUES: Final = re.compile(rb'(?:"|-?\d|true|false|null).*[{\[]', re.DOTALL)
"""A scalar, and behind it what may be an object: readers without lines take both, one after the other."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a server's line is to a client: a message with its ``value``, ``stray`` text, or ``unreadable`` for sure."""

    kind: Literal["message", "stray", "unreadable"]
    value: Any = None


STRAY: Final = Line("stray")
UNREADABLE: Final = Line("unreadable")


def is_stray_to_server(body: bytes) -> bool:
    """Whether no server could take any part of a client's line for a message, however it splits lines.

    Whatever begins like JSON is none to us only because we read more strictly than servers do.
    """
    return not any(_may_be_message(part) for part in _parts(body))


def one_line(body: bytes) -> bytes:
    """A message without bare CR, which stands only between tokens and would end the line for some readers."""
    return body.replace(b"\r", b" ") if b"\r" in body else body


def from_server(body: bytes) -> Line:
    """What a client may make of a server's line, without its end; clients read more leniently than servers."""
    start = _blank_bytes(body)
    if body[start : start + 1] in (b"{", b"["):
        value = read_leniently(body)
        if not isinstance(value, str):
            return Line("message", value)
    elif not _ENDS.search(body):
        return STRAY
    return UNREADABLE if any(_begins_message(part) for part in _parts(body)) else STRAY


def _parts(body: bytes) -> Iterator[bytes]:
    for part in _ENDS.split(body):
        if stripped := part[_blank_bytes(part) :]:
            yield stripped


def _blank_bytes(part: bytes) -> int:
    blank = _BLANK.match(part)
    return blank.end() if blank else 0


def _may_be_message(part: bytes) -> bool:
    if part[:1] == b"[":
        # Log lines begin so, batches too. What is no JSON as UTF-8 may be some in UTF-16, where every other byte is zero.
        return part[1:2] == b"\0" or _begins_message(part)
    return part[:1] == b"{" or _VALUES.match(part) is not None


def _begins_message(part: bytes) -> bool:
    """Whether a part begins with a whole JSON object or array, or is the beginning of one that a next line may end."""
    if part[:1] not in (b"{", b"["):
        return False
    text = part.decode("utf-8", "replace")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except RecursionError:
        return True
    except ValueError:
        return _is_beginning(part)
    return isinstance(value, dict) or any(isinstance(each, dict) for each in value)


def _is_beginning(part: bytes) -> bool:
    """Whether the text is JSON as far as it goes, and only its end is missing."""
    text = part.decode("utf-8", "replace").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (RecursionError, ValueError):
        return True
    return True


def id_of(head: bytes, tail: bytes) -> Any:
    """The id of an answer of which only both ends are known, or None; SDKs write it first or last."""
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return orjson.loads(found.group(1)) if found else None


_ID: Final = rb'"id"\s*:\s*("(?:[^"\\]|\\.){0,300}"|-?\d{1,18})'
_ID_FIRST: Final = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID + rb"\s*,")
_ID_LAST: Final = re.compile(rb',\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID + rb'\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')

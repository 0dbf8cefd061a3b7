"""Heads of HTTP/1.1 requests in their plain form, read so narrowly that no two readers could differ (RFC 9112 §2–6).

Whatever is not in this form (another version, a body in chunks, a header twice that must stand once, an upgrade, a proxy's
request) raises ``Unusual``, and a full HTTP implementation reads the same bytes again from their beginning.
"""

import re
from dataclasses import dataclass
from typing import Final

from sidecar import limits

_REQUEST_LINE: Final = re.compile(r"(POST|GET|DELETE|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.1")
_FIELDS: Final = re.compile(r"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+)*+")
_TEXT: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*+")
_END: Final = b"\r\n\r\n"
_UNUSUAL: Final = frozenset(
    ("transfer-encoding", "expect", "upgrade", "te", "trailer", "http2-settings", "proxy-authorization")
)
_ONCE: Final = frozenset(
    ("host", "content-length", "content-type", "content-encoding", "connection", "origin", "authorization")
)

Fields = list[tuple[str, str]]


class Unusual(Exception):
    """The request is not in the plain form; it may be perfectly good HTTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request. ``size`` is its length with the empty line, ``body_bytes`` that of the body that follows."""

    method: str
    path: str
    fields: Fields
    headers: dict[str, str]
    size: int
    body_bytes: int


def request_head(data: bytes | bytearray) -> Head | None:
    """The head ``data`` begins with, or None while its end has not arrived.

    Raises:
        Unusual: the head is not in the plain form, or too long.
    """
    end = data.find(_END, 0, limits.HEADER_BYTES_MAX)
    if end < 0:
        if len(data) >= limits.HEADER_BYTES_MAX or not data[:1].isalpha() or b"\n\n" in data:
            raise Unusual
        return None
    text = data[:end].decode("latin-1")
    line = _REQUEST_LINE.match(text)
    if line is None or _FIELDS.fullmatch(text, line.end()) is None:
        raise Unusual
    fields: Fields = []
    for each in text[line.end() + 2 :].split("\r\n"):
        name, _, value = each.partition(":")
        fields.append((name, value.strip(" \t")))
    headers = by_name(fields)
    length = headers.get("content-length", "0")
    if "host" not in headers or not headers.keys().isdisjoint(_UNUSUAL) or not (length.isascii() and length.isdigit()):
        raise Unusual
    if len(headers) != len(fields) and any(_is_twice(name, fields) for name in _ONCE):
        raise Unusual
    connection = headers.get("connection", "keep-alive").lower()
    if connection not in ("keep-alive", "close") or len(length) > 12 or int(length) > limits.REQUEST_BYTES_MAX:
        raise Unusual
    return Head(line[1], line[2], fields, headers, end + len(_END), int(length))


def is_sound(status: int, reason: str, fields: Fields) -> bool:
    """Whether the head of a response can be read in one way only (RFC 9112 §4, RFC 9110 §5.5).

    Parsers let control characters pass in a reason phrase or a value, or a status of more digits than three, and strict
    clients then read no response at all.
    """
    return 100 <= status <= 999 and _TEXT.fullmatch(reason) is not None and all(_TEXT.fullmatch(value) for _, value in fields)


def by_name(fields: Fields) -> dict[str, str]:
    """Fields by lower-case name; a name that stands several times has all its values, as RFC 9110 §5.3 joins them."""
    headers: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def head_bytes(first_line: str, fields: Fields) -> bytes:
    """A head as it goes onto the wire."""
    return "".join([first_line, "\r\n", *[f"{name}: {value}\r\n" for name, value in fields], "\r\n"]).encode("latin-1")


def _is_twice(name: str, fields: Fields) -> bool:
    return sum(each.lower() == name for each, _ in fields) > 1

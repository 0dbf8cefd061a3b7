"""The formats of JSON Schema (2020-12 validation §7.3): what has one, and a sample value that reveals nothing."""

from typing import Any, Final

import re2

_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DATE: Final = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME: Final = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_URI: Final = r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\[\]<>\"{}|\\^`]*"

_FORMATS: Final = {
    name: (re2.compile(rf"(?:{pattern})\z"), sample)
    for names, pattern, sample in (
        ("email idn-email", rf"[^\s@\[\]]{{1,64}}@{_HOST}", "redacted@redacted.invalid"),
        ("date", _DATE, "1970-01-01"),
        ("time", _TIME, "00:00:00Z"),
        ("date-time", rf"{_DATE}[Tt ]{_TIME}", "1970-01-01T00:00:00Z"),
        ("duration", r"P(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)", "P0D"),
        ("uri iri url", _URI, "https://redacted.invalid/"),
        ("uri-reference iri-reference uri-template", r"[^\s\[\]<>\"|\\^`]*", "https://redacted.invalid/"),
        ("hostname idn-hostname", _HOST, "redacted.invalid"),
        ("ipv4", r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|\z)){4}", "192.0.2.0"),
        ("ipv6", r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", "2001:db8::"),
        ("uuid", r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "00000000-0000-0000-0000-000000000000"),
        ("json-pointer", r"(?:/(?:[^~]|~[01])*)?", ""),
        ("relative-json-pointer", r"\d+(?:#|(?:/(?:[^~]|~[01])*)?)", "0"),
        ("regex", r"[A-Za-z0-9]*", "x"),
        ("byte", r"[A-Za-z0-9+/]*={0,2}", "AAAA"),
    )
    for name in names.split()
}  # fmt: skip

SAMPLES: Final = tuple(dict.fromkeys(sample for _, sample in _FORMATS.values() if sample))
"""One value of every format, in the names and addresses that are kept for examples (RFC 2606, RFC 5737, RFC 3849)."""


def has_format(name: Any, text: str) -> bool:
    """Whether a text has a format. An unknown name accepts any text, as validators do."""
    known = _FORMATS.get(name) if isinstance(name, str) else None
    return known is None or known[0].match(text) is not None


def sample_of(name: Any) -> str | None:
    """A value of a format."""
    known = _FORMATS.get(name) if isinstance(name, str) else None
    return known[1] if known else None

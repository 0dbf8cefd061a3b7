"""The charset a ``Content-Type`` names, and what it means for a text that has to be UTF-8 (RFC 9110 §8.3, RFC 8259 §8.1)."""

import re
from typing import Final

_UTF8: Final = re.compile(r'[^;]*;\s*charset="?(utf-8|utf8|us-ascii)"?\s*', re.IGNORECASE)

_NAMED: Final = re.compile(r';\s*charset\s*=\s*"?([^;"\s]*)')
_ASCII_LIKE: Final = frozenset(("utf-8", "utf8", "us-ascii", "iso-8859-1", "latin1", "windows-1252"))


def is_utf8(content_type: str) -> bool:
    """Whether every reader of this ``Content-Type`` decodes the body as UTF-8: it names no charset, or only UTF-8 or ASCII."""
    return "charset" not in content_type.lower() or _UTF8.fullmatch(content_type) is not None


def named_charsets(content_type: str) -> list[str] | None:
    """The charsets that a ``Content-Type`` in lower case names; None where it names one in a way that readers differ about."""
    charsets = _NAMED.findall(content_type)
    return charsets if content_type.count("charset") == len(charsets) <= 1 else None


def is_ascii_like(charset: str) -> bool:
    """Whether JSON begins with the same bytes in this charset as in UTF-8, so that a body that does not is none."""
    return charset in _ASCII_LIKE

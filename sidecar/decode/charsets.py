"""The charset a ``Content-Type`` names, and what it means for a text that has to be UTF-8 (RFC 9110 §8.3, RFC 8259 §8.1)."""

import re
from typing import Final

_UTF8: Final = re.compile(r'[^;]*;\s*charset="?(utf-8|utf8|us-ascii)"?\s*', re.IGNORECASE)


def is_utf8(content_type: str) -> bool:
    """Whether every reader of this ``Content-Type`` decodes the body as UTF-8: it names no charset, or only UTF-8 or ASCII."""
    return "charset" not in content_type.lower() or _UTF8.fullmatch(content_type) is not None

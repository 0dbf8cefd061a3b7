"""JSON read and written with every number's own digits, for the few messages that are rebuilt rather than patched.

``1e400``, ``1.0000000000000000001`` and ``-0.0`` all change under a plain load and dump; here a number is carried as its text.
"""

import json
import re
import secrets
from typing import Any

import orjson

_TOKEN = "\ue000" + secrets.token_hex(8) + "\ue001"
"""Marks a string as a number's digits. Drawn at start, so that no message can hold it."""
_MARKED = re.compile(f'"{_TOKEN}([^"]*)"')


def loads(text: str | bytes) -> Any:
    """The value of a JSON text; numbers come back as marked strings, so the value is only good for ``dumps``.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.loads(text, parse_int=_marked, parse_float=_marked, parse_constant=_marked)


def dumps(value: Any) -> bytes:
    """A value from ``loads`` as compact JSON. What is not ASCII is escaped, so lone surrogates survive."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _escaped(_MARKED.sub(r"\1", text)).encode()


def members(data: bytes) -> list[bytes]:
    """The members of a JSON array as bytes of their own; what is not UTF-8 is read as clients do.

    Raises:
        ValueError: the text is not JSON.
    """
    return [dumps(member) for member in loads(data.decode("utf-8", "replace").removeprefix("\ufeff"))]


def canonical(value: Any) -> bytes:
    """A message of ours as JSON; an id it repeats may be an integer of any size."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return dumps(value)


def _marked(digits: str) -> str:
    return _TOKEN + digits


def _escaped(text: str) -> str:
    if text.isascii():
        return text
    return "".join(each if ord(each) < 0xD800 or ord(each) > 0xDFFF else f"\\u{ord(each):04x}" for each in text)

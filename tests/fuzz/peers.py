"""How other programs read the same bytes: the JSON and event-stream parsers that clients and servers are built on.

Each reading is one that was measured with a real client or server. What is passed on must say the same to all of them, or
hold nothing that a policy withholds in any of them.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pydantic_core

from sidecar.decode.locate import locate

_LITERAL: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LINES: Final = re.compile("\r\n|\n|\r")

NOTHING: Final = object()
"""What a parser reads that refuses the bytes."""


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _number(digits: str) -> int | float:
    """JavaScript's numbers never fail; of an integer with very many digits only that it is one is compared."""
    return int(digits) if len(digits) < 4000 else float("inf")


def _as_javascript(data: bytes) -> Any:
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_number)
    except RecursionError:
        # JSON.parse has no bound on depth. The strings are what could leak.
        locate(text.encode(), {})
        return [json.loads(literal) for literal in _LITERAL.findall(text)]


def _as_python(data: bytes) -> Any:
    # It would keep a surrogate that stands in the bytes, where others have U+FFFD; neither is a character.
    return json.loads(data.decode(json.detect_encoding(data), "replace"), parse_int=_number)


def _as_pydantic(data: bytes) -> Any:
    return pydantic_core.from_json(data)


READERS: Final[tuple[Callable[[bytes], Any], ...]] = (_as_javascript, _as_python, _as_pydantic)


def readings(data: bytes) -> list[Any]:
    """What each peer reads in ``data``; ``NOTHING`` where it refuses."""
    return [_read(reader, data) for reader in READERS]


def structures(data: bytes) -> list[Any]:
    """The readings that are an object or an array, as every message is."""
    return [value for value in readings(data) if isinstance(value, dict | list)]


def _read(reader: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return reader(data)
    except (ValueError, RecursionError):
        return NOTHING


def strictly(data: bytes) -> Any:
    """The value of strict JSON (RFC 8259) in which no object has two equal keys.

    Raises:
        ValueError: it is not.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        if len(value) != len(items):
            raise ValueError("equal keys")
        return value

    return json.loads(data.decode(), object_pairs_hook=pairs, parse_constant=_no_constant, parse_int=_number)


def is_same(one: Any, other: Any) -> bool:
    """Whether two readings say the same; numbers need only be equal as far as JavaScript tells them apart."""
    pending = [(one, other)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pending += [(value, other[key]) for key, value in one.items()]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pending += zip(one, other, strict=True)
        elif _is_number(one) and _is_number(other):
            if _float(one) != _float(other) and one == one:
                return False
        elif type(one) is not type(other) or one != other:
            return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def standard_lines(text: str) -> list[str]:
    """Lines as WHATWG HTML §9.2.6 has them; the last one is what has not ended."""
    return _LINES.split(text)


def python_lines(text: str) -> list[str]:
    """Lines as ``str.splitlines`` has them, by which httpx's ``aiter_lines`` goes, and older Python clients with it."""
    lines = text.splitlines(keepends=True)
    return [line.rstrip("\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029") for line in lines] + [""]


def events(text: str, lines_of: Callable[[str], list[str]] = standard_lines) -> Iterator[tuple[str, str, str | None]]:
    """Name, data and id of every event that is dispatched (WHATWG HTML §9.2.6)."""
    name, data = "", None
    cursor: str | None = None
    for line in lines_of(text)[:-1]:
        if not line:
            if data is not None or cursor is not None:
                yield name or "message", data or "", cursor
            name, data, cursor = "", None, None
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data = value if data is None else f"{data}\n{value}"
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            cursor = value


def messages_in(stream: bytes) -> set[str]:
    """Every text that any client takes for a message in an event stream: what the standard reads, and JSON that others read."""
    text = stream.decode("utf-8", "replace")
    # Some clients skip no byte order mark, some one, and JavaScript's skip a second one with the first.
    starts = {text, text.removeprefix("\ufeff"), text.removeprefix("\ufeff").removeprefix("\ufeff")}
    found = {data for start in starts for name, data, _ in events(start) if name == "message" and data}
    others = {data for start in starts for name, data, _ in events(start, python_lines) if name == "message"}
    return found | {data for data in others - found if structures(data.encode("utf-8", "surrogatepass"))}

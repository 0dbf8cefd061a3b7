"""Bytes to JSON-RPC messages, read exactly as the strictest peer reads them (JSON-RPC 2.0; RFC 8259).

What two parsers may read differently is refused here when it travels to a server: another encoding, a byte order mark, NaN,
two equal keys, nesting deeper than servers accept, an id that is not a string or an integer. What travels to a client is
read as leniently as clients do, because there the question is only what it says, not whether it is executed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from sidecar import limits
from sidecar.decode import lossless
from sidecar.events import Kind
from sidecar.outcomes import Anomaly

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
MISSPELT: Final = "a key of the message differs from JSON-RPC's only by its case"

_NAMES: Final = frozenset(("jsonrpc", "id", "method", "params", "result", "error", "name", "arguments", "uri"))

_NUMERIC_ID_CHARS_MAX: Final = 16
_EXACT_MAX: Final = 2**53
_ROUNDED_MAX: Final = 10**300

SKIPPED: Final = (
    rb"[\x00-\x1a\x1c-\x20\x7f\x85\xa0\xef\xbb\xbf\xff\xfe]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe1\xa0\x8e"
    rb"|\xe2\x80[\x80-\x8f\xa8-\xaf]|\xe2\x81[\x9f\xa0]|\xe3\x80\x80"
)
"""What some reader takes for blank and trims before it reads JSON: marks of byte order, and every space of Unicode.

``trim`` and ``strip`` of the common languages were put together; Java's also takes an escape, which begins coloured text.
"""

_BEFORE: Final = re.compile(rb"(?:" + SKIPPED + rb")*+[{\[]")
_KEY_END: Final = re.compile(rb'"[ \t\r\n]*:')

Id = str | int | None

Reason = Anomaly | Literal["refused", "failed"]
"""One word for why bytes are refused: what is odd about them, or that the sidecar or the server says so."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why bytes are not a message that may be passed on: a JSON-RPC error code, a stable word, and a sentence."""

    code: int
    reason: Reason
    text: str


class NotAMessage(Exception):
    """The bytes cannot be passed on as a JSON-RPC message; ``refusal`` says why."""

    def __init__(self, code: int, anomaly: Anomaly, text: str) -> None:
        self.anomaly = anomaly
        self.refusal = Refusal(code, anomaly, text)
        super().__init__(text)


def read_strictly(body: bytes) -> Any:
    """The JSON value of a request body.

    Raises:
        NotAMessage: the bytes are not strict UTF-8 JSON, or two peers could read them differently.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NotAMessage(PARSE_ERROR, "unparsable", "the body is not strict UTF-8 JSON") from None
    if not is_plainly_sound(body, value):
        keys = require_bounded(value)
        if _key_ends(body) != keys and _has_equal_keys(body):
            raise NotAMessage(INVALID_REQUEST, "duplicate-key", "an object in the body has the same key twice")
    for message in value if isinstance(value, list) else (value,):
        if is_misspelt(message):
            raise NotAMessage(INVALID_REQUEST, "misspelt-key", MISSPELT)
        if type(message) is dict and type(message.get("id")) is float:
            # An integer of more than 64 bits is read as a fraction, and an id must keep its digits.
            return json.loads(body, parse_int=bounded_int)
    return value


def require_bounded(value: Any) -> int:
    """How many object keys a value holds.

    Raises:
        NotAMessage: it is deeper or larger than servers read.
    """
    keys, members, depth = _measure(value)
    if depth > limits.JSON_DEPTH_MAX:
        raise NotAMessage(INVALID_REQUEST, "too-deep", f"the body is nested deeper than {limits.JSON_DEPTH_MAX} levels")
    if members > limits.JSON_LEAVES_MAX:
        raise NotAMessage(INVALID_REQUEST, "too-many", f"the body has more than {limits.JSON_LEAVES_MAX} members")
    return keys


def read_leniently(data: bytes) -> Any:
    """The JSON value of what a server sent, or the text itself where it is no JSON, so that it can be scanned all the same."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        return json.loads(text, parse_int=bounded_int)
    except (ValueError, RecursionError):
        return text


def parsed_bytes(data: bytes) -> int:
    """About how many bytes of memory a JSON text takes once it is parsed; a little too many where texts hold braces."""
    return 2 * len(data) + 232 * data.count(b"{") + 88 * data.count(b"[") + 40 * data.count(b",")


def looks_like_json(data: bytes) -> bool:
    """Whether a peer with another parser might read JSON in bytes that are none to us: in another encoding, or deeper."""
    return _BEFORE.match(data) is not None


def canonical_if_ambiguous(data: bytes, value: Any) -> bytes:
    """The bytes of an answer; rewritten from its value where an object has the same key twice.

    Clients read the last one, and so do we, but the first would stay in the bytes unread.
    """
    if len(data) > limits.RESPONSE_BYTES_MAX // 8 or not isinstance(value, dict | list):
        return data
    keys, _, _ = _measure(value)
    if _key_ends(data) == keys or not _has_equal_keys(data):
        return data
    return lossless.dumps(lossless.loads(data.decode("utf-8", "replace").removeprefix("\ufeff")))


def is_misspelt(value: Any) -> bool:
    """Whether a key of the envelope or of a call differs from its name only by case, which some parsers do not mind."""
    if not isinstance(value, dict):
        return False
    params = value.get("params")
    keys = (*value, *params) if isinstance(params, dict) else value
    return any(key not in _NAMES and key.casefold() in _NAMES for key in keys)


def messages(value: Any) -> list[Any]:
    """The members of a batch, or the one message.

    Raises:
        NotAMessage: the batch is empty or too long.
    """
    if not isinstance(value, list):
        return [value]
    if not 0 < len(value) <= limits.BATCH_MESSAGES_MAX:
        text = f"a batch holds 1 to {limits.BATCH_MESSAGES_MAX} messages, this one {len(value)}"
        raise NotAMessage(INVALID_REQUEST, "batch-size", text)
    return value


def kind_of(value: Any) -> Kind | None:
    """What kind of message a value is, or None when it is none.

    An id that is null, a fraction, a boolean or a structure makes a request that one server executes and another drops,
    so such a value is no message.
    """
    if not isinstance(value, dict):
        return None
    if "method" in value:
        if not isinstance(value["method"], str) or "result" in value or "error" in value:
            return None
        if "id" not in value:
            return "notification"
        return "request" if is_id(value["id"]) else None
    if "result" in value and "error" not in value:
        return "result"
    return "error" if "error" in value and "result" not in value else None


def is_id(value: Any) -> bool:
    """Whether a value may be a request's id: a string or an integer (``True`` is neither)."""
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def id_key(value: Any) -> tuple[str, Any]:
    """A key under which ``1`` and ``"1"`` are two ids, as they are on the wire."""
    return (type(value).__name__, value if isinstance(value, str | int | float | None) else repr(value))


def loose_key(value: Any) -> tuple[str, Any]:
    """A key under which ``1``, ``1.0`` and ``"1"`` are one id, as clients have it when they match an answer."""
    if isinstance(value, str):
        try:
            return ("int", int(value)) if len(value) <= _NUMERIC_ID_CHARS_MAX else ("str", value)
        except ValueError:
            return ("str", value)
    if isinstance(value, int) and abs(value) > _EXACT_MAX:
        # Some parsers round integers of this size, and answer with the rounded one.
        value = float(value) if abs(value) < _ROUNDED_MAX else value
    if isinstance(value, float) and not value.is_integer():
        return id_key(value)
    return ("int", int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else id_key(value)


def requests_in(members: Sequence[Any]) -> list[dict[str, Any]]:
    """The members that want an answer."""
    return [member for member in members if kind_of(member) == "request"]


def ids_in(body: bytes) -> list[Any]:
    """The ids of the requests in a body, as far as it can be read at all."""
    value = read_leniently(body)
    return [member["id"] for member in requests_in(value if isinstance(value, list) else [value])]


def is_plainly_sound(data: bytes, value: Any) -> bool:
    """Whether a JSON text is just as its value is written, so nothing is odd about it, with too few brackets to be too deep.

    Most peers write JSON this way, and for them this is all that is looked at; it takes a tenth of the time of the rest.
    """
    if len(data) > limits.JSON_LEAVES_MAX or data.count(b"{") + data.count(b"[") > limits.JSON_DEPTH_MAX:
        return False
    try:
        return orjson.dumps(value) == data
    except (TypeError, ValueError, RecursionError):
        return False


def bounded_int(digits: str) -> int | float:
    """An integer; one of thousands of digits, which Python refuses to read, becomes infinite."""
    return int(digits) if len(digits) < 4000 else float("inf")


def _measure(value: Any) -> tuple[int, int, int]:
    """How many object keys and how many members a value holds, and how deep it is nested; it stops where a bound is passed."""
    keys = members = depth = 0
    level: list[Any] = [value]
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                keys += len(item)
                members += len(item)
                below += item.values()
            elif type(item) is list:
                members += len(item)
                below += item
        level = [item for item in below if type(item) is dict or type(item) is list]
        depth += 1
        if depth > limits.JSON_DEPTH_MAX + 1 or members > limits.JSON_LEAVES_MAX:
            break
    return keys, members, depth


def _key_ends(data: bytes) -> int:
    """At least how many object keys a JSON text holds, equal ones counted each.

    Every key ends in a quote and a colon. Without escapes only a text that begins with a colon looks the same, so where
    this is the number of keys that were read, no two were equal.
    """
    if b"\\" in data:
        # A run of backslashes begins with an escape, so pairs come away as they were meant.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return len(_KEY_END.findall(data))


def _has_equal_keys(body: bytes) -> bool:
    found = False

    def pairs(items: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({key for key, _ in items}) != len(items)

    json.loads(body.decode("utf-8", "replace").removeprefix("\ufeff"), object_pairs_hook=pairs, parse_int=str)
    return found

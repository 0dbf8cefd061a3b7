"""What two JSON parsers may read differently: found, named, and settled in one form that all of them read alike.

What each server and client does with such bytes was measured; some execute what others refuse (UTF-16, a byte order mark,
a lone surrogate), so bytes that were judged in one reading must not be passed on as they came.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from sidecar.decode import jsonrpc, lossless
from sidecar.outcomes import Anomaly

TEXTS: Final[Mapping[Anomaly, str]] = {
    "encoded": "the body has a content coding, which some servers undo and others do not",
    "charset": "the Content-Type names a charset, which some servers follow and others do not",
    "byte-order-mark": "the body begins with a byte order mark, which some parsers refuse and others skip",
    "utf-16": "the body is in UTF-16, which some servers refuse and others execute",
    "utf-32": "the body is in UTF-32, which some servers refuse and others execute",
    "invalid-utf8": "the body is not strict UTF-8, which some parsers refuse and others repair",
    "duplicate-key": "an object in the body has the same key twice",
    "lone-surrogate": "the body escapes half a character, which some parsers refuse and others pass",
    "not-a-number": "the body holds NaN or Infinity, which are no JSON",
}
"""Every anomaly by its name, which is also its rule (``wire.<name>``) in the record."""

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_LABELS: Final = {"utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "utf-16": "utf-16", "utf-16le": "utf-16",
                  "utf-16be": "utf-16", "utf-32": "utf-32", "utf-32le": "utf-32", "utf-32be": "utf-32"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settled:
    """A JSON text as it was read. ``body`` says the same to every parser; it is the text itself where that does."""

    value: Any
    body: bytes
    anomalies: tuple[Anomaly, ...]


def settle(data: bytes, charset: str = "") -> Settled:
    """Read a JSON text that a strict reader does not take. ``charset`` is what its ``Content-Type`` names, if anything.

    Raises:
        NotAMessage: it is no JSON in any reading, too large, or there is no form of it that all parsers read alike.
    """
    text, anomalies = _text(data, charset.lower())
    is_twice = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_twice
        known = dict(items)
        is_twice = is_twice or len(known) != len(items)
        return known

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant, parse_int=jsonrpc.bounded_int)
    except RecursionError:
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "too-deep", "the body is nested too deep") from None
    except ValueError:
        raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "unparsable", "the body is not strict UTF-8 JSON") from None
    jsonrpc.require_bounded(value)
    if any(map(jsonrpc.is_misspelt, value if isinstance(value, list) else [value])):
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "misspelt-key", jsonrpc.MISSPELT)
    if is_twice:
        anomalies.append("duplicate-key")
    if _SURROGATE.search(text.encode("utf-8", "surrogatepass")) and _has_lone_surrogate(value):
        anomalies.append("lone-surrogate")
    body = lossless.dumps(lossless.loads(text)) if anomalies else data
    return Settled(value, body, tuple(anomalies))


def in_answer(data: bytes) -> tuple[Anomaly, ...]:
    """The anomalies of a JSON text that a server sent, but for equal keys. Costs next to nothing where there is none."""
    has_escape = b"\\u" in data
    if data.isascii() and not has_escape and b"NaN" not in data and b"Infinity" not in data:
        return ()
    return tuple(_in_answer(data, has_escape))


def _in_answer(data: bytes, has_escape: bool) -> Iterator[Anomaly]:
    if data.startswith(BOM_UTF8):
        yield "byte-order-mark"
    if not data.isascii() and not _is_utf8(data):
        yield "invalid-utf8"
    if (b"NaN" in data or b"Infinity" in data) and not _is_strict(data):
        yield "not-a-number"
    if has_escape and _SURROGATE.search(data) and _has_lone_surrogate(jsonrpc.read_leniently(data)):
        yield "lone-surrogate"


def _text(data: bytes, charset: str) -> tuple[str, list[Anomaly]]:
    """The text in its own encoding, and what is odd about that."""
    anomalies: list[Anomaly] = []
    codec = json.detect_encoding(data)
    family: Literal["utf-8", "utf-16", "utf-32"] = "utf-8"
    if not codec.startswith("utf-8"):
        family = "utf-16" if codec.startswith("utf-16") else "utf-32"
    if charset:
        # Some servers follow the label and others the bytes, so the two must say the same.
        if _LABELS.get(charset) != family:
            raise jsonrpc.NotAMessage(
                jsonrpc.PARSE_ERROR, "charset", "the body is not in UTF-8, or not in the charset it names"
            )
        if family != "utf-8":
            anomalies.append("charset")
    if family != "utf-8":
        anomalies.append(family)
    elif codec == "utf-8-sig":
        anomalies.append("byte-order-mark")
    try:
        return data.decode(codec), anomalies
    except UnicodeDecodeError:
        if family != "utf-8":
            raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "unparsable", "the body is not strict UTF-8 JSON") from None
    return data.decode(codec, "replace"), [*anomalies, "invalid-utf8"]


def _refuse_constant(_: str) -> Any:
    raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "not-a-number", TEXTS["not-a-number"])


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, TypeError, RecursionError):
        return False
    return False


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_strict(data: bytes) -> bool:
    """Whether the words stand in strings only."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return "infinity when parsed" in str(error)
    return True

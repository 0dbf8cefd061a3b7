"""What a client sent, read strictly: the JSON of a body, and whether it holds messages that all peers take for the same."""

from typing import Any, Literal, NamedTuple

from sidecar import limits
from sidecar.decode import anomalies, jsonrpc
from sidecar.decode.anomalies import TEXTS
from sidecar.decode.charsets import is_ascii_like, is_utf8, named_charsets
from sidecar.decode.encodings import decoded
from sidecar.methods import method_of
from sidecar.outcomes import Anomaly


class RequestBody(NamedTuple):
    """A body as it was read."""

    value: Any
    """A message, a list of them, or None for another kind of request (OAuth's are JSON too)."""
    text: bytes
    """The body itself, or the one form of it that all parsers read alike."""
    anomalies: tuple[Anomaly, ...] = ()
    """What parsers might have read differently in the body as it came."""


def read_body(body: bytes, content_type: str, encoding: str, *, parsing: Literal["refuse", "canonical"]) -> RequestBody:
    """Read a body as strict servers do; header values in lower case. ``parsing`` says what becomes of one that is ambiguous.

    Raises:
        NotAMessage: it cannot be read, or two parsers could read it differently and it is to be refused for that.
    """
    if encoding == "identity" and is_utf8(content_type):
        try:
            return RequestBody(_message_in(jsonrpc.read_strictly(body)), body)
        except jsonrpc.NotAMessage:
            # Another look tells what exactly is odd about it.
            pass
    return _settle(body, content_type, encoding, parsing)


def _settle(body: bytes, content_type: str, encoding: str, parsing: str) -> RequestBody:
    try:
        plain = decoded(body, encoding, limits.REQUEST_BYTES_MAX)
    except ValueError:
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "encoded", TEXTS["encoded"]) from None
    is_json = not content_type or "json" in content_type or jsonrpc.looks_like_json(plain)
    charsets = named_charsets(content_type)
    if charsets is None:
        raise jsonrpc.NotAMessage(jsonrpc.PARSE_ERROR, "charset", TEXTS["charset"])
    if not is_json and all(map(is_ascii_like, charsets)):
        return RequestBody(None, body)
    settled = anomalies.settle(plain, *charsets)
    if encoding == "identity" and not settled.anomalies:
        return RequestBody(_message_in(settled.value), body)
    found: tuple[Anomaly, ...] = settled.anomalies if encoding == "identity" else ("encoded", *settled.anomalies)
    if parsing == "refuse":
        code = jsonrpc.INVALID_REQUEST if found[0] in ("encoded", "duplicate-key") else jsonrpc.PARSE_ERROR
        raise jsonrpc.NotAMessage(code, found[0], TEXTS[found[0]])
    return RequestBody(_message_in(settled.value), settled.body, found)


def _message_in(value: Any) -> Any:
    """The value where it is a message, or what a server could take for one; None for other objects."""
    is_message = isinstance(value, dict) and not value.keys().isdisjoint(("jsonrpc", "method", "result", "error"))
    return value if is_message or not isinstance(value, dict) else None


def require_line(value: Any) -> None:
    """Over stdio there is nothing but messages, one a line. Raises ``NotAMessage`` for a value that is none."""
    if not isinstance(value, dict):
        text = "over stdio every line is one JSON-RPC message"
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "batch" if isinstance(value, list) else "not-a-message", text)


def require_messages(members: list[Any]) -> None:
    """Check the message of a body, or those of its batch.

    Raises:
        NotAMessage: a member is no message, or one that peers would take for different ones.
    """
    if None in map(jsonrpc.kind_of, members):
        text = "a JSON-RPC message has a method with an id that is a string or an integer, or a result, or an error"
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "not-a-message", text)
    for member in members:
        params = member.get("params")
        method = member.get("method", "")
        name = params.get("name", "") if isinstance(params, dict) else ""
        if method_of(method).subject == "name" and not isinstance(name, str):
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "not-a-name", "the name of a tool or prompt is a string")
        if max(len(str(method)), len(str(name)), len(str(member.get("id")))) > limits.NAME_CHARS_MAX:
            text = f"a method, name or id has more than {limits.NAME_CHARS_MAX} characters"
            raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "too-long", text)
    if len(members) == 1:
        return
    ids = [jsonrpc.id_key(member["id"]) for member in jsonrpc.requests_in(members)]
    if len(set(ids)) != len(ids):
        raise jsonrpc.NotAMessage(jsonrpc.INVALID_REQUEST, "equal-ids", "two requests of the batch have the same id")

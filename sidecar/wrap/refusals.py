"""Refusals for lines while no sidecar can be reached: every client gets the reason, and no request waits.

They are those of ``sidecar.refusal_messages``, which the proxy sends too.
"""

import json
import re

from sidecar.refusal_messages import UNAVAILABLE, USER_REJECTED, error, refusal

_PARSE_ERROR = -32700
_MODERN = "io.modelcontextprotocol/protocolVersion"

_NAME = re.compile(r'\s*[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_LAST_ID = re.compile(rb',\s*"id"\s*:\s*("[^"\\]*"|-?\d+)\s*(?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*)*\}\s*\Z')

Lines = tuple[bytes, bytes]
"""What goes onward, and what goes back."""


def from_client(line: bytes, why: str) -> Lines:
    """A request is refused, a client's response becomes an error for the server, a notification is dropped."""
    message = _message(line)
    if message is None:
        if b"{" not in line and b"[" not in line:
            return line, b""
        return b"", _error(None, _PARSE_ERROR, f"sidecar: not passed on, because {why}")
    if "method" not in message:
        return _error(message.get("id"), USER_REJECTED, _text(why)), b""
    if "id" not in message:
        return b"", b""
    return b"", _refusal(message, why)


def from_server(line: bytes, why: str) -> Lines:
    """A response becomes an error with its id, a server's request is declined, a notification is dropped."""
    message = _message(line)
    if message is None:
        return (b"" if b"{" in line else line), b""
    if "id" not in message:
        return b"", b""
    if "method" in message:
        return b"", _error(message["id"], USER_REJECTED, _text(why))
    return _error(message["id"], UNAVAILABLE, _text(why)), b""


def long_line(head: bytes, tail: bytes, is_from_client: bool, why: str) -> Lines:
    """The same for a line that was too long to keep, of which only the first and last bytes are known."""
    message = _members(head)
    if "id" not in message and (match := _LAST_ID.search(tail)):
        message["id"] = json.loads(match[1])
    refuse = from_client if is_from_client else from_server
    return refuse(json.dumps(message).encode(), why) if message else (b"", b"")


def _members(head: bytes) -> dict[str, object]:
    """The members at the start of a cut-off object; of the one that is cut off only the name, with None."""
    text, members, decode = head.decode("utf-8", "replace"), dict[str, object](), json.JSONDecoder().raw_decode
    at = 0
    while match := _NAME.match(text, at):
        name = json.loads(match[1])
        members[name] = None
        try:
            members[name], at = decode(text, match.end())
        except (ValueError, RecursionError):
            break
    return members


def _text(why: str) -> str:
    return f"The sidecar that judges this call cannot be reached, so the message was not passed on: {why}."


def _message(line: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refusal(message: dict[str, object], why: str) -> bytes:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    is_modern = isinstance(meta, dict) and _MODERN in meta
    return _line(refusal(message["id"], str(message["method"]), _text(why), UNAVAILABLE, is_modern=is_modern))


def _error(rpc_id: object, code: int, text: str) -> bytes:
    return _line(error(rpc_id, code, text))


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"

"""What a message means: where it says who sent it and what it is about, and what its answer says.

Revisions: 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25 (``handshake`` era) and 2026-07-28 (``modern`` era, stateless).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from sidecar.methods import INITIALIZE, METHODS, MODERN_REVISION, Method, method_of

Era = Literal["handshake", "modern"]

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")

REVISION: Final = re.compile(r"\d{4}-\d\d-\d\d")
"""The form of every revision's name, those to come included."""

_META: Final = "io.modelcontextprotocol/"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")


class MessageFields(NamedTuple):
    """What one request or notification says of itself."""

    method: str
    tool: str
    args: Mapping[str, Any]
    trace_id: str
    protocol: str
    client: str
    client_version: str


def facts(message: Mapping[str, Any]) -> MessageFields:
    """What a request or notification says of itself; anything missing or of the wrong type is empty."""
    method = _text(message.get("method"))
    known = method_of(method)
    params = _mapping(message.get("params"))
    meta = _mapping(params.get("_meta"))
    info = _mapping(params.get("clientInfo") if method == INITIALIZE else meta.get(_META + "clientInfo"))
    protocol = params.get("protocolVersion") if method == INITIALIZE else meta.get(_META + "protocolVersion")
    traceparent = meta.get("traceparent")
    trace = _TRACEPARENT.match(traceparent) if isinstance(traceparent, str) else None
    return MessageFields(
        method=method,
        tool=_subject(known, params),
        args=_mapping(params.get(known.arguments)) if known.arguments else params,
        trace_id=trace.group(1) if trace else "",
        protocol=_text(protocol)[:40],
        client=_text(info.get("name"))[:100],
        client_version=_text(info.get("version"))[:40],
    )


def _subject(method: Method, params: Mapping[str, Any]) -> str:
    """The tool, prompt, resource, task or reference a message is about."""
    if not method.subject:
        return ""
    value = params.get(method.subject)
    if isinstance(value, dict):
        return _text(value.get("name") or value.get("uri"))
    return _text(value)


def era_of(header: str, protocol: str) -> Era:
    """The era of a request, from its ``MCP-Protocol-Version`` header and the version in its ``_meta``.

    Servers differ in which of the two they go by; a handshake revision in the header, or none anywhere, is the handshake era.
    """
    if header in HANDSHAKE_REVISIONS:
        return "handshake"
    return "modern" if header or protocol >= MODERN_REVISION else "handshake"


def listed(method: str, payload: Any) -> tuple[str, list[Any]]:
    """The key and the entries of a list result: ``("tools", [...])``; an empty key when the payload is no such list."""
    known = METHODS.get(method)
    key = known.lists if known is not None else ""
    entries = _mapping(_mapping(payload).get("result")).get(key) if key else None
    return (key, entries) if isinstance(entries, list) else ("", [])


def is_tool_error(payload: Any) -> bool:
    """Whether a result says that the tool itself failed (``isError``)."""
    return _mapping(_mapping(payload).get("result")).get("isError") is True


def error_of(payload: Any) -> tuple[int, str]:
    """Code and message of a JSON-RPC error."""
    error = _mapping(_mapping(payload).get("error"))
    code = error.get("code")
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) >= 2**31:
        code = 0
    return code, _text(error.get("message"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

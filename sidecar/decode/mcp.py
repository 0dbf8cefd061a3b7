"""What a message means: the methods of every MCP revision, and where a message says who and what it is about.

Revisions: 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25 (``handshake`` era) and 2026-07-28 (``modern`` era, stateless).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Era = Literal["handshake", "modern"]

HANDSHAKE_REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_REVISION: Final = "2026-07-28"

REVISION: Final = re.compile(r"\d{4}-\d\d-\d\d")
"""The form of every revision's name, those to come included."""

_META: Final = "io.modelcontextprotocol/"
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_LISTS: Final = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"}

METHODS: Final = frozenset(
    """
    initialize ping server/discover tools/list tools/call resources/list resources/templates/list resources/read
    resources/subscribe resources/unsubscribe prompts/list prompts/get completion/complete logging/setLevel
    sampling/createMessage elicitation/create roots/list subscriptions/listen
    tasks/get tasks/result tasks/list tasks/cancel tasks/update
    notifications/initialized notifications/cancelled notifications/progress notifications/message
    notifications/tools/list_changed notifications/prompts/list_changed notifications/resources/list_changed
    notifications/resources/updated notifications/roots/list_changed notifications/elicitation/complete
    notifications/tasks/status notifications/tasks notifications/subscriptions/acknowledged
    """.split()
)
"""Every method of every revision; another one is passed on, judged like any, and recorded under its own name."""

HANDSHAKES: Final = frozenset({"initialize", "server/discover"})
"""Methods by which peers find a common revision: a JSON-RPC error to one of them changes the era the client speaks."""

LISTS: Final = frozenset(_LISTS)


@dataclass(frozen=True, slots=True)
class MessageFields:
    """What one request or notification says of itself."""

    method: str
    tool: str
    args: Mapping[str, Any]
    trace_id: str
    protocol: str
    client: str
    client_version: str


def facts(message: Mapping[str, Any]) -> MessageFields:
    """The facts of a request or notification; anything missing or of the wrong type is empty."""
    method = message.get("method", "")
    params = _mapping(message.get("params"))
    meta = _mapping(params.get("_meta"))
    info = _mapping(params.get("clientInfo") if method == "initialize" else meta.get(_META + "clientInfo"))
    protocol = params.get("protocolVersion") if method == "initialize" else meta.get(_META + "protocolVersion")
    trace = _TRACEPARENT.match(_text(meta.get("traceparent")))
    return MessageFields(
        method=method,
        tool=_subject(method, params),
        args=_arguments(method, params),
        trace_id=trace.group(1) if trace else "",
        protocol=_text(protocol)[:40],
        client=_text(info.get("name"))[:100],
        client_version=_text(info.get("version"))[:40],
    )


def _subject(method: str, params: Mapping[str, Any]) -> str:
    """The tool, prompt, resource or task a request is about."""
    if method in ("tools/call", "prompts/get"):
        return _text(params.get("name"))
    if method.startswith(("resources/", "notifications/resources/")):
        return _text(params.get("uri"))
    if method.startswith("tasks/"):
        return _text(params.get("taskId"))
    if method == "completion/complete":
        reference = _mapping(params.get("ref"))
        return _text(reference.get("name") or reference.get("uri"))
    return ""


def _arguments(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(params.get("arguments")) if method in ("tools/call", "prompts/get") else params


def era_of(header: str, protocol: str) -> Era:
    """The era of a request, from its ``MCP-Protocol-Version`` header and the version in its ``_meta``.

    Servers differ in which of the two they go by; a handshake revision in the header, or none anywhere, is the handshake era.
    """
    if header in HANDSHAKE_REVISIONS:
        return "handshake"
    return "modern" if header or protocol >= MODERN_REVISION else "handshake"


def listed(method: str, payload: Any) -> tuple[str, list[Any]]:
    """The key and the entries of a list result: ``("tools", [...])``; an empty key when the payload is no such list."""
    key = _LISTS.get(method, "")
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

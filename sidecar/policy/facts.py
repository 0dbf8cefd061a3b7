"""What an expression may read of one message, each value computed once and only when it is needed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from sidecar.decode.mcp import is_tool_error
from sidecar.detect import walk
from sidecar.events import Definition, Message
from sidecar.policy.where import base_of

SESSION_NAMES: Final = frozenset({"session.calls", "session.servers"})


class Unjudged(Exception):
    """Something could not be judged for a message. The text says why in our words, and never quotes a value."""


class Facts:
    """The values behind the names of expressions for one message at one moment.

    ``session_calls`` and ``session_servers`` are those of the message's session, this message included.
    """

    __slots__ = ("_found", "message", "now", "session_calls", "session_servers")

    def __init__(self, message: Message, now: float, session_calls: int = 0, session_servers: tuple[str, ...] = ()) -> None:
        self.message = message
        self.now = now
        self.session_calls = session_calls
        self.session_servers = session_servers
        self._found: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """The value of the variable ``name``, such as ``call.tool``."""
        found = self._found
        if name not in found:
            found[name] = _SOURCES[name](self)
        return found[name]


def _is_to_server(facts: Facts) -> bool:
    return facts.message.direction == "request"


def _call_text(facts: Facts) -> str:
    """All texts of the call: of what travels to the server, or in an answer of the arguments it answers."""
    return _payload_text(facts) if _is_to_server(facts) else "\n".join(walk(facts.message.args).texts)


def _call_bytes(facts: Facts) -> int:
    return facts.message.size if _is_to_server(facts) else len(_json(facts.message.args))


def _payload_text(facts: Facts) -> str:
    """All texts of what this message carries. ``inputResponses``, typed by a person, stand beside arguments."""
    payload, base = facts.message.payload, base_of(facts.message)
    carried = [_at(payload, base)]
    if len(base) > 1:
        carried.append(_at(payload, ("params", "inputResponses")))
    return "\n".join(walk(carried).texts)


def _result_text(facts: Facts) -> str:
    return "" if _is_to_server(facts) else _payload_text(facts)


def _is_error(facts: Facts) -> bool:
    return facts.message.kind == "error" or is_tool_error(facts.message.payload)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        return repr(value).encode("utf-8", "surrogatepass")


def _definition(facts: Facts) -> Definition:
    """What ``definition.*`` reads.

    Raises:
        Unjudged: it was not kept, so it cannot be judged any more.
    """
    definition = facts.message.definition or Definition()
    if "expr" in definition.unknown:
        raise Unjudged("the definition cannot be read")
    return definition


_SOURCES: Final[Mapping[str, Callable[[Facts], Any]]] = {
    "call.server": lambda facts: facts.message.server,
    "call.tool": lambda facts: facts.message.tool,
    "call.method": lambda facts: facts.message.method,
    "call.args": lambda facts: dict(facts.message.args),
    "call.text": _call_text,
    "call.bytes": _call_bytes,
    "client.name": lambda facts: facts.message.caller.client,
    "user": lambda facts: facts.message.caller.user,
    "groups": lambda facts: list(facts.message.caller.groups),
    "session.calls": lambda facts: facts.session_calls,
    "session.servers": lambda facts: list(facts.session_servers),
    "now": lambda facts: datetime.fromtimestamp(facts.now, UTC),
    "result.text": _result_text,
    "result.bytes": lambda facts: 0 if _is_to_server(facts) else facts.message.size,
    "result.is_error": _is_error,
    "definition.description": lambda facts: _definition(facts).description,
    "definition.digest": lambda facts: _definition(facts).digest,
    "definition.previous_digest": lambda facts: _definition(facts).previous_digest,
    "definition.read_only": lambda facts: _definition(facts).read_only,
    "definition.destructive": lambda facts: _definition(facts).destructive,
}

"""What a server sent, read strictly: the bytes to judge and pass back, what is odd about them, and how they end a call."""

from contextlib import suppress
from typing import Any, Literal

from sidecar.decode import anomalies, jsonrpc, mcp
from sidecar.events import Kind
from sidecar.outcomes import Anomaly, ErrorType, Status, http_error, rpc_error


def settle_response(raw: bytes, payload: Any, *, parsing: Literal["refuse", "canonical"]) -> tuple[bytes, tuple[Anomaly, ...]]:
    """The bytes to judge and pass on for a message that was read as ``payload``, and what was odd about those that came.

    Of two equal keys all clients read the last, so the first is always taken out. All else is read alike or refused by
    them, so it is only rewritten where ``parsing`` asks for it. What is written just as it is read is not odd.
    """
    if not isinstance(payload, dict | list) or jsonrpc.is_plainly_sound(raw, payload):
        return raw, ()
    single = jsonrpc.canonical_if_ambiguous(raw, payload)
    odd: tuple[Anomaly, ...] = anomalies.in_answer(raw)
    if single is not raw:
        odd = ("duplicate-key", *odd)
    if odd and parsing == "canonical":
        with suppress(jsonrpc.NotAMessage):
            return anomalies.settle(raw).body, odd
    return single, odd


def outcome_of(payload: Any, kind: Kind | None, http_status: int) -> tuple[Status, ErrorType]:
    """The status of a call and what kind of error it is, from its answer; ``kind`` is None for what is no message."""
    if kind == "error":
        return "error", rpc_error(mcp.error_of(payload)[0])
    if kind == "result":
        return ("tool_error", "tool_error") if mcp.is_tool_error(payload) else ("ok", "")
    return "error", http_error(http_status) if http_status >= 400 else "not_jsonrpc"

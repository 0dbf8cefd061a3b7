"""JSON-RPC messages that refuse, in the form that every client shows its user; the same over HTTP and stdio.

Which form reaches the model, and which makes a client hang, fall back or open a browser, was measured with the SDKs: a tool
result with ``isError`` reaches the model (MCP tools, error handling), positive error codes have no side effects, and the id is
always echoed (JSON-RPC 2.0 §5). Standard library only: ``sidecar wrap`` refuses with these where no sidecar can be reached.
"""

from typing import Any, Final

from sidecar.methods import method_of

REFUSED: Final = 1403
"""Our code for a policy's refusal, outside of every range JSON-RPC and MCP reserve."""
UNAVAILABLE: Final = 1503
"""Our code for a message that nobody could judge, outside of the same ranges."""
SERVER_FAILED: Final = -32000
USER_REJECTED: Final = -1
"""What SDKs send when a person declines a server's request."""

_DECISION: Final = "sidecar/decision"


def error(rpc_id: Any, code: int, text: str, data: Any = None) -> dict[str, Any]:
    """A JSON-RPC error response; without ``data`` where there is none."""
    body = {"code": code, "message": text}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": body if data is None else {**body, "data": data}}


def refusal(rpc_id: Any, method: str, text: str, code: int, *, is_modern: bool, decision: Any = None) -> dict[str, Any]:
    """The answer that refuses a request: a failed tool result where there can be one, else an error with ``code``.

    ``is_modern`` asks for the form of 2026-07-28; ``decision`` names the call and the rule, for programs.
    """
    if not method_of(method).is_tool_call:
        return error(rpc_id, code, text, decision)
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
    if decision is not None:
        result["_meta"] = {_DECISION: decision}
    if is_modern:
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": rpc_id, "result": result}

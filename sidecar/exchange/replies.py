"""A verdict, or a failure, as an answer every client understands (MCP tools §error handling; JSON-RPC 2.0 §5.1).

Which form reaches the model, and which makes a client hang, throw, fall back or open a browser, was measured with the SDKs:
a tool result with ``isError`` reaches the model; positive error codes carry no side effect; the id is always echoed.
"""

from typing import Any, Final

from sidecar.decode import jsonrpc, lossless
from sidecar.decode.sse import message_event
from sidecar.methods import HANDSHAKES, method_of
from sidecar.state.exchange import EVENT_STREAM, Exchange, Reply

REFUSED: Final = 1403
"""Our code for a policy's refusal, outside of every range JSON-RPC and MCP reserve."""
SERVER_FAILED: Final = -32000
USER_REJECTED: Final = -1
"""What SDKs send when a person declines a server's request."""

_DECISION: Final = "sidecar/decision"


def refusal_text(message: str, rule: str) -> str:
    """What the model reads: that policy refused, which rule, and that trying again unchanged will not help."""
    said = message or "This call is not allowed here."
    return f"Blocked by policy ({rule}): {said} Retrying unchanged will not help."


def refusal(rpc_id: Any, method: str, era: str, text: str, *, rule: str, call_id: str) -> dict[str, Any]:
    """The JSON-RPC answer that refuses a request: a failed tool result where there can be one, else an error."""
    decision = {"call_id": call_id, "rule": rule}
    if not method_of(method).is_tool_call:
        error = {"code": REFUSED, "message": text, "data": decision}
        return {"jsonrpc": "2.0", "id": rpc_id, "error": error}
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True, "_meta": {_DECISION: decision}}
    if era == "modern":
        result["resultType"] = "complete"
    return {"jsonrpc": "2.0", "id": rpc_id, "result": result}


def refused(exchange: Exchange, methods: list[str], payload: Any) -> Reply:
    """A refusal as the whole HTTP response.

    A refused handshake is a 403: a JSON-RPC error would only make the client fall back to an older revision.
    """
    status = 403 if any(method in HANDSHAKES for method in methods) else 200
    return in_accepted_form(exchange, status, lossless.canonical(payload))


def in_accepted_form(exchange: Exchange, status: int, body: bytes) -> Reply:
    """JSON where the client takes it, else the one event of a stream."""
    accept = exchange.request.headers.get("accept", "*/*")
    if status == 200 and EVENT_STREAM in accept and "application/json" not in accept and "*/*" not in accept:
        return Reply(status, message_event(body), EVENT_STREAM)
    return Reply(status, body)


def unreadable(refusal_: jsonrpc.Refusal, status: int = 400) -> Reply:
    """The answer to bytes that are no message: as servers give it, an error without an id."""
    return Reply(status, lossless.canonical(unread(refusal_, None)))


def unread(refusal_: jsonrpc.Refusal, rpc_id: Any) -> dict[str, Any]:
    """The JSON-RPC error for bytes that are no message."""
    error = {"code": refusal_.code, "message": f"sidecar: {refusal_.text}"}
    return {"jsonrpc": "2.0", "id": rpc_id, "error": error}


def swallowed() -> Reply:
    """The answer to a notification that is not passed on: accepted, as always."""
    return Reply(202)


def accepted() -> Reply:
    """The answer to a POST in the transport of 2024-11-05: what it asked is answered on the client's stream."""
    return Reply(202, b"Accepted", "text/plain")


def server_failed(rpc_id: Any, text: str) -> dict[str, Any]:
    """The JSON-RPC error for a request whose server gave no answer."""
    return {"jsonrpc": "2.0", "id": rpc_id, "error": {"code": SERVER_FAILED, "message": text}}


def declined(rpc_id: Any, text: str) -> bytes:
    """What the server reads in place of a client's answer that may not reach it."""
    return lossless.canonical({"jsonrpc": "2.0", "id": rpc_id, "error": {"code": USER_REJECTED, "message": text}})


def ping(rpc_id: Any) -> bytes:
    """A request every client answers by itself, put in place of a server's request that a policy refuses.

    So nobody is asked, and both sides' tables of open ids stay balanced.
    """
    return lossless.canonical({"jsonrpc": "2.0", "id": rpc_id, "method": "ping"})


def failure(exchange: Exchange, ids: list[Any], text: str, status: int) -> Reply:
    """The HTTP response for requests that got no answer: their JSON-RPC errors, or a plain one when there was no request."""
    if not ids:
        return unreadable(jsonrpc.Refusal(SERVER_FAILED, "failed", text), status)
    errors = [server_failed(each, text) for each in ids]
    return Reply(status, lossless.canonical(errors if exchange.request.is_batch else errors[0]))

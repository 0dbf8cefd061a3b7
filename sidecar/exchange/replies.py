"""A verdict, or a failure, as an answer every client understands (MCP tools §error handling; JSON-RPC 2.0 §5.1).

Which form reaches the model, and which makes a client hang, throw, fall back or open a browser, was measured with the SDKs:
a tool result with ``isError`` reaches the model; positive error codes carry no side effect; the id is always echoed.
"""

from typing import Any

from sidecar import refusal_messages
from sidecar.decode import jsonrpc, lossless
from sidecar.decode.sse import message_event
from sidecar.methods import HANDSHAKES
from sidecar.refusal_messages import REFUSED, SERVER_FAILED, USER_REJECTED, error
from sidecar.state.exchange import EVENT_STREAM, Exchange, Reply


def refusal_text(message: str, rule: str) -> str:
    """What the model reads: that policy refused, which rule, and that trying again unchanged will not help."""
    said = message or "This call is not allowed here."
    return f"Blocked by policy ({rule}): {said} Retrying unchanged will not help."


def refusal(rpc_id: Any, method: str, era: str, text: str, *, rule: str, call_id: str) -> dict[str, Any]:
    """The JSON-RPC answer by which a policy refuses a request."""
    decision = {"call_id": call_id, "rule": rule}
    return refusal_messages.refusal(rpc_id, method, text, REFUSED, is_modern=era == "modern", decision=decision)


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
    return error(rpc_id, refusal_.code, f"sidecar: {refusal_.text}")


def swallowed() -> Reply:
    """The answer to a notification that is not passed on: accepted, as always."""
    return Reply(202)


def accepted() -> Reply:
    """The answer to a POST in the transport of 2024-11-05: what it asked is answered on the client's stream."""
    return Reply(202, b"Accepted", "text/plain")


def server_failed(rpc_id: Any, text: str) -> dict[str, Any]:
    """The JSON-RPC error for a request whose server gave no answer."""
    return error(rpc_id, SERVER_FAILED, text)


def declined(rpc_id: Any, text: str) -> bytes:
    """What the server reads in place of a client's answer that may not reach it."""
    return lossless.canonical(error(rpc_id, USER_REJECTED, text))


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

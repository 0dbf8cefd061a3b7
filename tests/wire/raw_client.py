"""A client that reads bytes: the status line, the fields that are not about the connection, and the body as it was sent."""

import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "elicitation": {}, "roots": {}},
}
_CONNECTION = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length", "date", "trailer"))
_THREADS = 24


def run(port: int, mode: str, waves: list[list[dict[str, Any]]], is_unusual: bool = False) -> dict[str, Any]:
    """Call every shape over a connection of its own; an unusual head is one that only mitmproxy's transport takes."""
    shapes = [each for wave in waves for each in wave]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda each: call(port, request(mode, each["name"], is_unusual), each["timeout_s"]), shapes)
        return {each["name"]: outcome for each, outcome in zip(shapes, found, strict=True)}


def request(mode: str, name: str, is_unusual: bool = False, arguments: dict[str, Any] | None = None) -> bytes:
    """A ``tools/call`` as bytes; the fixture and the sidecar both see one client without a session."""
    params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
    version = "2025-11-25" if mode == "legacy" else mode
    more = "te: trailers\r\n" if is_unusual else ""
    if mode != "legacy":
        params["_meta"] = _META
        more += f"mcp-method: tools/call\r\nmcp-name: {name}\r\n"
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nmcp-protocol-version: {version}\r\n{more}content-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\naccept-encoding: identity\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def call(port: int, asked: bytes, timeout_s: float) -> dict[str, Any]:
    """One request on a connection of its own, and what came back."""
    with socket.create_connection(("127.0.0.1", port), 10) as wire:
        wire.settimeout(timeout_s)
        wire.sendall(asked)
        data = b""
        try:
            while not _is_whole(data) and (more := wire.recv(1 << 20)):
                data += more
        except TimeoutError:
            return {"error": "timeout", "bytes": len(data)}
        except ConnectionError:
            return {"error": "reset"}
    return read(data)


def read(data: bytes) -> dict[str, Any]:
    """A response taken apart."""
    data = _final(data)
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    named = {each.strip().lower() for name, value in pairs if name == "connection" for each in value.split(",")}
    fields = sorted(f"{name}: {value}" for name, value in pairs if name not in _CONNECTION | named)
    body = dechunked(rest) if b"transfer-encoding: chunked" in head.lower() else rest
    shown = body.decode("utf-8", "backslashreplace") if len(body) < 2000 else hashlib.sha256(body).hexdigest()
    return {"status": first.split(" ")[1:2], "fields": fields, "bytes": len(body), "body": shown}


def dechunked(data: bytes) -> bytes:
    """The body of a chunked response, as far as it came."""
    body = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return body
        body += data[:size]
        data = data[size + 2 :]
        if size == 0:
            break
    return body


def _is_whole(data: bytes) -> bool:
    """Whether the response says that it is over; else only its connection can."""
    head, end, rest = _final(data).partition(b"\r\n\r\n")
    if not end:
        return False
    lowered = head.lower()
    if lowered.startswith((b"http/1.1 204", b"http/1.1 304")):
        return True
    if b"transfer-encoding: chunked" in lowered:
        return rest.endswith((b"0\r\n\r\n", b"x-other: 2\r\n\r\n", b"x-sum: 1\r\n\r\n"))
    for line in lowered.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = line.partition(b":")[2].strip()
            return length.isdigit() and len(rest) >= int(length)
    return False


def _final(data: bytes) -> bytes:
    """What follows the interim responses (RFC 9110 §15.2)."""
    while data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:
        data = data.partition(b"\r\n\r\n")[2]
    return data

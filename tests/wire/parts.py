"""What a response shape is made of: the call it answers, its bytes in the order they leave, and the HTTP around them."""

import gzip
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

TEXT: Final = b'"content":[{"type":"text","text":"hello"}]'
EVENT_STREAM: Final = b"content-type: text/event-stream\r\n"
JSON: Final = b"content-type: application/json\r\n"


@dataclass(slots=True)
class Ask:
    """One ``tools/call``. ``id`` is the request's id as it stood on the wire."""

    id: bytes
    name: str
    is_modern: bool
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    """What the client answered to the server's own requests, by their ids."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when the client has answered the server's request with this id, or after two seconds."""

    id: str


Step = bytes | float | Wait | Callable[[Ask], bytes] | Literal["close", "abort"]
"""Bytes leave in one write, a number is a pause in seconds; the connection stays open unless a step ends it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to answer ``tools/call``.

    ``is_silent``: a client may wait for its own timeout, so it is given a short one. ``is_fatal``: a client may lose its whole
    connection, so it gets one that nothing else uses.
    """

    name: str
    steps: Callable[[Ask], Iterable[Step]]
    eras: tuple[str, ...] = ("handshake", "modern")
    is_silent: bool = False
    is_fatal: bool = False
    resumed: Callable[[Ask], Iterable[Step]] | None = None
    """How a GET with ``Last-Event-ID`` is answered."""
    schema: dict[str, Any] | None = None
    """The tool's ``outputSchema``."""


def result(ask: Ask, members: bytes = TEXT) -> bytes:
    """A result object with these members; 2026-07-28 wants to be told that it is complete."""
    return b"{" + (b'"resultType":"complete",' if ask.is_modern else b"") + members + b"}"


def reply(ask: Ask, members: bytes = TEXT) -> bytes:
    """The JSON-RPC response to the call."""
    return b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (ask.id, result(ask, members))


def said(ask: Ask, text: bytes) -> bytes:
    """The response with one text block; ``text`` is the inside of a JSON string."""
    return reply(ask, b'"content":[{"type":"text","text":"%s"}]' % text)


def structured(ask: Ask, value: bytes) -> bytes:
    """The response with a JSON text as its structured content."""
    return reply(ask, TEXT + b',"structuredContent":' + value)


def failure(ask: Ask, code: bytes, message: bytes = b'"no"', more: bytes = b"", rpc_id: bytes | None = None) -> bytes:
    """A JSON-RPC error; every part is JSON text."""
    given = ask.id if rpc_id is None else rpc_id
    return b'{"jsonrpc":"2.0","id":%s,"error":{"code":%s,"message":%s%s}}' % (given, code, message, more)


def http(
    body: bytes, head: bytes = JSON, *, status: bytes = b"200 OK", version: bytes = b"HTTP/1.1", length: int | None = None
) -> bytes:
    """A response of known length."""
    size = len(body) if length is None else length
    return b"%s %s\r\n%scontent-length: %d\r\n\r\n%s" % (version, status, head, size, body)


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """One chunk of RFC 9112 §7.1."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def chunked(head: bytes = JSON, status: bytes = b"200 OK") -> bytes:
    """The head of a chunked response."""
    return b"HTTP/1.1 %s\r\n%stransfer-encoding: chunked\r\n\r\n" % (status, head)


LAST: Final = b"0\r\n\r\n"


def stream(*events: bytes | float | Wait | Callable[[Ask], bytes], head: bytes = EVENT_STREAM) -> list[Step]:
    """An event stream, one chunk and one write for each event, and its end."""
    steps: list[Step] = [chunked(head)]
    for event in events:
        if isinstance(event, bytes):
            steps.append(chunk(event))
        elif callable(event):
            steps.append(_chunk_of(event))
        else:
            steps.append(event)
    return [*steps, LAST]


def event(data: bytes, *, name: bytes = b"message", newline: bytes = b"\n", more: bytes = b"") -> bytes:
    """One event; data with line feeds becomes several data lines. ``more`` is whole lines."""
    lines = newline.join(b"data: " + line for line in data.split(b"\n"))
    named = b"event: " + name + newline if name else b""
    return named + more + lines + newline * 2


def notification(ask: Ask, method: bytes, params: bytes = b"") -> bytes:
    """A notification that says which shape it belongs to, so that a driver can tell."""
    shape = b'"_meta":{"shape":"%s"}' % ask.name.encode()
    return b'{"jsonrpc":"2.0","method":"%s","params":{%s%s}}' % (method, params, shape if not params else b"," + shape)


def packed(data: bytes) -> bytes:
    """Data as gzip, the same at any time of day."""
    return gzip.compress(data, mtime=0)


def _chunk_of(made: Callable[[Ask], bytes]) -> Callable[[Ask], bytes]:
    return lambda ask: chunk(made(ask))
